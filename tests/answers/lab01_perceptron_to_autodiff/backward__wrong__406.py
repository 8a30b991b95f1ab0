# topological_order keeps its list and its set in default arguments, so a second call also returns the values of the first; backward is right.
def topological_order(end, order=[], seen=set()):
    if end not in seen:
        seen.add(end)
        for parent in end.parents:
            topological_order(parent, order, seen)
        order.append(end)
    return list(order)


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
