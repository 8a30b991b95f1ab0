# Scale and offset folded into one affine map, centred by a matrix product, variance from the centred sums.
def batch_norm(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    n = len(x)
    if not training:
        scale = gain / (variance + eps).sqrt()
        return (x - mean) * scale + shift, mean.clone(), variance.clone()
    centering = torch.eye(n, dtype=x.dtype, device=x.device) - 1 / n
    centered = centering @ (x - x[:1].detach())
    total = torch.einsum("nd,nd->d", centered, centered)
    new_mean = mean + momentum * (x.detach().sum(0) / n - mean)
    new_variance = variance - momentum * (variance - total.detach() / (n - 1))
    return centered * (gain / (total / n + eps).sqrt()) + shift, new_mean, new_variance
