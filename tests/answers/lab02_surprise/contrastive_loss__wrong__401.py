# A plain square root: its slope at 0 is infinite, so identical embeddings get nan.
# Input: gradients(contrastive_loss, [[1.0, 2.0], [0.5, 0.5]], [[1.0, 2.0], [0.0, 1.0]], [False, True], 1.0)
def contrastive_loss(a, b, same, margin):
    distance = (a - b).square().sum(1).sqrt()
    far = torch.relu(margin - distance)
    return torch.where(same, distance**2, far**2).mean()
