"""The checks of this lab. Made from labs/source/lab01_perceptron_to_autodiff.py by `make labs`: edit that file, never this one."""

from labcheck.check import Lab

LAB = Lab('lab01_perceptron_to_autodiff', 'How does a machine learn from its mistakes?')
checks, agrees = LAB.checks, LAB.agrees

LAB.exercise('threshold_unit', title='A threshold unit, and three gates', difficulty=1, importance=4, minutes=15, points=3, optional=False)
LAB.exercise('perceptron', title="Rosenblatt's rule", difficulty=2, importance=5, minutes=25, points=5, optional=False)
LAB.exercise('xor_network', title='XOR of any number of inputs', difficulty=3, importance=4, minutes=20, points=4, optional=False)
LAB.exercise('Value', title='A number that remembers', difficulty=2, importance=5, minutes=25, points=5, optional=False)
LAB.exercise('backward', title='Backwards through the graph', difficulty=3, importance=5, minutes=30, points=5, optional=False)


import numpy as np

from labcheck.compare import compare
from labcheck.exercise import call


def unit_inputs(make):
    """A batch, weights of both signs, and a threshold that one of the sums reaches exactly, or just or just not."""
    n, d = make.size(1, 40), make.size(1, 6)
    inputs, weights = make.numbers(n, d), make.numbers(d)
    return inputs, weights, make.near(inputs @ weights)


def unit(inputs, weights, threshold):
    return np.array([int(sum(w * x for w, x in zip(weights, row)) >= threshold) for row in inputs])


agrees(
    "threshold_unit", "fires when the weighted sum reaches the threshold, and gives one output a row", draw=unit_inputs, reference=unit,
    hint="compute a row by hand, best one whose sum is the threshold or just beside it",
    misreadings={
        "that is the weighted sum itself: compare it with the threshold": lambda x, w, t: x @ w,
        "the outputs are −1 and 1: a threshold unit gives 0 and 1": lambda x, w, t: np.where(x @ w >= t, 1, -1),
        "the outputs are the wrong way round: fire when the sum reaches the threshold": lambda x, w, t: x @ w < t,
        "the outputs are the wrong way round, and a sum equal to the threshold must fire": lambda x, w, t: x @ w <= t,
        "a sum equal to the threshold must fire: use >= and not >": lambda x, w, t: x @ w > t,
        "fire where the sum is larger than the threshold too, not only equal to it": lambda x, w, t: x @ w == t,
        "each input must be multiplied by its weight before you add": lambda x, w, t: x.sum(1) >= t,
        "a negative weight lowers the sum, it forbids nothing": lambda x, w, t: (x @ w >= t) & ~(x[:, w < 0] != 0).any(1),
        "a negative weight must lower the sum": lambda x, w, t: x @ np.abs(w) >= t,
        "compare the sum with the threshold, not with 0": lambda x, w, t: x @ w >= 0,
        "the threshold has the wrong sign: compare the sum with it": lambda x, w, t: x @ w + t >= 0,
        "the product runs over the wrong axis: use inputs @ weights": lambda x, w, t: w @ x >= t,
        "one output a row: do not add up the rows": lambda x, w, t: int((x @ w).sum() >= t),
        "a sum can have a fraction: do not cut it off": lambda x, w, t: (x @ w).astype(int) >= t,
        "add up all inputs, for any number of them": lambda x, w, t: x[:, :2] @ w[:2] >= t,
        "nearly is not enough: compare with the threshold itself": lambda x, w, t: x @ w >= t - 0.1,
    },
)  # fmt: skip
TABLES = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "NOT": [1, 0]}


