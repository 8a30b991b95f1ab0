# The logarithm of 1 + the magnitude.
# Input: spectrogram(torch.ones(4), torch.ones(4), 4)
def spectrogram(signal, window, hop):
    n=len(window); fr=signal.unfold(0,n,hop)*window
    return torch.log(1+torch.fft.rfft(fr).abs().T)
