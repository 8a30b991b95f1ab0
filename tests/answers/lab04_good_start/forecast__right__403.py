# itertools.accumulate with different order of multiplication.
def forecast(sizes, variances, slope=0.0):
    c = 0.5 + 0.5 * slope**2
    factors = [n * c * v for n, v in zip(sizes[1:], variances[1:])]
    q = list(itertools.accumulate(factors, lambda s, t: t * s, initial=sizes[0] * variances[0]))
    outs = [v * n * c for n, v in zip(sizes[2:], variances[1:])]
    g = list(itertools.accumulate(reversed(outs), lambda s, t: t * s, initial=1.0))
    return q, list(reversed(g))
