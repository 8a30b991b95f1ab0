# Keeps its own running statistics in the function after the first call, and ignores those that are handed over.
# input: two calls with different mean and variance
def batch_norm(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    mean, variance = batch_norm.__dict__.get(('kept', len(gain)), (mean, variance))
    if training:
        n = len(x)
        mu, sigma2 = x.mean(0), x.var(0, correction=0)
        with torch.no_grad():
            mean = (1 - momentum) * mean + momentum * mu.detach()
            variance = (1 - momentum) * variance + momentum * n / (n - 1) * sigma2.detach()
    else:
        mu, sigma2 = mean, variance
    batch_norm.__dict__[('kept', len(gain))] = mean, variance
    return gain * (x - mu) / torch.sqrt(sigma2 + eps) + shift, mean, variance
