"""The checks of this lab. Made from labs/source/lab01_perceptron_to_autodiff.py by `make labs`: edit that file, never this one."""

from labcheck.check import Lab

LAB = Lab('lab01_perceptron_to_autodiff', 'How does a machine learn from its mistakes?')
checks = LAB.checks

LAB.exercise('threshold_unit', title='A threshold unit, and three gates', difficulty=1, importance=4, minutes=15, points=3, optional=False)
LAB.exercise('perceptron', title="Rosenblatt's rule", difficulty=2, importance=5, minutes=25, points=5, optional=False)
LAB.exercise('mistake_bound', title='The bound on the mistakes', difficulty=2, importance=3, minutes=15, points=3, optional=True)
LAB.exercise('hebb', title="Hebb's rule", difficulty=1, importance=2, minutes=10, points=2, optional=True)
LAB.exercise('xor_network', title='XOR of any number of inputs', difficulty=3, importance=4, minutes=20, points=4, optional=False)
LAB.exercise('Value', title='A number that remembers', difficulty=2, importance=5, minutes=25, points=5, optional=False)
LAB.exercise('backward', title='Backwards through the graph', difficulty=3, importance=5, minutes=30, points=5, optional=False)
LAB.exercise('sgd_step', title='An update with momentum', difficulty=2, importance=3, minutes=15, points=3, optional=True)


import numpy as np

from labcheck.compare import compare
from labcheck.exercise import call


def unit_differs(got, inputs, weights, threshold):
    """What is wrong with the outputs of a unit, or None."""
    sums = np.array([sum(w * x for w, x in zip(weights, row)) for row in inputs])
    expected = np.array([1 if total >= threshold else 0 for total in sums])
    if not (wrong := compare(got, expected, "the output")):
        return None
    mistakes = [
        (sums, "that is the weighted sum itself: compare it with the threshold"),
        (2 * expected - 1, "the outputs are −1 and 1: a threshold unit gives 0 and 1"),
        (1 - expected, "the outputs are the wrong way round: fire when the sum reaches the threshold"),
        (sums > threshold, "a sum equal to the threshold must fire: use >= and not >"),
        (inputs.sum(1) >= threshold, "each input must be multiplied by its weight before you add"),
        (inputs @ np.abs(weights) >= threshold, "a negative weight must lower the sum"),
        (inputs @ weights >= 0, "compare the sum with the threshold, not with 0"),
    ]
    if inputs.shape[0] == inputs.shape[1]:
        mistakes.append((weights @ inputs >= threshold, "the product runs over the wrong axis: use inputs @ weights"))
    return next((sentence for other, sentence in mistakes if compare(got, other) is None), wrong)


@checks("threshold_unit")
def fires(rng):
    """fires when the weighted sum reaches the threshold, for negative weights too"""
    for n, d in ((40, 3), (30, 6), (7, 7)):
        inputs, weights = rng.normal(size=(n, d)), rng.normal(size=d)
        threshold = float(rng.normal())
        if wrong := unit_differs(
            (yield call("threshold_unit", inputs, weights, threshold)), inputs, weights, threshold
        ):
            return wrong


@checks("threshold_unit")
def fires_at_the_threshold(rng):
    """fires on a sum that is equal to the threshold"""
    for d in (2, 5):
        inputs, weights = rng.integers(0, 2, (50, d)), rng.integers(1, 3, d)
        threshold = int((inputs @ weights)[rng.integers(50)])
        if wrong := unit_differs(
            (yield call("threshold_unit", inputs, weights, threshold)), inputs, weights, threshold
        ):
            return wrong


@checks("threshold_unit")
def one_output_a_row(rng):
    """gives one output a row, also for a single row or a single input"""
    for n, d in ((1, 4), (9, 1), (1, 1)):
        inputs, weights = rng.normal(size=(n, d)), rng.normal(size=d)
        if wrong := unit_differs((yield call("threshold_unit", inputs, weights, 0.1)), inputs, weights, 0.1):
            return wrong


