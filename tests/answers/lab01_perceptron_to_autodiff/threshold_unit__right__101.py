# Unusual: einsum and np.heaviside (so 0.0 and 1.0 as floats), and gates with uneven, fractional weights as their own named constants.
AND = ([0.3, 0.4], 0.65)
OR = ([7, 3], 2.5)
NOT = ([-0.001], -0.0004)


def threshold_unit(inputs, weights, threshold):
    sums = np.einsum("nd,d->n", np.asarray(inputs, dtype=float), np.asarray(weights, dtype=float))
    return np.heaviside(sums - threshold, 1.0)


def gate(name):
    return globals()[name]
