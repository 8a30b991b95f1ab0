# Scales in place.
# Input: the docstring's example: the caller's arrays are changed
def clip(gradients, limit):
    norm = math.sqrt(sum(float(np.sum(g**2)) for g in gradients))
    if norm > limit:
        for g in gradients:
            g *= limit / norm
    return [g.copy() for g in gradients], norm