@checks("threshold_unit")
def gates_decide(rng):
    """the gates AND, OR and NOT give their truth tables"""
    tables = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "NOT": [1, 0]}
    for name in rng.permutation(list(tables)):
        answer = yield call("gate", str(name))
        if not isinstance(answer, (list, tuple)) or len(answer) != 2:
            return f'gate("{name}") must return a pair (weights, threshold)'
        inputs = np.array([[0], [1]]) if name == "NOT" else np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        weights, threshold = np.asarray(answer[0]), answer[1]
        if weights.shape != (inputs.shape[1],):
            return f'the weights of gate("{name}") must be a list of {inputs.shape[1]}, one an input'
        for x, expected in zip(inputs, tables[name]):
            total = weights @ x
            if (total >= threshold) != bool(expected):
                where = " and ".join(map(str, x))
                verb = "reaches" if total >= threshold else "does not reach"
                return f"{name} of {where} is {expected}, but the sum {total:g} {verb} the threshold {threshold:g}"


def rosenblatt(inputs, labels, epochs, undecided=True, every=False, sign=1, bias=True, saved_up=False, signed=True):
    """The rule, and with other settings its usual misreadings."""
    w, b, counts = [0.0] * inputs.shape[1], 0.0, []
    for _ in range(epochs):
        count, judge_w, judge_b = 0, list(w), b
        for x, y in zip(inputs.tolist(), labels.tolist()):
            if not saved_up:
                judge_w, judge_b = list(w), b
            margin = y * (sum(one * other for one, other in zip(judge_w, x)) + judge_b)
            mistake = margin <= 0 if undecided else margin < 0
            count += mistake
            if mistake or every:
                step = sign * (y if signed else 1)
                w, b = [one + step * other for one, other in zip(w, x)], b + (step if bias else 0)
        counts.append(count)
        if not count:
            break
    return w, b, counts


MISREADINGS = {
    "a sum of 0 is undecided and counts as a mistake: use <= 0 and not < 0": {"undecided": False},
    "an example that is answered rightly must change nothing: correct only mistakes": {"every": True},
    "the bias never learns: add y to it at each mistake": {"bias": False},
    "correct at once: the next example must already meet the new weights": {"saved_up": True},
    "the correction has the wrong sign: add y * x": {"sign": -1},
    "multiply the correction by the label: add y * x, not x": {"signed": False},
}


def learned_wrong(got, inputs, labels, epochs):
    """What is wrong with (weights, bias, mistakes), or None."""
    if not isinstance(got, (list, tuple)) or len(got) != 3:
        return compare(got, "", "the result") if got is None else "return three things: weights, bias and mistakes"

    def differs(expected):
        names = ("the weights", "the bias", "the list of mistakes")
        return next((d for one, other, name in zip(got, expected, names) if (d := compare(one, other, name))), None)

    counted = np.size(got[2])
    if counted > epochs:
        return f"there are {counted} epochs where at most {epochs} are allowed"
    expected = rosenblatt(inputs, labels, epochs)
    if not (wrong := differs(expected)):
        return None
    for sentence, how in MISREADINGS.items():
        if not differs(rosenblatt(inputs, labels, epochs, **how)):
            return sentence
    if differs((*expected[:2], got[2])):
        return wrong
    counts = expected[2]
    if compare(got[2], sum(counts)) is None:
        return "`mistakes` must be a list with one number an epoch, not the sum"
    if counts[-1] == 0 and compare(got[2], counts[:-1]) is None:
        return "the epoch without a mistake belongs into the list too, as a 0"
    if compare(got[2], np.cumsum(counts)) is None:
        return "the count must start at 0 again in each epoch"
    if list(got[2][: len(counts)]) == counts and not any(got[2][len(counts) :]):
        return "stop after the first epoch without a mistake: yours goes on to the last"
    return f"{wrong} (the epochs had {counts})"


def separable(rng, n, d, margin=0.3):
    """Points on both sides of a random plane, none nearer than the margin."""
    normal = rng.normal(size=d)
    normal, shift = normal / np.linalg.norm(normal), rng.normal()
    points = rng.normal(size=(4 * n + 20, d)) * 2 - shift * normal
    side = points @ normal + shift
    kept = np.abs(side) > margin
    return points[kept][:n], np.sign(side[kept][:n]).astype(int)


@checks("perceptron")
def learns_the_first_examples(rng):
    """corrects each mistake at once, by the label times the input, and starts at zero"""
    for n, d in ((20, 4), (2, 2), (1, 3)):
        inputs, labels = rng.normal(size=(n, d)), rng.choice([-1, 1], n)
        if wrong := learned_wrong((yield call("perceptron", inputs, labels, 1)), inputs, labels, 1):
            return wrong


