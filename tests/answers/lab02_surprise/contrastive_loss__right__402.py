# The root is taken of a safe value where the squared distance is 0 (where twice).
def contrastive_loss(a, b, same, margin):
    squared = torch.einsum("nd,nd->n", a - b, a - b)
    zero = squared == 0
    distance = torch.where(zero, torch.zeros_like(squared), torch.where(zero, torch.ones_like(squared), squared).sqrt())
    hinge = torch.maximum(margin - distance, torch.zeros_like(distance))
    return torch.where(same, squared, hinge * hinge).mean()
