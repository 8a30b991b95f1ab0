# A column of ones folds the biases into one large matrix; the directions are cut out of it.
def contrastive_divergence(v, W, a, b, noise):
    n, d = v.shape
    one = torch.ones(n, 1, dtype=v.dtype)
    big = torch.cat([W, b.unsqueeze(0)])
    p = torch.sigmoid(torch.cat([v, one], 1) @ big)
    h = (p - noise > 0).to(v.dtype)
    made = torch.sigmoid(torch.cat([h, one], 1) @ torch.cat([W.T, a.unsqueeze(0)]))
    p2 = torch.sigmoid(torch.cat([made, one], 1) @ big)
    ones = torch.cat
    both = (ones([v, one], 1).T @ ones([p, one], 1) - ones([made, one], 1).T @ ones([p2, one], 1)) / n
    return both[:d, :-1], both[:d, -1], both[d, :-1]
