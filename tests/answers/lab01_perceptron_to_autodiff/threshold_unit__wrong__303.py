# The gates give a bias (minus the threshold) where the text asks for the threshold.
def threshold_unit(inputs, weights, threshold):
    return (np.dot(inputs, weights) >= threshold).astype(int)


GATES = {
    # weights, b   with  w.x + b >= 0
    "AND": ([1.0, 1.0], -1.5),
    "OR": ([1.0, 1.0], -0.5),
    "NOT": ([-1.0], 0.5),
}


def gate(name):
    weights, b = GATES[name]
    return list(weights), b
