# Loop over the examples with outer products, summed in a list.
def contrastive_divergence(v, W, a, b, noise):
    terms = []
    for row, luck in zip(v, noise, strict=True):
        p = torch.sigmoid(row @ W + b)
        h = torch.where(luck < p, 1.0, 0.0).to(v.dtype)
        made = torch.sigmoid(W @ h + a)
        p2 = torch.sigmoid(made @ W + b)
        terms.append((torch.outer(row, p) - torch.outer(made, p2), row - made, p - p2))
    return tuple(torch.stack(part).mean(0) for part in zip(*terms, strict=True))
