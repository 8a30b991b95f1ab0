# the frames are multiplied by the window in place, so the caller's signal is changed
# input: T 8, N 4, hop 4, Hann window
def spectrogram(signal, window, hop):
    N = len(window)
    t, k = torch.arange(N).double(), torch.arange(N // 2 + 1).double()
    angle = 2 * math.pi * torch.outer(k, t) / N
    before, columns = signal.clone(), []
    for start in range(0, len(signal) - N + 1, hop):
        frame = signal[start : start + N]
        frame.copy_(before[start : start + N]).mul_(window)
        A, B = angle.cos().to(frame.dtype) @ frame, angle.sin().to(frame.dtype) @ frame
        columns.append(torch.hypot(A, B))
    return torch.stack(columns, dim=1)
