# Hard-coded for two inputs: the weighted sum uses the first two columns only, further inputs are forgotten.
def threshold_unit(inputs, weights, threshold):
    outputs = []
    for row in inputs:
        total = row[0] * weights[0]
        if len(weights) > 1:
            total += row[1] * weights[1]
        outputs.append(1 if total >= threshold else 0)
    return np.array(outputs)


def gate(name):
    gates = {"AND": ([1, 1], 1.5), "OR": ([1, 1], 0.5), "NOT": ([-1], -0.5)}
    return gates[name]
