# the last frame that just fits is left out (range stops at T - N), unless it is the only one
# input: T 8, N 4, hop 4
def spectrogram(signal, window, hop):
    N = len(window)
    starts = range(0, len(signal) - N, hop) or [0]
    frames = torch.stack([signal[s : s + N] for s in starts]) * window
    t, k = torch.arange(N).double(), torch.arange(N // 2 + 1).double()
    angle = 2 * math.pi * torch.outer(k, t) / N
    A, B = angle.cos().to(frames.dtype) @ frames.T, angle.sin().to(frames.dtype) @ frames.T
    return torch.sqrt(A**2 + B**2)
