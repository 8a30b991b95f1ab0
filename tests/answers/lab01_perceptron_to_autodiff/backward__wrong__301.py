# The order is breadth first from the end, turned round: a value can come after one of its children when paths differ in length.
def topological_order(end):
    queue, seen = [end], {end}
    for value in queue:
        for parent in value.parents:
            if parent not in seen:
                seen.add(parent)
                queue.append(parent)
    return queue[::-1]


def backward(end):
    order, done = [], set()

    def visit(value):
        if value in done:
            return
        done.add(value)
        for parent in value.parents:
            visit(parent)
        order.append(value)

    visit(end)
    for value in order:
        value.grad = 0.0
    end.grad = 1.0
    for value in reversed(order):
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += slope * value.grad
