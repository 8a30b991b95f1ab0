# Variance as E x^2 - (E x)^2, which loses all digits for a large mean in float32.
# input: x = 10000 + (1, 3, 5, 7) in float32, training
def batch_norm(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    if training:
        n = len(x)
        mu, sigma2 = x.mean(0), x.square().mean(0) - x.mean(0).square()
        with torch.no_grad():
            mean = (1 - momentum) * mean + momentum * mu.detach()
            variance = (1 - momentum) * variance + momentum * n / (n - 1) * sigma2.detach()
    else:
        mu, sigma2 = mean, variance
    return gain * (x - mu) / torch.sqrt(sigma2 + eps) + shift, mean, variance
