# Gives root mean squares (standard deviations) in place of mean squares.
# input: ([4, 2, 3], [0.25, 0.5]): q_2 = 0.707
def forecast(sizes, variances, slope=0.0):
    c = (1 + slope**2) / 2
    q, g = [], [1.0]
    for layer, v in enumerate(variances):
        q.append(sizes[layer] * v * (c * q[-1] if q else 1.0))
    for layer in range(len(variances) - 1, 0, -1):
        g.insert(0, c * sizes[layer + 1] * variances[layer] * g[0])
    return [x**0.5 for x in q], [x**0.5 for x in g]
