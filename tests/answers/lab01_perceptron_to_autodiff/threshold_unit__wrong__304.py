# Treats the batch as a sequence in time: what a silent unit has collected is carried over to the next row (integrate and fire).
def threshold_unit(inputs, weights, threshold):
    potential = 0.0
    spikes = np.zeros(len(inputs), dtype=int)
    for step, current in enumerate(inputs @ weights):
        potential += current
        if potential >= threshold:
            spikes[step] = 1
            potential = 0.0  # the membrane is reset by a spike
    return spikes


def gate(name):
    match name:
        case "AND":
            return [1, 1], 1.5
        case "OR":
            return [1, 1], 0.5
        case "NOT":
            return [-1], -0.5
