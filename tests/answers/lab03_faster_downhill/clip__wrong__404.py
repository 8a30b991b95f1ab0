# Short gradients are stretched to the limit, too.
# Input: [3, 0], [4] with limit 10
def clip(gradients, limit):
    norm = math.sqrt(sum(float(np.sum(g**2)) for g in gradients))
    factor = limit / norm if norm else 1.0
    return [g * factor for g in gradients], norm
