# The distance of a same pair is cut off at the margin, too.
# Input: value(contrastive_loss, [[0.0]], [[3.0]], [True], 1.0)
def contrastive_loss(a, b, same, margin):
    distance = torch.linalg.vector_norm(a - b, dim=1)
    distance = distance.clamp(max=margin)
    return torch.where(same, distance**2, (margin - distance) ** 2).mean()
