# The root is forgotten: the sum of squares is taken as the norm.
# Input: the docstring's example: 25 and not 5
def clip(gradients, limit):
    norm = sum(float(np.sum(g**2)) for g in gradients)
    factor = min(1.0, limit / norm) if norm else 1.0
    return [g * factor for g in gradients], norm
