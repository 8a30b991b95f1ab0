# backward makes a dict of parents and slopes, so that a parent that stands twice (x + x) counts once; the order is right.
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
        for parent, slope in dict(zip(value.parents, value.slopes)).items():
            parent.grad += value.grad * slope