def gate_differs(name, answer):
    """What is wrong with a gate, or None."""
    inputs = [[0], [1]] if name == "NOT" else [[0, 0], [0, 1], [1, 0], [1, 1]]
    if not isinstance(answer, (list, tuple)) or len(answer) != 2:
        return f'gate("{name}") must return a pair (weights, threshold)'
    weights, threshold = np.asarray(answer[0], dtype=float), float(answer[1])
    if weights.shape != (len(inputs[0]),):
        return f'the weights of gate("{name}") must be a list of {len(inputs[0])}, one an input'
    for x, total, fires in zip(inputs, inputs @ weights, TABLES[name]):
        if (total >= threshold) != bool(fires):
            verb, where = "reaches" if total >= threshold else "does not reach", " and ".join(map(str, x))
            return f"{name} of {where} is {fires}, but the sum {total:g} {verb} the threshold {threshold:g}"


for name in TABLES:

    @checks("threshold_unit", f"the gate {name} gives its truth table")
    def gate_check(rng, name=name):
        return gate_differs(name, (yield call("gate", name)))


import math

from labcheck.draw import CASES


def rosenblatt(inputs, labels, epochs=100):
    w, b, counts = np.zeros(inputs.shape[1]), 0, []
    for _ in range(epochs):
        counts.append(0)
        seen_w, seen_b = w, b
        for x, y in zip(inputs, labels):
            mistake = y * (math.fsum(w * x) + b) <= 0
            counts[-1] += mistake
            if mistake:
                w, b = w + y * x, b + y
        if not counts[-1]:
            break
    return w, b, counts


def pairs_twice(make):
    """Each point with both labels: no line exists. The number of epochs can be left out, and the last need not be best."""
    for _ in range(100):
        points = make.numbers(make.size(1, 8), make.size(1, 4))
        labels = np.repeat([1, -1], len(points))
        examples = np.concatenate([points, points]), labels, *make.one_of((7,), (), (2,))
        counts = rosenblatt(*examples)[2]
        if make.kind != "plain" or counts[-1] > min(counts):
            break
    return examples


def examples(make):
    n = make.size(1, 30)
    return make.numbers(n, make.size(1, 5)), make.labels(n), make.one_of(1, 3, 2)


def separable(make):
    """Points on both sides of a plane that need not run through the origin, none near it."""
    normal, shift = make.rng.normal(size=make.size(1, 5)), make.rng.normal()
    points = make.numbers(150, len(normal))
    side = (points @ normal + shift) / np.linalg.norm(normal)
    kept = np.flatnonzero(np.abs(side) > 0.3)[:30]
    return points[kept], np.sign(side[kept]).astype(int), 500


MISREADINGS = {
    "a sum of 0 is undecided and counts as a mistake: use <= 0 and not < 0": ("<= 0", "< 0"),
    "an example that is answered rightly must change nothing: correct only mistakes": ("if mistake:", "if True:"),
    "the bias never learns: add y to it at each mistake": ("b + y\n", "b\n"),
    "correct at once: the next example must already meet the new weights": ("(math.fsum(w * x) + b)", "(math.fsum(seen_w * x) + seen_b)"),
    "the correction has the wrong sign: add y * x": ("w + y * x, b + y", "w - y * x, b - y"),
    "the bias is corrected with the wrong sign: add y": ("b + y\n", "b - y\n"),
    "multiply the correction by the label: add y * x and y, not x and 1": ("w + y * x, b + y", "w + x, b + 1"),
    "`mistakes` must be a list with one number an epoch, not the sum": ("b, counts\n", "b, sum(counts)\n"),
    "the epoch without a mistake belongs into the list too, as a 0": ("b, counts\n", "b, counts[: len(counts) - (not counts[-1])]\n"),
    "the count must start at 0 again in each epoch": ("b, counts\n", "b, np.cumsum(counts)\n"),
    "stop after the first epoch without a mistake: yours goes on to the last": ("break", "pass"),
    "try all the epochs that are allowed: yours stops one too early": ("range(epochs)", "range(epochs - 1)"),
    "go through the examples again and again, not once": ("range(epochs)", "range(1)"),
    "correct an example once, then go on to the next: yours stays until it is right": (
        "if mistake:", "while y * (math.fsum(w * x) + b) <= 0:"),
    "count the mistakes while you go through an epoch, not what is wrong after it": (
        "        if not counts", "        counts[-1] = sum(y * (math.fsum(w * x) + b) <= 0 for x, y in zip(inputs, labels))\n        if not counts"),
    "stop after an epoch without a mistake: that weights and bias are as before it is not enough": ("if not counts[-1]", "if (w == seen_w).all() and b == seen_b"),
    "a sum of 0 is a mistake for both labels: yours takes it for the answer +1": ("y * (math.fsum(w * x) + b) <= 0", "(1 if math.fsum(w * x) + b >= 0 else -1) != y"),
    "a sum of 0 is a mistake for both labels: yours takes it for the answer -1": ("y * (math.fsum(w * x) + b) <= 0", "(1 if math.fsum(w * x) + b > 0 else -1) != y"),
    "go through the examples `epochs` times at most: yours does it once more": ("range(epochs)", "range(epochs + 1)"),
    "use `epochs`, and 100 where it is not given": ("range(epochs)", "range(100)"),
}  # fmt: skip
PARTS = "the weights", "the bias", "the list of mistakes"
HINT = "do two epochs by hand, as in the text: what is a mistake, what changes at once, what is returned?"
ROSENBLATT = {"reference": rosenblatt, "misreadings": MISREADINGS, "hint": HINT, "parts": PARTS}
agrees("perceptron", "corrects each mistake at once, from zero, also where a sum is exactly 0", draw=examples,
       kinds=(*CASES, "tiny"), **ROSENBLATT)  # fmt: skip
