# The variance is floored at eps, max(sigma^2, eps), in place of sigma^2 + eps.
# input: eps=1.0, x = 1, 3, 5, 7: root of 5, not of 6
def batch_norm(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    if training:
        n = len(x)
        mu, sigma2 = x.mean(0), x.var(0, correction=0)
        with torch.no_grad():
            mean = (1 - momentum) * mean + momentum * mu.detach()
            variance = (1 - momentum) * variance + momentum * n / (n - 1) * sigma2.detach()
    else:
        mu, sigma2 = mean, variance
    return gain * (x - mu) / torch.sqrt(torch.clamp(sigma2, min=eps)) + shift, mean, variance
