# Divides 0 by 0 for gradients that are all 0, and returns nan.
# Input: [np.zeros(3)], limit 1
def clip(gradients, limit):
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    with np.errstate(all='ignore'):
        unit = [g / norm for g in gradients]
    return [u * np.minimum(norm, limit) for u in unit], norm
