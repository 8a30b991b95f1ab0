# A loop over all numbers with plain Python comparisons, reshaped at the end.
def proximal_step(weights, gradient, rate, penalty):
    t, out = rate * penalty, []
    for w, g in zip(weights.flatten().tolist(), gradient.flatten().tolist(), strict=True):
        z = w - rate * g
        if z > t:
            out.append(z - t)
        elif z < -t:
            out.append(z + t)
        else:
            out.append(0.0)
    return torch.tensor(out, dtype=weights.dtype).reshape(weights.shape)
