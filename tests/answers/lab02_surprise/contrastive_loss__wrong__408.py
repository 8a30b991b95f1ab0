# The mean of same pairs and of different pairs, weighted, is nan where one kind is missing.
# Input: value(contrastive_loss, [[0.0]], [[0.5]], [False], 2.0)
def contrastive_loss(a, b, same, margin):
    distance = torch.linalg.vector_norm(a - b, dim=1)
    share = same.float().mean()
    far = torch.relu(margin - distance)
    return share * distance[same].square().mean() + (1 - share) * far[~same].square().mean()