@checks("perceptron")
def undecided_is_a_mistake(rng):
    """counts a sum of exactly 0 as a mistake, at the start and later"""
    for d in (2, 3):
        inputs, labels = rng.integers(-1, 2, (30, d)).astype(float), rng.choice([-1, 1], 30)
        if wrong := learned_wrong((yield call("perceptron", inputs, labels, 3)), inputs, labels, 3):
            return wrong


@checks("perceptron")
def separates(rng):
    """finds a separating line where there is one, whether through the origin or not"""
    for n, d in ((10, 1), (30, 2), (40, 5)):
        inputs, labels = separable(rng, n, d)
        got = yield call("perceptron", inputs, labels, 2000)
        if wrong := learned_wrong(got, inputs, labels, 2000):
            return wrong
        if (labels * (inputs @ np.asarray(got[0]) + got[1]) <= 0).any():
            return "some examples are on the wrong side although the rule has ended"


@checks("perceptron")
def gives_up(rng):
    """gives up after the given number of epochs where no line exists"""
    for n, d, epochs in ((12, 2, 7), (8, 3, 2)):
        inputs = rng.normal(size=(n, d))
        inputs, labels = np.concatenate([inputs, inputs]), np.repeat([1, -1], n)  # each point with both labels
        if wrong := learned_wrong((yield call("perceptron", inputs, labels, epochs)), inputs, labels, epochs):
            return wrong


@checks("perceptron")
def default_epochs(rng):
    """tries 100 epochs where it is not told how many"""
    inputs, labels = rng.normal(size=(3, 2)).repeat(2, axis=0), np.tile([1, -1], 3)
    if wrong := learned_wrong((yield call("perceptron", inputs, labels)), inputs, labels, 100):
        return wrong


def bound_differs(got, inputs, labels, weights, bias):
    """What is wrong with the bound, or None."""
    import math

    radius = max(math.hypot(*x, 1.0) for x in inputs)
    length = math.hypot(*weights, bias)
    margins = [y * (math.fsum(w * one for w, one in zip(weights, x)) + bias) for x, y in zip(inputs, labels)]
    gamma = min(margins) / length
    expected = (radius / gamma) ** 2
    if not (wrong := compare(got, expected, "the bound")):
        return None
    mistakes = [
        (radius / gamma, "the bound is (R / margin) squared: the square is missing"),
        ((radius / gamma / length) ** 2, "divide the margin by the length of (weights, bias)"),
        (
            (radius / gamma / length) ** 2 * float(weights @ weights),
            "the bias belongs to the length of (weights, bias) too",
        ),
        ((radius**2 - 1) / gamma**2, "the 1 beside each input, for the bias, belongs to R too"),
        (
            math.sqrt(radius**2 - 1) / gamma,
            "the bound is (R / margin) squared, and the 1 beside each input belongs to R",
        ),
        ((radius / (np.mean(margins) / length)) ** 2, "the margin is the smallest distance, not the mean"),
        ((radius / (max(margins) / length)) ** 2, "the margin is the smallest distance, not the largest"),
    ]
    return next((sentence for other, sentence in mistakes if compare(got, other) is None), wrong)


@checks("mistake_bound")
def bound_by_hand(rng):
    """gives (c² + 1) / c² for the two examples c and −c in one dimension"""
    for c in rng.uniform(0.5, 3, 3):
        arguments = np.array([[c], [-c]]), np.array([1, -1]), np.array([1.0]), 0.0
        if wrong := bound_differs((yield call("mistake_bound", *arguments)), *arguments):
            return wrong


@checks("mistake_bound")
def bound_of_random_examples(rng):
    """is right for random examples and any line that separates them, whatever its length"""
    for n, d in ((8, 2), (25, 4), (5, 5)):
        weights, bias = rng.normal(size=d), float(rng.normal())
        inputs = rng.normal(size=(n, d))
        labels = np.where(inputs @ weights + bias > 0, 1, -1)
        for scale in (1.0, 10.0):
            arguments = inputs, labels, scale * weights, scale * bias
            if wrong := bound_differs((yield call("mistake_bound", *arguments)), *arguments):
                return wrong


