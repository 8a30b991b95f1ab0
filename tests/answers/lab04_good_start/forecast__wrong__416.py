# The bend comes in front of the last layer's sums as well: g_L = c.
# input: ([4, 2, 3], [0.25, 0.5]): g = [0.375, 0.5]
def forecast(sizes, variances, slope=0.0):
    c = (1 + slope**2) / 2
    q, g = [], [c]
    for layer, v in enumerate(variances):
        q.append(sizes[layer] * v * (c * q[-1] if q else 1.0))
    for layer in range(len(variances) - 1, 0, -1):
        g.insert(0, c * sizes[layer + 1] * variances[layer] * g[0])
    return q, g