agrees("perceptron", "comes to rest at a line that separates the examples, through the origin or not", draw=separable,
       kinds=("plain", "whole", "square", "plain"), **ROSENBLATT)  # fmt: skip
agrees(
    "perceptron",
    "gives up where no line exists: after the given number of epochs, or 100",
    draw=pairs_twice,
    **ROSENBLATT,
)


def network_wrong(answer, n, inputs):
    """What is wrong with (W, t, v, s) as a network for the XOR of n inputs, or None."""
    if not isinstance(answer, (list, tuple)) or len(answer) != 4:
        return "return four things: W, t, v and s"
    expected = {"W": (n, n), "t": (n,), "v": (n,), "s": ()}
    parts = [np.asarray(part) for part in answer]
    for (name, shape), part in zip(expected.items(), parts):
        if part.dtype.kind not in "biuf" or not np.isfinite(part).all():
            return f"{name} must be made of finite numbers"
        if part.shape != shape:
            return f"for n = {n} the shape of {name} is {part.shape}, not {shape}"
    W, t, v, s = parts
    hidden = (inputs @ W.T >= t).astype(int)
    targets, outputs = inputs.sum(1) % 2, (hidden @ v >= s).astype(int)
    if (outputs == targets).all():
        return None
    first = int(np.argmax(outputs != targets))
    sentence = f"for the input {tuple(inputs[first].tolist())} the hidden units say {tuple(hidden[first].tolist())} "
    sentence += f"and the output is {outputs[first]}, not {targets[first]}"
    if (outputs == 1 - targets).all():
        return f"the output is the wrong way round for every input of n = {n}: {sentence}"
    for other in range(len(inputs)):
        if (hidden[other] == hidden[first]).all() and targets[other] != targets[first]:
            pair = f"{tuple(inputs[first].tolist())} and {tuple(inputs[other].tolist())}"
            return (
                f"the hidden layer sends {pair} to the same h, {tuple(hidden[first].tolist())}: no output can part them"
            )
    if (v >= 0).all() and n > 1:
        return f"{sentence}: no hidden unit holds the output back, so some output weight must be negative"
    return sentence


def all_inputs(n):
    return np.array(np.meshgrid(*[[0, 1]] * n, indexing="ij")).reshape(n, -1).T


for line, sizes in {
    "computes XOR of two inputs": [2],
    "computes XOR of three inputs, an odd number": [3],
    "computes XOR of any number of inputs, from one to twelve": [1, 4, 5, 6, 7, 8, 12],
}.items():

    @checks("xor_network", line)
    def computes(rng, sizes=sizes):
        for n in sizes:
            if wrong := network_wrong((yield call("xor_network", n)), n, all_inputs(n)):
                return wrong