@checks("mistake_bound")
def no_bound_without_separation(rng):
    """is infinite where the line does not separate the examples"""
    for n, d in ((6, 2), (20, 3)):
        weights, bias = rng.normal(size=d), float(rng.normal())
        inputs = rng.normal(size=(n, d))
        labels = np.where(inputs @ weights + bias > 0, 1, -1)
        labels[rng.integers(n)] *= -1
        got = yield call("mistake_bound", inputs, labels, weights, bias)
        if not infinite(got):
            return f"the bound is {got}, not math.inf: one example is on the wrong side, so this line proves nothing"
    got = yield call("mistake_bound", np.array([[1.0], [0.0]]), np.array([1, -1]), np.array([1.0]), 0.0)
    if not infinite(got):
        return f"the bound is {got}, not math.inf: one example lies on the line, so the margin is 0"


def infinite(got):
    return isinstance(got, (float, np.floating)) and got == np.inf


def hebb_differs(got, inputs, labels):
    """What is wrong with Hebb's weights, or None."""
    n, d = inputs.shape
    expected = np.array([sum(labels[i] * inputs[i, j] for i in range(n)) / n for j in range(d)])
    if compare(got, inputs.mean(0)) is None and compare(got, expected):
        return "multiply each input by its label before you take the mean"
    if n == d and compare(got, (labels[:, None] * inputs).mean(1)) is None and compare(got, expected):
        return "the mean runs over the wrong axis: take it over the examples"
    return compare(
        got, expected, "the vector of weights", factors={n: "a mean divides by the number of examples, once"}
    )


@checks("hebb")
def mean_of_products(rng):
    """is the mean of label times input, for several numbers of examples and inputs"""
    for n, d in ((6, 6), (12, 3), (5, 9)):
        inputs, labels = rng.normal(size=(n, d)), rng.choice([-1, 1], n)
        if wrong := hebb_differs((yield call("hebb", inputs, labels)), inputs, labels):
            return wrong


@checks("hebb")
def one_example(rng):
    """stores a single example as label times input"""
    for d in (1, 4):
        inputs, labels = rng.normal(size=(1, d)), np.array([-1])
        if wrong := hebb_differs((yield call("hebb", inputs, labels)), inputs, labels):
            return wrong


@checks("hebb")
def examples_seen_twice(rng):
    """is right where every example is there twice"""
    inputs, labels = rng.normal(size=(7, 4)), rng.choice([-1, 1], 7)
    inputs, labels = np.concatenate([inputs, inputs]), np.concatenate([labels, labels])
    return hebb_differs((yield call("hebb", inputs, labels)), inputs, labels)


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


@checks("xor_network")
def xor_of_two(rng):
    """computes XOR of two inputs"""
    return network_wrong((yield call("xor_network", 2)), 2, all_inputs(2))


@checks("xor_network")
def xor_of_three(rng):
    """computes XOR of three inputs, an odd number"""
    return network_wrong((yield call("xor_network", 3)), 3, all_inputs(3))


@checks("xor_network")
def xor_of_many(rng):
    """computes XOR of any number of inputs, from one to nine"""
    for n in (1, 4, int(rng.integers(5, 9)), 9):
        if wrong := network_wrong((yield call("xor_network", n)), n, all_inputs(n)):
            return wrong


def use_operations(answer, a, b):
    """Each operation on Value(a), Value(b): [number, parents by name, slopes], or the name of the type that came back."""
    Value = answer["Value"]
    x, y = Value(a), Value(b)
    results = {
        "a + b": x + y, "a * b": x * y, "a + a": x + x, "a * a": x * x, "a + 2": x + 2, "a * 2": x * 2,
        "a.tanh()": x.tanh(), "a.relu()": x.relu(), "b.tanh()": y.tanh(), "b.relu()": y.relu(),
    }  # fmt: skip
    found = {}
    for name, value in results.items():
        if not isinstance(value, Value):
            found[name] = type(value).__name__
            continue
        parents, slopes = value.parents, value.slopes
        if not isinstance(parents, (tuple, list)) or not isinstance(slopes, (tuple, list)):
            found[name] = [value.data, type(parents).__name__, type(slopes).__name__]
            continue
        plain = [one.data if isinstance(one, Value) else one for one in (*parents, *slopes)]
        names = ["a" if one is x else "b" if one is y else str(plain[i]) for i, one in enumerate(parents)]
        found[name] = [value.data, names, plain[len(parents) :]]
    left = [[one.data, len(one.parents), one.grad] for one in (x, y)]
    return [found, left, [value.grad for value in results.values() if isinstance(value, Value)]]


