# PyTorch's xlogy; cross-entropy less entropy, as 0-dimensional tensors turned to numbers.
def entropy(q):
    q = torch.as_tensor(q, dtype=torch.float64)
    return -torch.xlogy(q, q).sum().item()


def divergence(q, p):
    q, p = (torch.as_tensor(x, dtype=torch.float64) for x in (q, p))
    return -torch.xlogy(q, p).sum().item() - entropy(q)
