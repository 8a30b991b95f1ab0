# Kahn's algorithm without recursion, backwards from the end by counting children that wait; gradients are handed on in the same way.
def _from_the_end(end):
    """Generates the values, each after all its children."""
    waiting, found = {}, [end]
    met = {id(end)}
    while found:
        for parent in found.pop().parents:
            waiting[id(parent)] = waiting.get(id(parent), 0) + 1
            if id(parent) not in met:
                met.add(id(parent))
                found.append(parent)
    ready = [end]
    while ready:
        value = ready.pop()
        yield value
        for parent in value.parents:
            waiting[id(parent)] -= 1
            if waiting[id(parent)] == 0:
                ready.append(parent)


def topological_order(end):
    return list(_from_the_end(end))[::-1]


def backward(end):
    bars = {id(end): 1.0}
    for value in _from_the_end(end):
        bar = value.grad = bars[id(value)]
        for parent, slope in zip(value.parents, value.slopes):
            bars[id(parent)] = bars.get(id(parent), 0.0) + bar * slope
