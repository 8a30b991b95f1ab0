# Plain C-like loops over rows and columns, the result a tuple of ints; gate gives the pair as a list with unequal weights.
def threshold_unit(inputs, weights, threshold):
    out = []
    i = 0
    while i < len(inputs):
        acc = 0.0
        j = 0
        while j < len(weights):
            acc += float(inputs[i][j]) * float(weights[j])
            j += 1
        out.append(1 if not acc < threshold else 0)
        i += 1
    return tuple(out)


def gate(name):
    table = [["AND", [2.0, 3.0], 4.0], ["OR", [2.0, 3.0], 2.0], ["NOT", [-0.25], -0.125]]
    for row in table:
        if row[0] == name:
            return row[1:]
    return None