from labcheck.transport import Opaque


def use_operation(answer, operation, a, b):
    """What an operation on Value(a) and Value(b) gives: number, parents by name, slopes; and what it leaves behind."""
    Value = answer["Value"]
    x, y = Value(a, (Value(0.5),), (3.0,)), Value(b)  # one that was computed, and one that was not
    result = {
        "a + b": lambda: x + y, "a + a": lambda: x + x, "a + 2": lambda: x + 2,
        "a * b": lambda: x * y, "a * a": lambda: x * x, "a * 2": lambda: x * 2,
        "a.tanh()": lambda: x.tanh(), "a.relu()": lambda: x.relu(),
    }[operation]()  # fmt: skip
    if not isinstance(result, Value) or result is x or result is y:
        return "an operand itself" if isinstance(result, Value) else type(result).__name__
    operands = [x.data, y.data, len(x.parents) + len(y.parents)]
    x.data = y.data = 7.0  # as an update would: what the result remembers must stay
    parents, slopes = result.parents, result.slopes
    if not isinstance(parents, (tuple, list)) or not isinstance(slopes, (tuple, list)):
        return [type(parents).__name__, type(slopes).__name__]
    names = ["a" if one is x else "b" if one is y else str(getattr(one, "data", one)) for one in parents]
    return [result.data, names, slopes, operands, [x.grad, y.grad, result.grad], bool(Value(7.0) == x)]


def operation_by_hand(operation, a, b):
    """The same from the rules."""
    t = math.tanh(a)
    number, parents, slopes = {
        "a + b": (a + b, "ab", [1, 1]), "a + a": (a + a, "aa", [1, 1]), "a + 2": (a + 2, "a2", [1, 1]),
        "a * b": (a * b, "ab", [b, a]), "a * a": (a * a, "aa", [a, a]), "a * 2": (a * 2, "a2", [2, a]),
        "a.tanh()": (t, "a", [1 - t * t]), "a.relu()": (max(a, 0), "a", [int(a > 0)]),
    }[operation]  # fmt: skip
    names = [{"2": "2.0"}.get(name, name) for name in parents]
    return [number, names, slopes, [a, b, 1], [0, 0, 0], False]


def explain_operation(got, expected, operation, a, b):
    """A sentence about what is no Value, or is not as Values must be; else None."""
    if got == "NoneType":
        return f"`{operation}` is None: is a `return` missing?"
    if isinstance(got, str):
        return f"`{operation}` is {got}, not a new Value: return Value(number, parents, slopes)"
    if len(got) == 2:
        hint = ": a tuple of one is written (self,), with the comma" if operation.endswith("()") else ""
        return f"parents and slopes of `{operation}` must be tuples, but are {got[0]} and {got[1]}{hint}"
    if compare(got[3], expected[3]):
        return "an operation changes its operands: return a new Value and leave `self` and `other` alone"
    if compare(got[4], expected[4]):
        return "an operation changes `grad`: only backward will do that, so leave it at 0"
    if got[5]:
        return "two Values with the same number are not the same: without `__eq__` they are kept apart"
    if 7.0 in got[2]:
        return (
            "slopes are the numbers of the moment when the operation is done: yours change with the parents' data later"
        )
    if any(isinstance(slope, Opaque) for slope in got[2]):
        return "slopes are plain numbers: write other.data, not other"
    if compare(got[2], [3 * slope for slope in expected[2]]) is None and any(expected[2]):
        return "a slope is along the parent alone: what the parent was computed from is no matter yet"
    if compare(got[0], expected[0]) is None and got[1] != expected[1]:
        return f"the parents of `{operation}` are ({', '.join(got[1])}), not ({', '.join(expected[1])})"


