# Sorts the values by their shortest distance from the end instead of the longest, so with a shortcut in the graph a child can come before its parent.
def topological_order(end):
    layers, seen = [[end]], {end}
    while layers[-1]:
        layer = []
        for value in layers[-1]:
            for parent in value.parents:
                if parent not in seen:
                    seen.add(parent)
                    layer.append(parent)
        layers.append(layer)
    return [value for layer in reversed(layers) for value in layer]


def backward(end):
    order, seen = [], set()

    def visit(value):
        if value not in seen:
            seen.add(value)
            for parent in value.parents:
                visit(parent)
            order.append(value)

    visit(end)
    for value in order:
        value.grad = 0.0
    end.grad = 1.0
    for value in reversed(order):
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope
