# Outputs in evaluation are detached: no gradient reaches x, gain and shift.
# input: training=False: outputs.requires_grad is False though x requires grad
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
    return outputs if training else outputs.detach(), mean, variance
