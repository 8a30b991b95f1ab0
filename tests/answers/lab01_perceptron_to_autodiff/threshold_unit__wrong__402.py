# The unit sums over the wrong axis, which is right for the symmetric example only; the gates are right.
def threshold_unit(inputs, weights, threshold):
    sums = (inputs * weights).sum(axis=0)
    return np.where(sums >= threshold, 1, 0)


def gate(name):
    gates = {"AND": ([1, 1], 1.5), "OR": ([1, 1], 0.5), "NOT": ([-1], -0.5)}
    return gates[name]
