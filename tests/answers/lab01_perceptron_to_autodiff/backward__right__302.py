# Linear algebra: the gradients solve (1 - A) g = e with the matrix A of all slopes in topological order.
def topological_order(end):
    def closure(value, order):
        for parent in value.parents:
            if id(parent) not in order:
                closure(parent, order)
        order[id(value)] = value
        return order

    return list(closure(end, {}).values())


def backward(end):
    order = topological_order(end)
    place = {id(value): i for i, value in enumerate(order)}
    A = np.zeros((len(order), len(order)))
    for value in order:
        for parent, slope in zip(value.parents, value.slopes):
            A[place[id(parent)], place[id(value)]] += slope
    e = np.zeros(len(order))
    e[place[id(end)]] = 1.0
    g = np.linalg.solve(np.eye(len(order)) - A, e)
    for value, grad in zip(order, g):
        value.grad = grad  # a numpy number
