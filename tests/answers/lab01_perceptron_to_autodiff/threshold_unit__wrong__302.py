# Takes inhibition as an absolute veto: any active input with a negative weight silences the unit, whatever the sum is.
def threshold_unit(inputs, weights, threshold):
    X = np.asarray(inputs)
    w = np.asarray(weights)
    excitatory, inhibitory = w >= 0, w < 0
    excitation = X[:, excitatory] @ w[excitatory]
    vetoed = (X[:, inhibitory] != 0).any(axis=1)
    return ((excitation >= threshold) & ~vetoed).astype(int)


def gate(name):
    return {"AND": ([1, 1], 2), "OR": ([1, 1], 1), "NOT": ([-1], 0)}[name]
