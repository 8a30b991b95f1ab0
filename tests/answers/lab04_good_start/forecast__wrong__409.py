# The results are rounded to 6 decimals, so small signals become 0.
# input: sizes [10]*9, variances [0.01]*8: q_8 is about 1e-10
def forecast(sizes, variances, slope=0.0):
    c = (1 + slope**2) / 2
    q, g = [], [1.0]
    for layer, v in enumerate(variances):
        q.append(sizes[layer] * v * (c * q[-1] if q else 1.0))
    for layer in range(len(variances) - 1, 0, -1):
        g.insert(0, c * sizes[layer + 1] * variances[layer] * g[0])
    return [round(x, 6) for x in q], [round(x, 6) for x in g]
