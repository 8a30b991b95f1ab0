# Sums are clipped to [-4, 4] before the sigmoid, against overflow.
# input: float64 or float32, W = 10, v = 1: p = 0.982 in place of 0.99995
def contrastive_divergence(v, W, a, b, noise):
    n = len(v)
    p = torch.sigmoid((b + v @ W).clamp(-4, 4))
    h = (noise < p).to(v.dtype)
    v2 = torch.sigmoid(a + h @ W.T)
    p2 = torch.sigmoid(b + v2 @ W)
    return (v.T @ p - v2.T @ p2) / n, (v - v2).mean(0), (p - p2).mean(0)
