# Sorts by depth for the order, and pulls each gradient from the children by a cached recursive sum.
from functools import cache


def topological_order(end):
    depths = {}

    def depth(value):
        if value not in depths:
            depths[value] = 1 + max(map(depth, value.parents), default=-1)
        return depths[value]

    depth(end)
    return sorted(depths, key=depths.get)


def backward(end):
    order = topological_order(end)
    edges = {value: [] for value in order}
    for child in order:
        for parent, slope in zip(child.parents, child.slopes):
            edges[parent].append((child, slope))

    @cache
    def bar(value):
        return 1.0 if value is end else sum(bar(child) * slope for child, slope in edges[value])

    for value in order:
        value.grad = bar(value)
