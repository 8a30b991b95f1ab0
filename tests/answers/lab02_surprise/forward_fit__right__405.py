# Exact fractions until the last square root.
def forward_fit(weights, means, sds):
    from fractions import Fraction
    from math import sqrt

    w, m, s = ([Fraction(float(x)) for x in xs] for xs in (weights, means, sds))
    mean = sum(a * b for a, b in zip(w, m)) / sum(w)
    variance = sum(a * (c * c + (b - mean) ** 2) for a, b, c in zip(w, m, s)) / sum(w)
    return float(mean), sqrt(variance)
