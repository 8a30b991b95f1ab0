# The sum of absolute differences, the same as Euclid in one dimension only.
# Input: value(contrastive_loss, [[0.0, 0.0], [1.0, 1.0], [0.2, 0.1]], [[0.3, 0.4], [1.5, 0.5], [2.0, 2.0]], [True, False, False], 1.0)
def contrastive_loss(a, b, same, margin):
    distance = (a - b).abs().sum(1)
    far = torch.relu(margin - distance)
    return torch.where(same, distance**2, far**2).mean()
