# Computed in NumPy and packed in a new tensor: no gradient comes back.
# Input: gradients(contrastive_loss, [[0.0, 0.0], [1.0, 1.0], [0.2, 0.1]], [[0.3, 0.4], [1.5, 0.5], [2.0, 2.0]], [True, False, False], 1.0)
def contrastive_loss(a, b, same, margin):
    x, y, s = a.detach().numpy(), b.detach().numpy(), same.numpy()
    distance = np.linalg.norm(x - y, axis=1)
    loss = np.where(s, distance**2, np.maximum(0, margin - distance) ** 2).mean()
    return torch.tensor(loss, dtype=a.dtype, requires_grad=True)
