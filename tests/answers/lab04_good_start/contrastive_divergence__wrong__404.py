# All signs turned: model minus data.
# input: random v [5, 4] of 0 and 1, W [4, 3], a, b, noise
def contrastive_divergence(v, W, a, b, noise):
    n = len(v)
    p = torch.sigmoid(b + v @ W)
    h = (noise < p).to(v.dtype)
    v2 = torch.sigmoid(a + h @ W.T)
    p2 = torch.sigmoid(b + v2 @ W)
    return (v2.T @ p2 - v.T @ p) / n, (v2 - v).mean(0), (p2 - p).mean(0)
