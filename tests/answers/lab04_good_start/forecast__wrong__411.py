# Assumes one width and one variance: powers of the first layer's factor.
# input: ([4, 2, 3, 5], [0.25, 0.5, 1.0])
def forecast(sizes, variances, slope=0.0):
    c = (1 + slope**2) / 2
    L = len(variances)
    factor = c * sizes[1] * variances[1] if L > 1 else 1.0
    q = [sizes[0] * variances[0] * factor**k for k in range(L)]
    last = c * sizes[-1] * variances[-1]
    g = [last ** (L - 1 - k) for k in range(L)]
    return q, g
