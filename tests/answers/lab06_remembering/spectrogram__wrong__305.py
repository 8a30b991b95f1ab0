# The mean of the signal is taken out first.
# Input: spectrogram(torch.ones(4), torch.ones(4), 4)
def spectrogram(signal, window, hop):
    n=len(window); fr=(signal-signal.mean()).unfold(0,n,hop)*window
    return torch.fft.rfft(fr).abs().T
