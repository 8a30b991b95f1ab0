# Absolute cosines: the phase decides.
# Input: spectrogram(torch.tensor([0.0, 1, 0, -1]), torch.ones(4), 4)
def spectrogram(signal, window, hop):
    n = len(window)
    frames = signal.unfold(0, n, hop) * window
    k, t = torch.arange(n // 2 + 1), torch.arange(n)
    return (torch.cos(2 * torch.pi * torch.outer(k, t) / n) @ frames.T).abs()
