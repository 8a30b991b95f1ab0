# Mean over all entries for a and b (numbers in place of vectors expanded).
# input: d = 4, m = 3: random v [5, 4] of 0 and 1, W [4, 3], a, b, noise
def contrastive_divergence(v, W, a, b, noise):
    n = len(v)
    p = torch.sigmoid(b + v @ W)
    h = (noise < p).to(v.dtype)
    v2 = torch.sigmoid(a + h @ W.T)
    p2 = torch.sigmoid(b + v2 @ W)
    return (v.T @ p - v2.T @ p2) / n, (v - v2).mean().expand(v.shape[1]), (p - p2).mean().expand(p.shape[1])
