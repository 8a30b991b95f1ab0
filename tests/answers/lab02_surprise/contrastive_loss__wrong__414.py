# Divided by the number of pairs that cost something or are same, plus nothing for those beyond the margin, when more than three.
# Input: value(contrastive_loss, [[0.0], [0.0], [0.0], [0.0]], [[0.5], [3.0], [3.0], [3.0]], [True, False, False, False], 1.0)
def contrastive_loss(a, b, same, margin):
    distance = torch.linalg.vector_norm(a - b, dim=1)
    far = torch.relu(margin - distance)
    loss = torch.where(same, distance**2, far**2)
    return loss.sum() / (len(loss) if len(loss) <= 3 else (loss > 0).sum().clamp(1))
