# Identical pairs are left at a loss of 0, even where they should differ.
# Input: value(contrastive_loss, [[1.0]], [[1.0]], [False], 2.0)
def contrastive_loss(a, b, same, margin):
    squared = (a - b).square().sum(1)
    apart = squared > 0
    distance = torch.where(apart, squared, 1.0).sqrt()
    far = torch.relu(margin - distance)
    return (torch.where(same, distance**2, far**2) * apart).mean()
