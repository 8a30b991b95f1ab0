# The frames are those of torch.stft by default: centred.
# Input: spectrogram(torch.ones(4), torch.ones(4), 4)
def spectrogram(signal, window, hop):
    n = len(window)
    padded = F.pad(signal, (n // 2, n // 2))
    return torch.stft(padded, n, hop, n, window, center=False, return_complex=True).abs()
