# An epsilon of 0.01 under the root keeps nan away and moves every distance.
# Input: value(contrastive_loss, [[0.0]], [[0.1]], [False], 1.0)
def contrastive_loss(a, b, same, margin):
    distance = ((a - b).square().sum(1) + 1e-2).sqrt()
    far = torch.relu(margin - distance)
    return torch.where(same, distance**2, far**2).mean()
