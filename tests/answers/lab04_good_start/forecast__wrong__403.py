# c is always 1/2: the argument slope is ignored.
# input: ([4, 2, 3], [0.25, 0.5], 0.5)
def forecast(sizes, variances, slope=0.0):
    c = 0.5
    q, g = [], [1.0]
    for layer, v in enumerate(variances):
        q.append(sizes[layer] * v * (c * q[-1] if q else 1.0))
    for layer in range(len(variances) - 1, 0, -1):
        g.insert(0, c * sizes[layer + 1] * variances[layer] * g[0])
    return q, g
