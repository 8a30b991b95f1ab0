# Compares the objective of the three candidates u = z - t, z + t and 0 in double precision and takes the least.
def proximal_step(weights, gradient, rate, penalty):
    z = weights.double() - rate * gradient.double()
    t = rate * penalty
    above, below = (z - t).clamp(min=0), (z + t).clamp(max=0)
    candidates = torch.stack([torch.zeros_like(z), above, below])
    values = (candidates - z).square() / 2 + t * candidates.abs()
    best = values.argmin(0, keepdim=True)
    return candidates.gather(0, best)[0].to(weights.dtype)
