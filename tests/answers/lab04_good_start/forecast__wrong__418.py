# Depth limited: layers after the twelfth are left out of the product (copies the twelfth).
# input: sizes [4]*15, variances [0.3]*14
def forecast(sizes, variances, slope=0.0):
    c = (1 + slope**2) / 2
    q, g = [], [1.0]
    for layer, v in enumerate(variances):
        q.append(sizes[layer] * v * (c * q[-1] if q else 1.0))
    for layer in range(len(variances) - 1, 0, -1):
        g.insert(0, c * sizes[layer + 1] * variances[layer] * g[0])
    q = [q[min(k, 11)] for k in range(len(q))]
    return q, g
