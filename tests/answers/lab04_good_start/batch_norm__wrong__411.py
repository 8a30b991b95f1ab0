# Pools over neurons as well: one mean and variance for the whole batch.
# input: x [4, 3] random with different columns, training
def batch_norm(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    if training:
        n = len(x)
        mu, sigma2 = x.mean().expand(x.shape[1]), x.var(correction=0).expand(x.shape[1])
        with torch.no_grad():
            mean = (1 - momentum) * mean + momentum * mu.detach()
            variance = (1 - momentum) * variance + momentum * n / (n - 1) * sigma2.detach()
    else:
        mu, sigma2 = mean, variance
    return gain * (x - mu) / torch.sqrt(sigma2 + eps) + shift, mean, variance
