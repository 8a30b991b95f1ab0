# For a matrix np.linalg.norm(g, 2) is the largest singular value.
# Input: [np.eye(2)], limit 1: the norm is 1 and not 1.414
def clip(gradients, limit):
    norm = math.sqrt(sum(np.linalg.norm(g, 2) ** 2 if g.ndim == 2 else float(np.sum(g**2)) for g in gradients))
    factor = min(1.0, limit / norm) if norm else 1.0
    return [g * factor for g in gradients], norm