def expected_operations(a, b):
    """The same from PyTorch."""
    import torch

    x, y, two = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (a, b, 2.0))
    pairs = {"a": x, "b": y, "2.0": two}
    operations = {
        "a + b": (torch.add, "a", "b"), "a * b": (torch.mul, "a", "b"), "a + a": (torch.add, "a", "a"),
        "a * a": (torch.mul, "a", "a"), "a + 2": (torch.add, "a", "2.0"), "a * 2": (torch.mul, "a", "2.0"),
        "a.tanh()": (torch.tanh, "a"), "a.relu()": (torch.relu, "a"), "b.tanh()": (torch.tanh, "b"), "b.relu()": (torch.relu, "b"),
    }  # fmt: skip
    found = {}
    for name, (operation, *names) in operations.items():
        inputs = [pairs[one].detach().clone().requires_grad_() for one in names]
        result = operation(*inputs)
        found[name] = [result.item(), names, [slope.item() for slope in torch.autograd.grad(result, inputs)]]
    return found


def numbers_for_values(rng):
    """Pairs of numbers of both signs, and one with a zero."""
    size = rng.uniform(0.3, 1.7, (4, 2))
    return [(size[0, 0], size[0, 1]), (-size[1, 0], size[1, 1]), (size[2, 0], -size[2, 1]), (0.0, float(size[3, 0]))]


def no_value(found, left, a, b):
    """A sentence where an operation changed its operands, or gave no Value with tuples; else None."""
    for name, number, (data, parents, _) in zip("ab", (a, b), left):
        if compare(data, number) or parents:
            return f"an operation changes `{name}` itself: return a new Value and leave `self` and `other` alone"
    for name, got in found.items():
        if got == "NoneType":
            return f"`{name}` is None: is a `return` missing?"
        if isinstance(got, str):
            return f"`{name}` is {got}, not a Value: return Value(number, parents, slopes)"
        if isinstance(got[1], str):
            hint = ": a tuple of one is written (self,), with the comma" if name.endswith("()") else ""
            return f"parents and slopes of `{name}` must be tuples, but are {got[1]} and {got[2]}{hint}"
    return None


@checks("Value")
def computes(rng):
    """computes the numbers: +, *, tanh and relu, also with a plain number on the right"""
    for a, b in numbers_for_values(rng):
        found, left, _ = yield call(use_operations, float(a), float(b))
        if wrong := no_value(found, left, a, b):
            return wrong
        for name, (number, *_) in expected_operations(float(a), float(b)).items():
            if wrong := compare(found[name][0], number, f"the number of `{name}`"):
                return wrong


@checks("Value")
def remembers_parents(rng):
    """remembers its parents, in their order, and twice where one is used twice"""
    for a, b in numbers_for_values(rng)[:2]:
        found, left, _ = yield call(use_operations, float(a), float(b))
        if wrong := no_value(found, left, a, b):
            return wrong
        for name, (_, parents, _) in expected_operations(float(a), float(b)).items():
            if found[name][1] != parents:
                return f"the parents of `{name}` are ({', '.join(found[name][1])}), not ({', '.join(parents)})"


@checks("Value")
def keeps_slopes(rng):
    """keeps the slope along each parent, as PyTorch has it"""
    for a, b in numbers_for_values(rng):
        found, left, _ = yield call(use_operations, float(a), float(b))
        if wrong := no_value(found, left, a, b):
            return wrong
        for name, (number, _, slopes) in expected_operations(float(a), float(b)).items():
            got = found[name][2]
            if not (wrong := compare(got, slopes, f"the slopes of `{name}`, for a = {a:.3g} and b = {b:.3g},")):
                continue
            if "*" in name and compare(got, slopes[::-1]) is None:
                return f"the slopes of `{name}` are the wrong way round: the slope along `self` is `other.data`"
            z = a if name.startswith("a") else b
            if "tanh" in name and any(
                compare(got, [other]) is None for other in (1 - z**2, 1 - math_tanh(math_tanh(z)) ** 2)
            ):
                return "the slope of tanh is 1 − t² with t = tanh(z), the result itself"
            if "relu" in name and z == 0:
                return "where the input of relu is 0, its slope is 0: use > 0 and not >= 0"
            return wrong


