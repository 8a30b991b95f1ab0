# Takes only the first and the last array into the norm: right for one array or two of the example.
# Input: three arrays, [3, 0], [12], [4]: 5 and not 13
def clip(gradients, limit):
    both = [gradients[0]] + ([gradients[-1]] if len(gradients) > 1 else [])
    norm = math.sqrt(sum(float(np.sum(g**2)) for g in both))
    factor = min(1.0, limit / norm) if norm else 1.0
    return [g * factor for g in gradients], norm
