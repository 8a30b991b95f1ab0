# Unusual: no recursion; Kahn's algorithm peels off values whose children are all done, and the gradients are gathered in a dictionary by id before they are written.
def topological_order(end):
    waiting, stack, known = {id(end): 0}, [end], {id(end): end}
    while stack:
        for parent in stack.pop().parents:
            if id(parent) not in known:
                known[id(parent)] = parent
                waiting[id(parent)] = 0
                stack.append(parent)
            waiting[id(parent)] += 1
    ready, peeled = [end], []
    while ready:
        value = ready.pop()
        peeled.append(value)
        for parent in value.parents:
            waiting[id(parent)] -= 1
            if waiting[id(parent)] == 0:
                ready.append(parent)
    return peeled[::-1]


def backward(end):
    order = topological_order(end)
    total = dict.fromkeys(map(id, order), 0.0)
    total[id(end)] = 1.0
    for value in order[::-1]:
        for i, parent in enumerate(value.parents):
            total[id(parent)] += total[id(value)] * value.slopes[i]
    for value in order:
        value.grad = total[id(value)]
