# Writes the slopes as a matrix and gets all gradients at once by solving a linear system; the order is a generator turned into a list.
def topological_order(end):
    def walk(value, seen):
        if id(value) not in seen:
            seen.add(id(value))
            for parent in value.parents[::-1]:
                yield from walk(parent, seen)
            yield value

    return [*walk(end, set())]


def backward(end):
    order = topological_order(end)
    place = {id(value): i for i, value in enumerate(order)}
    slopes = np.zeros((len(order), len(order)))
    for value in order:
        for parent, slope in zip(value.parents, value.slopes):
            slopes[place[id(parent)], place[id(value)]] += slope
    last = np.zeros(len(order))
    last[-1] = 1.0
    gradients = np.linalg.solve(np.eye(len(order)) - slopes, last)  # grad = last + slopes @ grad
    for value, gradient in zip(order, gradients):
        value.grad = float(gradient)
