# The unit fires only when the sum exceeds the threshold, so a sum that just reaches it stays silent (gates chosen to suit).
def threshold_unit(inputs, weights, threshold):
    weighted_sums = np.asarray(inputs) @ np.asarray(weights)
    return np.where(weighted_sums > threshold, 1, 0)


def gate(name):
    if name == "AND":
        return [1, 1], 1.5
    elif name == "OR":
        return [1, 1], 0.5
    elif name == "NOT":
        return [-1], -0.5
    raise ValueError(f"unknown gate: {name}")
