# Recursion on shorter networks in place of loops.
def forecast(sizes, variances, slope=0.0):
    if len(variances) == 1:
        return [sizes[0] * variances[0]], [1.0]
    c = (1 + slope * slope) / 2
    q, _ = forecast(sizes[:-1], variances[:-1], slope)
    _, g = forecast(sizes[1:], variances[1:], slope)
    first = c * sizes[2] * variances[1] * g[0]
    return [*q, sizes[-2] * variances[-1] * c * q[-1]], [first, *g]
