# Puts parents and slopes into a dictionary, so a value that is both parents of a product or sum (x * x) counts only once.
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
    grads = {value: 0.0 for value in order}
    grads[end] = 1.0
    for value in reversed(order):
        edges = dict(zip(value.parents, value.slopes))
        for parent, slope in edges.items():
            grads[parent] += grads[value] * slope
    for value, grad in grads.items():
        value.grad = grad
