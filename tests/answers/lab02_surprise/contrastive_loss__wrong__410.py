# The difference is taken in place, in the caller's tensor.
# Input: no_grad_unchanged(contrastive_loss)
def contrastive_loss(a, b, same, margin):
    with torch.no_grad():
        a -= b
    distance = torch.linalg.vector_norm(a, dim=1)
    far = torch.relu(margin - distance)
    return torch.where(same, distance**2, far**2).mean()
