# topological_order is a reversed breadth-first search, which can put a value before its parents; backward is right.
def topological_order(end):
    order = [end]
    for value in order:
        for parent in value.parents:
            if parent not in order:
                order.append(parent)
    return order[::-1]


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
