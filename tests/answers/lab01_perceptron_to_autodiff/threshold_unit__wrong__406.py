# The weights of NOT are two numbers, one of them 0, though it has one input; the unit is right.
def threshold_unit(inputs, weights, threshold):
    return (inputs @ weights >= threshold).astype(int)


def gate(name):
    gates = {"AND": ([1, 1], 2), "OR": ([1, 1], 1), "NOT": ([-1, 0], 0)}
    return gates[name]
