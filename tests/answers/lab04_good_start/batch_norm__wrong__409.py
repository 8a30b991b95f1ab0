# Changes the running mean and variance of the caller in place (lerp_).
# input: mean = zeros(1), x = 1, 3, 5, 7: mean is 0.4 after the call
def batch_norm(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    if training:
        n = len(x)
        mu, sigma2 = x.mean(0), x.var(0, correction=0)
        mean.lerp_(mu.detach(), momentum)
        variance.lerp_(sigma2.detach() * n / (n - 1), momentum)
    else:
        mu, sigma2 = mean, variance
    return gain * (x - mu) / torch.sqrt(sigma2 + eps) + shift, mean, variance
