# One layer is broken: g is empty because the loop counts L - 1 layers and 1.0 is added only then.
# input: ([5, 2], [0.3]): g = [] in place of [1.0]
def forecast(sizes, variances, slope=0.0):
    c = (1 + slope**2) / 2
    q, g = [], [1.0]
    for layer, v in enumerate(variances):
        q.append(sizes[layer] * v * (c * q[-1] if q else 1.0))
    for layer in range(len(variances) - 1, 0, -1):
        g.insert(0, c * sizes[layer + 1] * variances[layer] * g[0])
    return q, g if len(g) > 1 else []
