# Returns the directions in the order W, b, a.
# input: d = 4, m = 3 random
def contrastive_divergence(v, W, a, b, noise):
    n = len(v)
    p = torch.sigmoid(b + v @ W)
    h = (noise < p).to(v.dtype)
    v2 = torch.sigmoid(a + h @ W.T)
    p2 = torch.sigmoid(b + v2 @ W)
    return (v.T @ p - v2.T @ p2) / n, (p - p2).mean(0), (v - v2).mean(0)
