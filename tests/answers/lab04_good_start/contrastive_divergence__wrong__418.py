# Divides by n - 1.
# input: random v [5, 4] of 0 and 1, W [4, 3], a, b, noise
def contrastive_divergence(v, W, a, b, noise):
    n = len(v)
    p = torch.sigmoid(b + v @ W)
    h = (noise < p).to(v.dtype)
    v2 = torch.sigmoid(a + h @ W.T)
    p2 = torch.sigmoid(b + v2 @ W)
    return (v.T @ p - v2.T @ p2) / (n - 1), (v - v2).sum(0) / (n - 1), (p - p2).sum(0) / (n - 1)