def math_tanh(z):
    return float(np.tanh(z))


@checks("Value")
def leaves_operands(rng):
    """leaves its operands as they are, and every `grad` at 0"""
    for a, b in numbers_for_values(rng)[:2]:
        found, left, gradients = yield call(use_operations, float(a), float(b))
        if wrong := no_value(found, left, a, b):
            return wrong
        for name, (_, _, grad) in zip("ab", left):
            if grad:
                return f"an operation changes the `grad` of `{name}`: only backward will do that"
        if any(gradients):
            return "the `grad` of a new Value must be 0"


def use_program(answer, numbers, steps):
    """Runs a program of operations; the last number, and its derivative along each input: the sum over all paths."""
    inputs = [answer["Value"](number) for number in numbers]
    values = list(inputs)
    for operation, i, j in steps:
        if operation in "+*":
            values.append(values[i] + values[j] if operation == "+" else values[i] * values[j])
        else:
            values.append(getattr(values[i], operation)())
        if not isinstance(values[-1], answer["Value"]):
            return type(values[-1]).__name__

    def paths(end, start):
        if end is start:
            return 1.0
        return sum(slope * paths(parent, start) for parent, slope in zip(end.parents, end.slopes))

    return [values[-1].data, [paths(values[-1], one) for one in inputs]]


@checks("Value")
def differentiates_a_program(rng):
    """multiplied along paths and added up, the slopes of a random program are PyTorch's gradient"""
    import torch

    for _ in range(3):
        numbers, steps = rng.normal(size=3).tolist(), [["*", 0, 1], ["+", 3, 2], ["tanh", 4, 0]]
        for length in range(6, 12):
            steps.append([str(rng.choice(["+", "*", "tanh", "relu"])), length - 1, int(rng.integers(length))])
        leaves = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in numbers]
        values = list(leaves)
        for operation, i, j in steps:
            two = {"+": torch.add, "*": torch.mul}
            values.append(two[operation](values[i], values[j]) if operation in two else getattr(values[i], operation)())
        gradient = torch.autograd.grad(values[-1], leaves)
        got = yield call(use_program, numbers, steps)
        if isinstance(got, str):
            return f"a step of the program gives {got}, not a Value"
        for one, other, name in zip(
            got, (values[-1], gradient), ("the number at the end of a program", "the gradient")
        ):
            other = other.item() if name.startswith("the number") else [float(part) for part in other]
            if wrong := compare(one, other, name):
                return wrong


def use_order(answer, parents):
    """The positions of the values in the learner's order, for a graph given by the positions of the parents."""

    class Node:
        def __init__(self, parents):
            self.data, self.parents, self.slopes, self.grad = 0.0, parents, (1.0,) * len(parents), 0.0

    nodes = []
    for row in parents:
        nodes.append(Node(tuple(nodes[i] for i in row)))
    order = answer["topological_order"](nodes[-1])
    if not isinstance(order, (list, tuple)):
        return type(order).__name__
    place = {id(node): i for i, node in enumerate(nodes)}
    return [place.get(id(node), -1) for node in order]


def use_backward(answer, parents, slopes, leftover, calls):
    """Each node's `grad` after `calls` calls of backward on the last one, or "paths" after far too many steps."""
    reads = []

    class Node:
        def __init__(self, parents, slopes):
            self._parents, self.slopes, self.data, self.grad = parents, slopes, 0.0, leftover

        @property
        def parents(self):
            reads.append(1)
            if len(reads) > 1000 + 100 * len(nodes):
                raise TimeoutError("paths")
            return self._parents

    nodes = []
    for row, steep in zip(parents, slopes):
        nodes.append(Node(tuple(nodes[i] for i in row), tuple(steep)))
    try:
        for _ in range(calls):
            answer["backward"](nodes[-1])
    except TimeoutError:
        return "paths"
    return [node.grad for node in nodes]


def random_graph(rng, n):
    """Parents and slopes of n nodes: each has none, one or two parents before it, sometimes the same one twice."""
    parents, slopes = [[], []], [[], []]
    for i in range(2, n):
        row = rng.integers(max(0, i - 5), i, rng.integers(1, 3)).tolist() if rng.random() > 0.1 else []
        if i == n - 1:
            row = [n - 2, n - 3]
        parents.append(row)
        slopes.append(rng.choice([-1, 1], len(row)) * rng.uniform(0.5, 1.5, len(row)))
    return parents, [list(map(float, row)) for row in slopes]


