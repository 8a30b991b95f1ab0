# Kahn's algorithm without recursion: counts the children still open, and hands on from a value when none is left.
from collections import Counter, deque


def topological_order(end):
    found, stack, open_children = {id(end): end}, [end], Counter()
    while stack:
        value = stack.pop()
        for parent in value.parents:
            open_children[id(parent)] += 1
            if id(parent) not in found:
                found[id(parent)] = parent
                stack.append(parent)
    ready, order = deque([end]), deque()
    while ready:
        value = ready.popleft()
        order.appendleft(value)
        for parent in value.parents:
            open_children[id(parent)] -= 1
            if open_children[id(parent)] == 0:
                ready.append(parent)
    return list(order)


def backward(end):
    *before, last = topological_order(end)
    for value in before:
        value.grad = 0.0
    last.grad = 1.0
    for value in (last, *before[::-1]):
        for i in range(len(value.parents)):
            value.parents[i].grad += value.grad * value.slopes[i]
