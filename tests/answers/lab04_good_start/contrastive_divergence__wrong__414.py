# Binarises the data at 1/2 first, though hidden probabilities of a lower machine come in as v.
# input: v = 0.7 (experiment 3 feeds probabilities)
def contrastive_divergence(v, W, a, b, noise):
    n = len(v)
    v = (v > 0.5).to(v.dtype)
    p = torch.sigmoid(b + v @ W)
    h = (noise < p).to(v.dtype)
    v2 = torch.sigmoid(a + h @ W.T)
    p2 = torch.sigmoid(b + v2 @ W)
    return (v.T @ p - v2.T @ p2) / n, (v - v2).mean(0), (p - p2).mean(0)
