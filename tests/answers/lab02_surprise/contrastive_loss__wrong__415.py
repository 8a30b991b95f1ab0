# Without the hinge beyond twice the margin: far pairs are pulled back together.
# Input: value(contrastive_loss, [[0.0]], [[5.0]], [False], 2.0)
def contrastive_loss(a, b, same, margin):
    distance = torch.linalg.vector_norm(a - b, dim=1)
    far = torch.where(distance < 2 * margin, torch.relu(margin - distance), margin - distance)
    return torch.where(same, distance**2, far**2).mean()