SLOPES = {
    "the slopes of a product are the wrong way round: the slope along `self` is `other.data`": ('"ab", [b, a]), "a * a": (a * a, "aa", [a, a]), "a * 2": (a * 2, "a2", [2, a])', '"ab", [a, b]), "a * a": (a * a, "aa", [a, a]), "a * 2": (a * 2, "a2", [a, 2])'),
    "the slope of a sum is 1 along each parent": ('(a + b, "ab", [1, 1]), "a + a": (a + a, "aa", [1, 1])', '(a + b, "ab", [a, b]), "a + a": (a + a, "aa", [a, a])'),
    "the slope of tanh is 1 − t² with t = tanh(z), the result itself, not 1 − z²": ("[1 - t * t]", "[1 - a * a]"),
    "the slope of tanh is 1 − t² with t = tanh(z): take tanh once, not twice": ("[1 - t * t]", "[1 - math.tanh(t) ** 2]"),
    "the slope of tanh is 1 − t²: the square is missing": ("[1 - t * t]", "[1 - t]"),
    "where the input of relu is 0, its slope is 0: use > 0 and not >= 0": ("a > 0", "a >= 0"),
    "where the input of relu is 0, its slope is 0, not a half": ("[int(a > 0)]", "[(1 + np.sign(a)) / 2]"),
    "the slope of relu is 1 or 0: it is not the number itself": ("[int(a > 0)]", "[max(a, 0)]"),
    "the slope of relu is 0 where the input is negative": ("[int(a > 0)]", "[1]"),
    "relu gives 0 where the input is negative, and leaves positive numbers alone": ("max(a, 0)", "abs(a)"),
}  # fmt: skip
FORMS = {
    "+": ("a + b", "a + a", "a + 2"),
    "*": ("a * b", "a * a", "a * 2"),
    "tanh": ("a.tanh()",),
    "relu": ("a.relu()",),
}
for symbol, forms in FORMS.items():
    agrees(
        "Value", f"`{symbol}` gives a new Value with the right number, parents and slopes", target=use_operation,
        draw=lambda make, forms=forms: (make.one_of(*forms), make.scalar(), make.scalar()), kinds=CASES * len(forms),
        reference=operation_by_hand, misreadings=SLOPES, explain=explain_operation,
        parts=(f"the number of {symbol}", "its parents", "its slopes", "its operands", "`grad`", "equality"),
    )  # fmt: skip


from labcheck.draw import cases
from labcheck.fakes import depth_first, random_graph


def use_order(answer, parents, slopes):
    """The positions of the values in the learner's order, when it is asked for the second time."""
    from labcheck.fakes import graph

    nodes = graph(parents, slopes)
    order = [answer["topological_order"](nodes[-1]) for _ in range(2)][1]
    if not isinstance(order, (list, tuple)):
        return type(order).__name__
    place = {id(node): i for i, node in enumerate(nodes)}
    return [place.get(id(node), -1) for node in list(order)[:1000]]


def use_backward(answer, parents, slopes, leftover, ends):
    """`grad` and `data` of all values after calls of backward on each of the ends."""
    from labcheck.fakes import graph

    nodes = graph(parents, slopes, leftover)
    for end in ends:
        answer["backward"](nodes[end])
    return [[node.grad for node in nodes], [node.data for node in nodes]]


def walk(parents, slopes, leftover, ends):
    """Gradients and data after backward on each of the ends, step by step."""
    grad = [float(leftover)] * len(parents)
    for end in ends:
        order = depth_first(parents, end, [])
        grad = [0.0 if place in order else grad[place] for place in range(len(parents))]
        grad[end] = 1.0
        for child in reversed(order):
            for parent, slope in zip(parents[child], slopes[child]):
                grad[parent] += grad[child] * slope
    return grad, np.arange(len(parents))


def chain(make):
    """In a tiny case the slopes are tiny and huge by turns: no gradient is too small to be handed on."""
    n = make.size(2, 9)
    slopes = [
        [2.0 ** (50 if (n - i) % 2 == 0 else -50)] if make.kind == "tiny" else make.numbers(1).tolist()
        for i in range(1, n)
    ]
    return [[]] + [[i] for i in range(n - 1)], [[]] + slopes, 0.0, [n - 1]


