# The order sorts by depth (longest way to a start); backward evaluates the sum over children by memoised recursion.
def topological_order(end):
    depth = {}

    def measure(value):
        if value not in depth:
            depth[value] = 1 + max((measure(parent) for parent in value.parents), default=-1)
        return depth[value]

    measure(end)
    return sorted(depth, key=depth.get)


def backward(end):
    values = topological_order(end)
    steps = {value: [] for value in values}
    for child in values:
        for parent, slope in zip(child.parents, child.slopes):
            steps[parent].append((child, slope))
    bars = {end: 1.0}

    def bar(value):
        if value not in bars:
            bars[value] = math.fsum(bar(child) * slope for child, slope in steps[value])
        return bars[value]

    for value in values:
        value.grad = bar(value)
