# Scales to norm 1 once the limit is passed: right for limit 1 alone.
# Input: [3, 0], [4] with limit 2
def clip(gradients, limit):
    norm = math.sqrt(sum(float(np.sum(g**2)) for g in gradients))
    factor = 1 / norm if norm > limit else 1.0
    return [g * factor for g in gradients], norm
