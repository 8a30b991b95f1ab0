# The nan is hidden by replacing the gradient of the whole batch: where any pair is identical nothing flows.
# Input: gradients(contrastive_loss, [[1.0, 2.0], [0.5, 0.5]], [[1.0, 2.0], [0.0, 1.0]], [False, True], 1.0)
def contrastive_loss(a, b, same, margin):
    squared = (a - b).square().sum(1)
    if (squared == 0).any():
        a, b = a.detach(), b.detach()
        squared = ((a - b) ** 2).sum(1).requires_grad_()
    distance = squared.clamp(min=1e-30).sqrt()
    far = torch.relu(margin - distance)
    return torch.where(same, distance**2, far**2).mean()
