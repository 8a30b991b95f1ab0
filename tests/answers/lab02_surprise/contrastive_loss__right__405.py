# The hinge as minus the minimum; an epsilon of 1e-24 under the root, too small to be seen.
def contrastive_loss(a, b, same, margin):
    squared = (a - b).pow(2).sum(dim=-1)
    over = torch.clamp((squared + 1e-24) ** 0.5 - margin, max=0)
    keep = same.to(a.dtype)
    return torch.mean(keep * squared + (1 - keep) * over.pow(2))
