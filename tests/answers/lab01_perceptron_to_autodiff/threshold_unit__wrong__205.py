# The AND gate lies exactly on its threshold in decimal fractions: 0.1 + 0.7 is below 0.8 in floating point, so it never fires.
def threshold_unit(inputs, weights, threshold):
    return (inputs @ weights >= threshold).astype(int)


def gate(name):
    gates = {"AND": ([0.1, 0.7], 0.8), "OR": ([0.1, 0.7], 0.1), "NOT": ([-0.1], 0.0)}
    return gates[name]
