# Does not hand on gradients smaller than 1e-12, so small slopes followed by large ones give 0.
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
    for value in order:
        value.grad = 0.0
    end.grad = 1.0
    for value in reversed(order):
        if abs(value.grad) < 1e-12:  # nothing to pass on
            continue
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope
