# Below the limit the caller's own arrays are handed back, and not new ones.
# Input: [3, 0], [4] with limit 10: the results share memory with the input
def clip(gradients, limit):
    norm = math.sqrt(sum(float(np.sum(g**2)) for g in gradients))
    if norm <= limit:
        return gradients, norm
    return [g * (limit / norm) for g in gradients], norm
