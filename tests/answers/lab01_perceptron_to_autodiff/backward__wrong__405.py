# topological_order looks whether a value is in the order only after it has visited its parents, so sixty doublings never end; backward is right.
def topological_order(end):
    order = []

    def visit(value):
        for parent in value.parents:
            visit(parent)
        if value not in order:
            order.append(value)

    visit(end)
    return order


def backward(end):
    # its own order, children last
    order, seen = [], set()

    def visit(value):
        if value in seen:
            return
        seen.add(value)
        for parent in value.parents:
            visit(parent)
        order.append(value)

    visit(end)
    for value in order:
        value.grad = 0.0
    end.grad = 1.0
    for value in order[::-1]:
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope
