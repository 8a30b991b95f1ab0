# The last frame is missing.
# Input: spectrogram(torch.ones(4), torch.ones(4), 4)
def spectrogram(signal, window, hop):
    n=len(window); k=(len(signal)-n)//hop
    fr=torch.stack([signal[j*hop:j*hop+n]*window for j in range(k)])
    return torch.fft.rfft(fr).abs().T
