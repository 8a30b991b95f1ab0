# Tie: h is 1 where noise equals p, too.
# input: noise = p = 0.5 exactly: W = b = 0, W = 0 in one row only matters through W != 0: W = [[2], [-2]], v = (1, 1), b = 0
def contrastive_divergence(v, W, a, b, noise):
    n = len(v)
    p = torch.sigmoid(b + v @ W)
    h = (noise <= p).to(v.dtype)
    v2 = torch.sigmoid(a + h @ W.T)
    p2 = torch.sigmoid(b + v2 @ W)
    return (v.T @ p - v2.T @ p2) / n, (v - v2).mean(0), (p - p2).mean(0)
