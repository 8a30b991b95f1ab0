# Complex numbers come back, not magnitudes.
# Input: any
def spectrogram(signal, window, hop):
    n=len(window); fr=signal.unfold(0,n,hop)*window
    return torch.fft.rfft(fr).T
