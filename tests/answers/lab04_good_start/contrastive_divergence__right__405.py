# Three-way broadcasting [n, d, m] and a small class for the machine.
class _Machine:
    def __init__(self, W, a, b):
        self.W, self.a, self.b = W, a, b

    def hidden(self, v):
        return 1 / (1 + torch.exp(-(self.b + (v.unsqueeze(2) * self.W).sum(1))))

    def visible(self, h):
        return 1 / (1 + torch.exp(-(self.a + (h.unsqueeze(1) * self.W).sum(2))))


def contrastive_divergence(v, W, a, b, noise):
    machine = _Machine(W, a, b)
    p = machine.hidden(v)
    made = machine.visible(torch.gt(p, noise).to(p))
    p2 = machine.hidden(made)
    pair = v[:, :, None] * p[:, None, :] - made[:, :, None] * p2[:, None, :]
    return pair.mean(0), v.mean(0) - made.mean(0), p.mean(0) - p2.mean(0)
