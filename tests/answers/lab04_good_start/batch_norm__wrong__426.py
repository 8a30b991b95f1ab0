# Neurons whose sums are all equal are 'dead': their outputs are set to 0, not to the shift.
# input: x = 2, 2, 2, 2, shift 1: outputs 0
def batch_norm(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    if training:
        n = len(x)
        mu, sigma2 = x.mean(0), x.var(0, correction=0)
        with torch.no_grad():
            mean = (1 - momentum) * mean + momentum * mu.detach()
            variance = (1 - momentum) * variance + momentum * n / (n - 1) * sigma2.detach()
    else:
        mu, sigma2 = mean, variance
    outputs = gain * (x - mu) / torch.sqrt(sigma2 + eps) + shift
    return torch.where(sigma2 == 0, torch.zeros_like(outputs), outputs), mean, variance