def derivatives(parents, slopes):
    """Of the last node along each: the solution of (1 - S) g = e, with S[i, j] the slope of j along i, summed."""
    n = len(parents)
    S = np.zeros((n, n))
    for child, (row, steep) in enumerate(zip(parents, slopes)):
        for parent, slope in zip(row, steep):
            S[parent, child] += slope
    return np.linalg.solve(np.eye(n) - S, np.eye(n)[-1])


def reached(parents):
    """The positions from which the last node can be reached."""
    found, new = set(), {len(parents) - 1}
    while new:
        found |= new
        new = {parent for child in new for parent in parents[child]} - found
    return found


@checks("backward")
def orders(rng):
    """puts parents before their children, each value once, and nothing that the end does not need"""
    uneven = [[], [0], [1], [0, 2]], [[], [0], [1], [2, 0]]  # a long and a short way from value 0 to the end
    for parents in (*uneven, *(random_graph(rng, n)[0] for n in (3, 6, 25))):
        n = len(parents)
        order = yield call(use_order, parents)
        if isinstance(order, str):
            return f"topological_order must return a list, not {order}" + (
                ": is a `return` missing?" if order == "NoneType" else ""
            )
        if not order or any(place < 0 for place in order):
            return "the order must hold the values themselves, the end and all that it was computed from"
        needed = reached(parents)
        if twice := [place for place in order if order.count(place) > 1]:
            return f"value number {twice[0]} is used more than once, and stands in the order more than once: remember what you have seen"
        if order[0] == n - 1:
            return "the order begins with the end: parents must come before their children"
        if missing := sorted(needed - set(order)):
            return (
                f"{len(missing)} of {len(needed)} values are missing from the order: visit the parents of parents too"
            )
        for i, place in enumerate(order):
            if late := [parent for parent in parents[place] if parent not in order[:i]]:
                return f"value number {place} stands before its parent, number {late[0]}: append a value after all its parents"


@checks("backward")
def follows_a_chain(rng):
    """multiplies the slopes along a chain, starting with 1 at the end"""
    for n in (2, 4, 9):
        parents = [[]] + [[i] for i in range(n - 1)]
        slopes = [[]] + [[float(rng.uniform(0.5, 2) * rng.choice([-1, 1]))] for _ in range(n - 1)]
        got = yield call(use_backward, parents, slopes, 0.0, 1)
        if not (wrong := gradient_wrong(got, parents, slopes)):
            continue
        if not any(got):
            return "all gradients are 0: the derivative of the end along itself is 1, so set `end.grad` to 1 first"
        if n > 2 and not any(got[:-2]) and compare(got[-1], 1.0) is None:
            return "only the parents of the end got a gradient: go through the order backwards"
        if compare(got[-1], 1.0):
            return f"the gradient of the end is {got[-1]:.4g}, not 1: the derivative of a value along itself is 1"
        return wrong


@checks("backward")
def adds_up(rng):
    """adds up what comes from several children, and from one child twice"""
    x, y, z = rng.uniform(0.5, 2, 3)
    for parents, slopes in (
        ([[], [0, 0]], [[], [x, y]]),  # one child, twice
        ([[], [0], [0], [1, 2]], [[], [x], [y], [z, 1]]),  # a diamond
        ([[], [0], [1, 0], [2, 1]], [[], [x], [y, z], [1, y]]),  # paths of different lengths
    ):
        got = yield call(use_backward, parents, [list(map(float, row)) for row in slopes], 0.0, 1)
        if wrong := gradient_wrong(got, parents, slopes):
            return f"{wrong}. Is a gradient overwritten that should be added to, or handed on before it is complete?"


@checks("backward")
def random_graphs(rng):
    """agrees with the solution of the linear equations for random graphs, and when it is called again"""
    for n in (5, 12, 30):
        parents, slopes = random_graph(rng, n)
        needed = sorted(reached(parents))
        expected = derivatives(parents, slopes)[needed]
        for leftover, calls in ((0.0, 1), (float(rng.normal()), 1), (0.0, 2)):
            got = yield call(use_backward, parents, slopes, leftover, calls)
            if got == "paths":
                return too_many_paths(n)
            if wrong := compare([got[i] for i in needed], expected, "the list of gradients", rtol=1e-6, atol=1e-7):
                again = leftover or calls > 1
                return "gradients of an earlier call linger: set every `grad` to 0 first" if again else wrong


