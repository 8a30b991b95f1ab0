# Running statistics are not detached: they take part in a gradient.
# input: x.requires_grad, training: new mean.requires_grad is True
def batch_norm(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    if training:
        n = len(x)
        mu, sigma2 = x.mean(0), x.var(0, correction=0)
        mean = (1 - momentum) * mean + momentum * mu
        variance = (1 - momentum) * variance + momentum * n / (n - 1) * sigma2
    else:
        mu, sigma2 = mean, variance
    return gain * (x - mu) / torch.sqrt(sigma2 + eps) + shift, mean, variance
