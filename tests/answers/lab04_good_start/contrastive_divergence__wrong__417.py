# Own sigmoid as e^z / (1 + e^z), which overflows to nan for large sums.
# input: float32, W = 200, v = 1: p is nan
def _s(z):
    return torch.exp(z) / (1 + torch.exp(z))


def contrastive_divergence(v, W, a, b, noise):
    n = len(v)
    p = _s(b + v @ W)
    h = (noise < p).to(v.dtype)
    v2 = _s(a + h @ W.T)
    p2 = _s(b + v2 @ W)
    return (v.T @ p - v2.T @ p2) / n, (v - v2).mean(0), (p - p2).mean(0)
