# t / N runs from 0 to 1 inclusive (linspace), so the waves swing k times in N - 1 numbers
# input: N 8, random signal
def spectrogram(signal, window, hop):
    N = len(window)
    frames = signal.unfold(0, N, hop) * window
    t = torch.linspace(0, N, N, dtype=torch.float64)
    k = torch.arange(N // 2 + 1, dtype=torch.float64)
    angle = 2 * math.pi * k[:, None] * t / N
    A = torch.cos(angle).to(frames.dtype) @ frames.T
    B = torch.sin(angle).to(frames.dtype) @ frames.T
    return (A**2 + B**2).sqrt()
