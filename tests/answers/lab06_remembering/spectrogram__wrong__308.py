# A Hann window of its own in place of the one given.
# Input: spectrogram(torch.ones(4), torch.ones(4), 4)
def spectrogram(signal, window, hop):
    n = len(window)
    return torch.stft(signal, n, hop, n, torch.hann_window(n), center=False, return_complex=True).abs()