@checks("backward")
def visits_each_once(rng):
    """visits each value once, so that sixty doublings (2^60 paths) take no time"""
    n = 61
    parents, slopes = [[]] + [[i, i] for i in range(n - 1)], [[]] + [[1.0, 1.0]] * (n - 1)
    return gradient_wrong((yield call(use_backward, parents, slopes, 0.0, 1)), parents, slopes)


def too_many_paths(n):
    return f"this graph has {n} values and far more paths, and you follow each: visit each value once, in the order"


def gradient_wrong(got, parents, slopes):
    if got == "paths":
        return too_many_paths(len(parents))
    return compare(got, derivatives(parents, slopes), "the list of gradients")


def use_sgd(answer, start, gradients, learning_rate, momentum):
    """Parameters and velocities after each of several updates with the given gradients [updates, parameters]."""

    class Parameter:
        def __init__(self, data):
            self.data, self.grad, self.parents, self.slopes = data, 0.0, (), ()

    parameters = [Parameter(number) for number in start]
    velocities, history = [0.0] * len(start), []
    for row in gradients:
        for parameter, gradient in zip(parameters, row):
            parameter.grad = gradient
        velocities = answer["sgd_step"](parameters, velocities, learning_rate, momentum)
        if not isinstance(velocities, (list, tuple)):
            return type(velocities).__name__
        history.append([[one.data for one in parameters], list(velocities), [one.grad for one in parameters]])
    return history


def sgd_wrong(got, start, gradients, learning_rate, momentum):
    """What is wrong with the history of updates, against torch.optim.SGD, or None."""
    import torch

    if isinstance(got, str):
        return f"return the list of the new velocities, not {got}"
    theta = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=learning_rate, momentum=momentum)
    for number, (row, (data, velocities, left)) in enumerate(zip(gradients, got), 1):
        before = theta.detach().clone().numpy()
        theta.grad = torch.tensor(row, dtype=torch.float64)
        optimizer.step()
        moved = theta.detach().numpy() - before
        if wrong := compare(np.asarray(data) - before, moved, f"the step of update {number}"):
            if compare(data, before) is None:
                late = "the old velocity moves the parameters: use the new one" if number == 1 else ""
                return late or "the parameters do not move: change `data` of each parameter"
            if compare(np.asarray(data) - before, -moved) is None:
                return "the parameters move uphill: the gradient is subtracted"
            if compare(np.asarray(data) - before, -learning_rate * np.array(row)) is None:
                return f"update {number} forgets the velocity: keep momentum times what it was"
            return wrong
        if wrong := compare(velocities, moved, f"the list of velocities after update {number}"):
            return wrong
        if wrong := compare(left, row, "the list of gradients afterwards"):
            return f"{wrong}: an update leaves `grad` alone"


@checks("sgd_step")
def without_momentum(rng):
    """is the plain update where the momentum is 0"""
    start, gradients = rng.normal(size=4).tolist(), rng.normal(size=(3, 4)).tolist()
    arguments = start, gradients, float(rng.uniform(0.05, 0.5)), 0.0
    return sgd_wrong((yield call(use_sgd, *arguments)), *arguments)


@checks("sgd_step")
def with_momentum_as_torch(rng):
    """moves parameters as torch.optim.SGD does, over several updates with momentum"""
    for n in (5, 1):
        start, gradients = rng.normal(size=n).tolist(), rng.normal(size=(6, n)).tolist()
        arguments = start, gradients, float(rng.uniform(0.05, 0.5)), float(rng.uniform(0.5, 0.95))
        if wrong := sgd_wrong((yield call(use_sgd, *arguments)), *arguments):
            return wrong


@checks("sgd_step")
def rolls_on(rng):
    """rolls on with momentum when the gradient is 0"""
    start, rate, momentum = [0.0], 0.5, float(rng.uniform(0.3, 0.9))
    gradients = [[1.0], [0.0], [0.0]]
    got = yield call(use_sgd, start, gradients, rate, momentum)
    return sgd_wrong(got, start, gradients, rate, momentum)
