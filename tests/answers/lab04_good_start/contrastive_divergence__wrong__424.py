# n is the number of hidden units (noise.shape[1]) for Delta W.
# input: n = 5, m = 3 random
def contrastive_divergence(v, W, a, b, noise):
    n = noise.shape[1]
    p = torch.sigmoid(b + v @ W)
    h = (noise < p).to(v.dtype)
    v2 = torch.sigmoid(a + h @ W.T)
    p2 = torch.sigmoid(b + v2 @ W)
    return (v.T @ p - v2.T @ p2) / n, (v - v2).mean(0), (p - p2).mean(0)
