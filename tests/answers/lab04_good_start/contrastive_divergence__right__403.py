# The directions are the negative gradient of the free energies' difference, by autograd, with v' held fixed.
def contrastive_divergence(v, W, a, b, noise):
    p = torch.sigmoid(F.linear(v, W.T, b))
    h = (noise < p).type_as(v)
    made = torch.sigmoid(F.linear(h, W, a)).detach()
    copies = [t.detach().clone().requires_grad_() for t in (W, a, b)]
    with torch.enable_grad():
        w, va, hb = copies

        def energy(x):
            return -(x @ va) - F.softplus(x @ w + hb, threshold=50).sum(1)

        gap = (energy(v) - energy(made)).mean()
    gradients = torch.autograd.grad(gap, copies)
    return tuple(-g for g in gradients)
