# Kahn's algorithm without recursion, by identity (id), counting children that are not finished; gradients are pulled from the children instead of pushed.
from collections import Counter, defaultdict, deque


def topological_order(end):
    nodes, todo = {id(end): end}, [end]
    while todo:
        for parent in todo.pop().parents:
            if id(parent) not in nodes:
                nodes[id(parent)] = parent
                todo.append(parent)
    waiting = Counter(id(parent) for node in nodes.values() for parent in node.parents)
    order, ready = deque(), deque([end])
    while ready:
        node = ready.popleft()
        order.appendleft(node)
        for parent in node.parents:
            waiting[id(parent)] -= 1
            if waiting[id(parent)] == 0:
                ready.append(parent)
    return list(order)


def backward(end):
    order = topological_order(end)
    children = defaultdict(list)
    for child in order:
        for parent, slope in zip(child.parents, child.slopes):
            children[id(parent)].append((child, slope))
    end.grad = 1.0
    for value in order[-2::-1]:
        value.grad = sum((child.grad * slope for child, slope in children[id(value)]), 0.0)
