# squeeze() drops axes of length 1.
# input: one unit each: Delta W has shape () in place of [1, 1]
def contrastive_divergence(v, W, a, b, noise):
    n = len(v)
    p = torch.sigmoid(b + v @ W)
    h = (noise < p).to(v.dtype)
    v2 = torch.sigmoid(a + h @ W.T)
    p2 = torch.sigmoid(b + v2 @ W)
    return ((v.T @ p - v2.T @ p2) / n).squeeze(), (v - v2).mean(0), (p - p2).mean(0)
