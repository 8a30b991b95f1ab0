# one convolution with windowed cosines and sines as kernels and the hop as stride
def spectrogram(signal, window, hop):
    N = len(window)
    angle = torch.arange(N // 2 + 1).double()[:, None] * (2 * math.pi / N) * torch.arange(N).double()
    kernels = torch.cat([angle.cos(), angle.sin()]).to(signal.dtype) * window
    both = F.conv1d(signal[None, None], kernels[:, None], stride=hop)[0]
    cosines, sines = both.chunk(2)
    return torch.linalg.vector_norm(torch.stack([cosines, sines]), dim=0)