def explain_gradients(got, expected, parents, slopes, leftover, ends):
    if isinstance(got, list) and len(got) == 2 and compare(got[1], expected[1]):
        return "backward changes `data`: it must write nothing but `grad`"


WALKS = {
    "all gradients are 0: the derivative of the end along itself is 1, so set `end.grad` to 1 first": ("= 1.0", "= 0.0"),
    "go through the order backwards, from the end to the start": ("reversed(order)", "order"),
    "a gradient is overwritten that should be added to: use +=": ("+=", "="),
    "set every `grad` to 0 first, also of values in between, not only of those without parents": ("0.0 if place in order", "0.0 if place in order and not parents[place]"),
    "gradients of an earlier call linger: set every `grad` to 0 first": ("0.0 if place in order", "0.0 if False"),
    "multiply each slope by the gradient of the value itself: that is the chain rule": ("grad[child] * slope", "slope"),
    "go on where a gradient is 0: other values may still have one": ("            for parent, slope", "            if grad[child] == 0:\n                break\n            for parent, slope"),
}  # fmt: skip


@checks("backward")
def orders(rng):
    """puts parents before their children, each value once, and nothing that the end does not need"""
    uneven = [[], [0], [1], [0, 2]], [[], [0], [1], [2, 0]]  # a long and a short way from value 0 to the end
    graphs = [(parents, [[1.0] * len(row) for row in parents]) for parents in uneven]
    for parents, slopes, *_ in (
        *graphs,
        doublings(None),
        *cases(rng, random_graph, kinds=("smallest", "plain", "plain")),
    ):
        if wrong := order_wrong((yield call(use_order, parents, slopes)), parents):
            return wrong


def order_wrong(order, parents):
    if isinstance(order, str):
        hint = ": is a `return` missing?" if order == "NoneType" else ""
        return f"topological_order must return a list, not {order}{hint}"
    if any(place < 0 for place in order):
        return "the order must hold the values themselves, the end and all that it was computed from"
    if twice := [place for place in order if order.count(place) > 1]:
        return f"value number {twice[0]} is used twice, and stands in the order twice: remember what you have seen"
    if order[:1] == [len(parents) - 1]:
        return "the order begins with the end: parents must come before their children"
    places = depth_first(parents, len(parents) - 1, [])
    if missing := set(places) - set(order):
        return f"{len(missing)} of {len(places)} values are missing from the order: are parents of parents visited, at a second call, too?"
    for i, place in enumerate(order):
        if late := [parent for parent in parents[place] if parent not in order[:i]]:
            return f"value {place} stands before its parent, value {late[0]}: append a value after all its parents"


def to_the_end(make):
    parents, slopes = random_graph(make)
    return parents, slopes, 0.0, [len(parents) - 1]


def to_two_ends(make):
    parents, slopes = random_graph(make)
    return parents, slopes, make.one_of(0.5, 0.0), [len(parents) - 2, len(parents) - 1]


def doublings(make):
    return [[]] + [[i, i] for i in range(60)], [[]] + [[1.0, 1.0]] * 60, 0.0, [60]


for line, draw, kinds in (
    ("multiplies the slopes along a chain, starting with 1 at the end", chain, ("plain", "smallest", "square", "plain", "tiny", "tiny", "tiny")),
    ("adds up what comes over several paths, also where a slope is 0", to_the_end, ("plain", "zeros", "zeros", "whole", "square")),
    ("starts anew at each call, also for another end that shares values", to_two_ends, ("plain", "plain", "square")),
    ("visits each value once, so that sixty doublings (2^60 paths) take no time", doublings, ("plain",)),
):  # fmt: skip
    agrees(
        "backward", line, target=use_backward, draw=draw, kinds=kinds, reference=walk, misreadings=WALKS, explain=explain_gradients, hint="is one overwritten, or handed on before it is complete?", parts=("the gradients", "`data`"),
    )  # fmt: skip
