# The set of seen values is a mutable default argument, so topological_order of a graph is empty at the second call.
def topological_order(end, seen=set()):
    if end in seen:
        return []
    seen.add(end)
    order = []
    for parent in end.parents:
        order += topological_order(parent)
    return order + [end]


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
