# Hands a value's gradient on as soon as it is first reached, before all its children have added their part.
def topological_order(end):
    order, seen = [], set()

    def visit(value):
        if id(value) in seen:
            return
        seen.add(id(value))
        for parent in value.parents:
            visit(parent)
        order.append(value)

    visit(end)
    return order


def backward(end):
    for value in topological_order(end):
        value.grad = 0.0
    end.grad = 1.0
    todo, reached = [end], {id(end)}
    while todo:
        value = todo.pop(0)
        for parent, slope in zip(value.parents, value.slopes):
            parent.grad += value.grad * slope
            if id(parent) not in reached:
                reached.add(id(parent))
                todo.append(parent)
