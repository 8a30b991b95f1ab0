# k * t is kept in 8-bit integers to save memory: overflow for longer frames whose length is no divisor of 256
# input: N 24, random signal
def spectrogram(signal, window, hop):
    N = len(window)
    frames = signal.unfold(0, N, hop) * window
    k, t = torch.arange(N // 2 + 1).to(torch.uint8), torch.arange(N).to(torch.uint8)
    angle = 2 * math.pi * (k[:, None] * t).to(frames.dtype) / N
    A, B = torch.cos(angle) @ frames.T, torch.sin(angle) @ frames.T
    return (A**2 + B**2).sqrt()
