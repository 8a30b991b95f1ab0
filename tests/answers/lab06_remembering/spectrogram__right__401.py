# t runs from 1 to N: another beginning of the waves, the same magnitudes; doubles inside
def spectrogram(signal, window, hop):
    N = window.numel()
    turns = torch.outer(torch.arange(N // 2 + 1), torch.arange(1, N + 1)) % N
    waves = torch.polar(torch.ones(turns.shape).double(), -2 * math.pi * turns.double() / N)
    frames = (signal.double().unfold(0, N, hop) * window.double()).to(waves.dtype)
    return (waves @ frames.mT).abs().to(signal.dtype)
