# A class with methods for the two directions; exact fractions inside.
from fractions import Fraction


class _Chain:
    def __init__(self, sizes, variances, slope):
        self.n = [Fraction(n) for n in sizes]
        self.v = [Fraction(v) for v in variances]
        self.c = (1 + Fraction(slope) ** 2) / 2

    def ahead(self):
        value, c = Fraction(1), Fraction(1)
        for n, v in zip(self.n, self.v):
            value *= n * v * c
            c = self.c
            yield float(value)

    def back(self, layer):
        if layer == len(self.v):
            return Fraction(1)
        return self.c * self.n[layer + 1] * self.v[layer] * self.back(layer + 1)


def forecast(sizes, variances, slope=0.0):
    chain = _Chain(sizes, variances, slope)
    return list(chain.ahead()), [float(chain.back(k)) for k in range(1, len(variances) + 1)]
