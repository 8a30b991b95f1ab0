# Layer norm: normalises each row, over its neurons.
# input: x = arange(9.).reshape(3, 3)**2, training
def batch_norm(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    if training:
        n = len(x)
        mu, sigma2 = x.mean(0), x.var(0, correction=0)
        with torch.no_grad():
            mean = (1 - momentum) * mean + momentum * mu.detach()
            variance = (1 - momentum) * variance + momentum * n / (n - 1) * sigma2.detach()
    else:
        mu, sigma2 = mean, variance
    if training:
        mu, sigma2 = x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)
    return gain * (x - mu) / torch.sqrt(sigma2 + eps) + shift, mean, variance
