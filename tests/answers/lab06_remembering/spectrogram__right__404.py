# Horner's rule (a polynomial in the root of unity), number by number for all frames and frequencies at once
def spectrogram(signal, window, hop):
    N = len(window)
    root = torch.exp(-2j * math.pi * torch.arange(N // 2 + 1).double() / N)[:, None]
    count = (len(signal) - N) // hop + 1
    starts = torch.arange(count) * hop
    total = torch.zeros(N // 2 + 1, count, dtype=root.dtype)
    for t in reversed(range(N)):
        total = total * root + (signal[starts + t] * window[t]).double()
    return total.abs().to(signal.dtype)
