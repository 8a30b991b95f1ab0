# lerp out of place, torch.var_mean with n - 1 and a correction back, addcmul for gain and shift.
def batch_norm(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    center, spread = mean, variance
    if training:
        n = x.shape[0]
        unbiased, center = torch.var_mean(x, dim=0, correction=1)
        spread = unbiased * (n - 1) / n
        mean = torch.lerp(mean, center.detach(), momentum)
        variance = torch.lerp(variance, unbiased.detach(), momentum)
    return torch.addcmul(shift, (x - center) * torch.rsqrt(spread + eps), gain), mean, variance
