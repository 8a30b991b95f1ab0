# PyTorch's autograd on the losses themselves.
def _by_autograd(loss, logits, targets):
    z = torch.tensor(np.asarray(logits), dtype=torch.float64, requires_grad=True)
    y = F.one_hot(torch.as_tensor(np.asarray(targets)).long(), z.shape[1]).double()
    loss(z, y).backward()
    return z.grad.numpy()


def cross_entropy_gradient(logits, targets):
    return _by_autograd(lambda z, y: -(y * z.log_softmax(1)).sum(1).mean(), logits, targets)


def squared_error_gradient(logits, targets):
    return _by_autograd(lambda z, y: (z.softmax(1) - y).square().sum(1).mean(), logits, targets)
