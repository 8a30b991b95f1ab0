# The norms of the arrays are added.
# Input: the docstring's example: 7 and not 5
def clip(gradients, limit):
    norm = sum(float(np.linalg.norm(g)) for g in gradients)
    factor = min(1.0, limit / norm) if norm else 1.0
    return [g * factor for g in gradients], norm
