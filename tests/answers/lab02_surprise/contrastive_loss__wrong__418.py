# Different pairs are kept from nan, but identical same pairs square a root, and get it.
# Input: gradients(contrastive_loss, [[1.0, 2.0], [0.5, 0.5]], [[1.0, 2.0], [0.0, 1.0]], [True, False], 1.0)
def contrastive_loss(a, b, same, margin):
    squared = (a - b).square().sum(1)
    safe = torch.where(squared > 0, squared, 1.0).sqrt() * (squared > 0)
    far = torch.relu(margin - safe)
    near = squared.sqrt() ** 2
    return torch.where(same, near, far**2).mean()
