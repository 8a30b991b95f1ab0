# frames by a loop and a list, sums by np.einsum in NumPy, back to a tensor
def spectrogram(signal, window, hop):
    numbers, bump = signal.numpy().astype(float), window.numpy().astype(float)
    N, frames, start = len(bump), [], 0
    while start + N <= len(numbers):
        frames.append(numbers[start : start + N] * bump)
        start += hop
    phase = 2 * np.pi * np.outer(np.arange(N // 2 + 1), np.arange(N)) / N
    A = np.einsum("kt,ft->kf", np.cos(phase), np.array(frames))
    B = np.einsum("kt,ft->kf", np.sin(phase), np.array(frames))
    return torch.from_numpy(np.hypot(A, B)).to(signal.dtype)
