# Backwards counts the neurons of the layer itself (n_l) in place of n_(l+1).
# input: ([4, 2, 3], [0.25, 0.5]): g_1 = 0.5
def forecast(sizes, variances, slope=0.0):
    c = (1 + slope**2) / 2
    q, g = [], [1.0]
    for layer, v in enumerate(variances):
        q.append(sizes[layer] * v * (c * q[-1] if q else 1.0))
    for layer in range(len(variances) - 1, 0, -1):
        g.insert(0, c * sizes[layer] * variances[layer] * g[0])
    return q, g
