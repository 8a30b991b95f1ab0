# Unusual: a generator gives the order, and the gradients are pulled by a memoised recursion from each value to its children (the formula itself), not pushed.
class _Walk:
    def __init__(self):
        self.place = {}

    def __call__(self, value):
        if id(value) in self.place:
            return
        self.place[id(value)] = None
        for parent in value.parents:
            yield from self(parent)
        self.place[id(value)] = sum(number is not None for number in self.place.values())
        yield value


def topological_order(end):
    return list(_Walk()(end))


def backward(end):
    order = topological_order(end)
    children = {id(value): [] for value in order}
    for value in order:
        for parent, slope in zip(value.parents, value.slopes):
            children[id(parent)].append((value, slope))
    memo = {id(end): 1.0}

    def bar(value):
        if id(value) not in memo:
            memo[id(value)] = sum(bar(child) * slope for child, slope in children[id(value)])
        return memo[id(value)]

    for value in order:
        value.grad = bar(value)
