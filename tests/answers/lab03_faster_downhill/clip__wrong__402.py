# Clips every number into [-limit, limit], which changes the direction.
# Input: the docstring's example
def clip(gradients, limit):
    norm = math.sqrt(sum(float(np.sum(g**2)) for g in gradients))
    return [np.clip(g, -limit, limit) for g in gradients], norm
