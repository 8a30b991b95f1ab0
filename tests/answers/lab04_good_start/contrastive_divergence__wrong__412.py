# h drawn with own random numbers in place of noise.
# input: the same call twice gives two answers; random v [5, 4] of 0 and 1, W [4, 3], a, b, noise
def contrastive_divergence(v, W, a, b, noise):
    n = len(v)
    p = torch.sigmoid(b + v @ W)
    h = (torch.rand_like(p) < p).to(v.dtype)
    v2 = torch.sigmoid(a + h @ W.T)
    p2 = torch.sigmoid(b + v2 @ W)
    return (v.T @ p - v2.T @ p2) / n, (v - v2).mean(0), (p - p2).mean(0)
