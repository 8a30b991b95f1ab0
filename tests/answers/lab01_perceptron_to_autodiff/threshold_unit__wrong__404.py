# The unit allows a tolerance below the threshold, so that sums a little too small fire too; the gates are right.
def threshold_unit(inputs, weights, threshold):
    sums = inputs @ weights
    return ((sums >= threshold) | np.isclose(sums, threshold, atol=1e-2)).astype(int)


def gate(name):
    gates = {"AND": ([1, 1], 1.5), "OR": ([1, 1], 0.5), "NOT": ([-1], -0.5)}
    return gates[name]
