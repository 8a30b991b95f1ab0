# Returns the norm after clipping.
# Input: the docstring's example gives 1.0 and not 5.0
def clip(gradients, limit):
    norm = math.sqrt(sum(float(np.sum(g**2)) for g in gradients))
    factor = min(1.0, limit / norm) if norm else 1.0
    return [g * factor for g in gradients], norm * factor
