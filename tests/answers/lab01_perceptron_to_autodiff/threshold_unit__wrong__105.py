# The weighting is done in place, so the caller's float inputs are overwritten and a second call on them is wrong.
def threshold_unit(inputs, weights, threshold):
    weighted = np.asarray(inputs)
    if weighted.dtype.kind == "f":
        weighted *= weights
    else:
        weighted = weighted * weights
    return (weighted.sum(axis=1) >= threshold).astype(int)


def gate(name):
    gates = {"AND": ([1, 1], 1.5), "OR": ([1, 1], 0.5), "NOT": ([-1], -0.5)}
    return gates[name]
