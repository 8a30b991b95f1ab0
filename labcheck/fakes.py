"""What checks hand to a learner's code in place of objects of other exercises, so that none waits for another.

A function that is run beside the learner's code (see `exercise.call`) imports them from here.
"""

from __future__ import annotations

import numpy as np


class TooManySteps(Exception):
    """The learner's code looks at the nodes of a graph again and again."""


class Node:
    """A value in a graph of computations: `data`, `parents`, `slopes` (one a parent) and `grad`."""

    def __init__(self, data, parents, slopes, grad, reads):
        self.data, self.slopes, self.grad = data, slopes, grad
        self._parents, self._reads = parents, reads

    @property
    def parents(self):
        self._reads.append(None)
        if len(self._reads) > 1000 + 100 * self._reads[0]:
            raise TooManySteps("visit each value once: those of this graph are looked at again and again")
        return self._parents

    @parents.setter
    def parents(self, value):
        raise AttributeError("the parents of a value are changed, but nothing may be written except `grad`")


def graph(parents, slopes, grad=0.0):
    """The nodes of a graph, each after its parents.

    Args:
        parents: for each node the positions of its parents, which stand before it.
        slopes: for each node its derivative along each parent, numbers.
        grad: what stands in `grad` of all nodes.

    The parents of a node may be read a hundred times on average; then `TooManySteps` is raised.
    """
    nodes, reads = [], [len(parents)]
    for position, (row, steep) in enumerate(zip(parents, slopes, strict=True)):
        nodes.append(Node(float(position), tuple(nodes[i] for i in row), tuple(steep), grad, reads))
    return nodes


def random_graph(make):
    """Parents and slopes for `graph`, from a `Draw`: each node has up to two parents, sometimes the same one twice.

    In a case of zeros the slope along one of two ways is 0.
    """
    if make.kind == "zeros":
        return make.one_of(
            ([[], [0], [0], [1, 2]], [[], [2.0], [3.0], [0.0, 1.5]]),
            ([[], [0], [0], [2, 1]], [[], [2.0], [3.0], [1.5, 0.0]]),
        )
    n = make.size(4, 14)
    parents = [[], [0]] + [make.rng.integers(max(0, i - 4), i, make.size(1, 2)).tolist() for i in range(2, n)]
    parents[-1], parents[-2] = list(make.one_of((n - 2, n - 3), (n - 3, n - 2))), [n - 3]  # a long and a short way
    drawn = [np.clip(make.numbers(len(row)), -1.5, 1.5) for row in parents]
    slopes = [np.where(row == 0, 0.5, row).tolist() for row in drawn]
    return parents, slopes


def depth_first(parents, end, order):
    """The positions of all that a node is computed from, and its own: appended to `order`, parents first."""
    for parent in parents[end]:
        if parent not in order:
            depth_first(parents, parent, order)
    if end not in order:
        order.append(end)
    return order
