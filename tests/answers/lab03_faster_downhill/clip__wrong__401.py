# Clips every array by its own norm.
# Input: the docstring's example
def clip(gradients, limit):
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    out = []
    for g in gradients:
        own = np.linalg.norm(g)
        out.append(g * min(1.0, limit / own) if own > 0 else g * 1.0)
    return out, norm
