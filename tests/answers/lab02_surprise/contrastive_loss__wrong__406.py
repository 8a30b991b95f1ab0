# The second embedding is detached: no gradient flows to b.
# Input: gradients(contrastive_loss, [[0.0, 0.0], [1.0, 1.0], [0.2, 0.1]], [[0.3, 0.4], [1.5, 0.5], [2.0, 2.0]], [True, False, False], 1.0)
def contrastive_loss(a, b, same, margin):
    distance = torch.linalg.vector_norm(a - b.detach(), dim=1)
    far = torch.relu(margin - distance)
    return torch.where(same, distance**2, far**2).mean()
