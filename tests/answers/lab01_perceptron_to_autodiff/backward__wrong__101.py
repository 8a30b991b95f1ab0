# The order is the reverse of a breadth-first search from the end, so with paths of unequal length a parent can come after its child.
def topological_order(end):
    found, queue = [end], [end]
    while queue:
        value = queue.pop(0)
        for parent in value.parents:
            if not any(parent is other for other in found):
                found.append(parent)
                queue.append(parent)
    return found[::-1]


def backward(end):
    order = topological_order(end)
    for value in order:
        value.grad = 0.0
    end.grad = 1.0
    for value in reversed(order):
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope
