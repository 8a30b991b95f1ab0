# The sums are stored in an integer array, so fractional sums are cut off towards zero before the comparison.
def threshold_unit(inputs, weights, threshold):
    sums = np.zeros(len(inputs), dtype=int)
    for i in range(len(inputs)):
        sums[i] = np.dot(inputs[i], weights)
    return (sums >= threshold).astype(int)


def gate(name):
    gates = {"AND": ([1, 1], 1.5), "OR": ([1, 1], 0.5), "NOT": ([-1], -0.5)}
    return gates[name]
