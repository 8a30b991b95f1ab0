# Loop over neurons and over examples, sums by hand, stacked at the end.
def batch_norm(x, gain, shift, mean, variance, training, momentum=0.1, eps=1e-5):
    n, d = x.shape
    columns, means, variances = [], [], []
    for j in range(d):
        if training:
            mu = sum(x[i, j] for i in range(n)) / n
            s2 = sum((x[i, j] - mu) ** 2 for i in range(n)) / n
            means.append(((1 - momentum) * mean[j] + momentum * mu).detach())
            variances.append(((1 - momentum) * variance[j] + momentum * s2 * n / (n - 1)).detach())
        else:
            mu, s2 = mean[j], variance[j]
        columns.append(torch.stack([(x[i, j] - mu) * (s2 + eps) ** -0.5 * gain[j] + shift[j] for i in range(n)]))
    outputs = torch.stack(columns, 1)
    if training:
        return outputs, torch.stack(means), torch.stack(variances)
    return outputs, mean, variance
