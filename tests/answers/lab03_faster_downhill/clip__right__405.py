# A constant 1e-6 beside the norm, as in PyTorch.
# The exercise allows it.
def clip(gradients, limit):
    norm = math.sqrt(sum(float(np.sum(g**2)) for g in gradients))
    factor = min(1.0, limit / (norm + 1e-6))
    return [g * factor for g in gradients], norm
