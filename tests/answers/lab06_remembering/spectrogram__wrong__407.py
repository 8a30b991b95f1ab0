# only the cosines are compared, right if the tone begins at its top
# input: signal 0 1 0 -1, N 4
def spectrogram(signal, window, hop):
    N = len(window)
    frames = signal.unfold(0, N, hop) * window
    t = torch.arange(N, dtype=torch.float64)
    k = torch.arange(N // 2 + 1, dtype=torch.float64)
    angle = 2 * math.pi * k[:, None] * t / N
    A = torch.cos(angle).to(frames.dtype) @ frames.T
    B = torch.sin(angle).to(frames.dtype) @ frames.T
    return A.abs()
