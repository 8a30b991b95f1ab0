# a last frame that reaches beyond the end is filled with zeros and kept
# input: T 5, N 4, hop 2
def spectrogram(signal, window, hop):
    N = len(window)
    signal = F.pad(signal, (0, (-(len(signal) - N)) % hop))
    frames = signal.unfold(0, N, hop) * window
    t = torch.arange(N, dtype=torch.float64)
    k = torch.arange(N // 2 + 1, dtype=torch.float64)
    angle = 2 * math.pi * k[:, None] * t / N
    A = torch.cos(angle).to(frames.dtype) @ frames.T
    B = torch.sin(angle).to(frames.dtype) @ frames.T
    return (A**2 + B**2).sqrt()
