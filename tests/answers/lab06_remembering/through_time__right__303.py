# By PyTorch's vjp, one function of states that are added to.
def through_time(inputs, w, u, target):
    def loss(nudges, w, u):
        h = torch.zeros((), dtype=torch.float64)
        for x, nudge in zip(inputs, nudges):
            h = torch.tanh(w * h + u * float(x)) + nudge
        return (h - target) ** 2 / 2

    at = (torch.zeros(len(inputs), dtype=torch.float64), *(torch.tensor(float(v), dtype=torch.float64) for v in (w, u)))
    return torch.autograd.functional.jacobian(loss, at)
