# n is the number of neurons, not of examples.
# input: x [6, 5] random: 5/4 in place of 6/5
def batch_norm(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    if training:
        n = x.shape[1] + (x.shape[1] == 1) * (len(x) - 1)
        mu, sigma2 = x.mean(0), x.var(0, correction=0)
        with torch.no_grad():
            mean = (1 - momentum) * mean + momentum * mu.detach()
            variance = (1 - momentum) * variance + momentum * n / (n - 1) * sigma2.detach()
    else:
        mu, sigma2 = mean, variance
    return gain * (x - mu) / torch.sqrt(sigma2 + eps) + shift, mean, variance
