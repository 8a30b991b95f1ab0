"""The checks of this lab. Made from labs/source/lab06_remembering.py by `make labs`: edit that file, never this one."""

from labcheck.check import Lab

LAB = Lab('lab06_remembering', 'What does a network remember?')
checks, agrees = LAB.checks, LAB.agrees

LAB.exercise('through_time', title='Back through time', difficulty=3, importance=5, minutes=20, points=4, optional=False)
LAB.exercise('lstm_cell', title='A cell that keeps', difficulty=2, importance=5, minutes=15, points=4, optional=False)
LAB.exercise('gru_cell', title='A cell with one state', difficulty=2, importance=4, minutes=15, points=3, optional=False)
LAB.exercise('seasonal_naive', title='The forecast to beat, and a unit for errors', difficulty=2, importance=4, minutes=20, points=4, optional=False)
LAB.exercise('spectrogram', title='Which tones, and when?', difficulty=3, importance=4, minutes=20, points=4, optional=False)


import numpy as np
import torch


# fmt: off
def sequence(make):  # w, u and target go by the number of the case; a tiny case has tiny inputs and target 0
    w, u, inputs = make.one_of(0.5, -1.0, 2.0, 0.25, -0.5, 1.5, 0.0, 1.0), make.one_of(1.0, -0.5, 0.25, 2.0, 0.75), make.numbers(make.size(1, 9))
    if make.number == 0:  # a long one whose signal does not die out
        w, u, inputs = 1.0, 0.125, make.numbers(40)
    inputs[0] = 4096 * np.sign(u) if make.kind == "large" else inputs[0]  # where exp overflows
    return inputs, w, u, 0.0 if make.kind == "tiny" else make.one_of(3.0, 0.0, 0.5, -0.25)
def by_autograd(inputs, w, u, target):
    with torch.enable_grad():
        w, u = (torch.tensor(float(v), dtype=torch.float64, requires_grad=True) for v in (w, u))
        states, h = [], torch.zeros((), dtype=torch.float64)
        for x in inputs:
            h = torch.tanh(w * h + u * float(x))
            states.append(h)
        signals = torch.autograd.grad((h - target) ** 2 / 2, [*states, w, u])
    return torch.stack(signals[:-2]), *signals[-2:]
def step_after_step(inputs, w, u, target):
    h = [0.0]
    for x in inputs:
        h.append(np.tanh(w * h[-1] + u * x))
    T, for_w, for_u = len(inputs), 0.0, 0.0
    signal = [0.0] * T + [h[-1] - target]
    for t in range(T, 0, -1):
        slope = 1 - h[t] ** 2
        signal[t - 1] = signal[t] * slope * w
        for_w += signal[t] * slope * h[t - 1]
        for_u += signal[t] * slope * inputs[t - 1]
    return np.array(signal[1:]), for_w, for_u
agrees(
    "through_time", "`through_time` finds every backward signal and both slopes", target="through_time", draw=sequence, reference=by_autograd, written=step_after_step, parts=("the backward signals", "the slope of w", "the slope of u"), tolerance={"atol": 1e-12}, hint="do the two steps of the text by hand", kinds=("plain", "whole", "square", "plain", "smallest", "zeros", "doubled", "large", "square", "tiny", "plain", "square"),
    misreadings={
        "the slope of ½(h − y)² is h − y: no factor 2": ("[h[-1] - target]", "[2 * (h[-1] - target)]"), "the last signal is h − y, not y − h": ("[h[-1] - target]", "[target - h[-1]]"), "the last signal is h − y: yours leaves the target out": ("[h[-1] - target]", "[h[-1]]"), "on its way back the signal passes the slope of tanh, too: multiply by 1 − h²": ("signal[t] * slope * w", "signal[t] * w"), "on its way back the signal passes the weight: multiply by w": ("signal[t] * slope * w", "signal[t] * slope"), "on its way back the signal passes w once more in every step: go on from the new signal, not from the last one": ("signal[t] * slope * w", "signal[T] * slope * w"), "the slope of tanh belongs to the state that the step made, h_t, not to the one that it read": ("slope = 1 - h[t] ** 2", "slope = 1 - h[t - 1] ** 2"), "the slope of tanh is 1 − h²: square the state": ("1 - h[t] ** 2", "1 - h[t]"), "the slope of tanh is 1 − h², taken at the state h, which is a tanh already": ("1 - h[t] ** 2", "1 - np.tanh(h[t]) ** 2"), "the slope of w takes the state that the step read, h_{t−1}, not the one that it made": ("slope * h[t - 1]", "slope * h[t]"), "the slope of w passes the slope of tanh, too: multiply by 1 − h²": ("signal[t] * slope * h[t - 1]", "signal[t] * h[t - 1]"), "the slope of u passes the slope of tanh, too: multiply by 1 − h²": ("signal[t] * slope * inputs[t - 1]", "signal[t] * inputs[t - 1]"), "each step adds its part to both slopes: yours are those of the last step alone": ("        for_w += signal[t] * slope * h[t - 1]\n        for_u += ", "        for_w += (t == T) * signal[t] * slope * h[t - 1]\n        for_u += (t == T) * "), "each step adds its part to both slopes: use +=, yours keep the part of the first step": ("        for_w += signal[t] * slope * h[t - 1]\n        for_u +=", "        for_w = signal[t] * slope * h[t - 1]\n        for_u ="), "only the last state is compared with the target: yours compares each state": ("signal[t - 1] = signal[t] * slope * w", "signal[t - 1] = signal[t] * slope * w + (h[t - 1] - target)"), "the chain goes back to the first step: yours stops before": ("range(T, 0, -1)", "range(T, max(T - 3, 0), -1)"), "add the parts of the steps, do not take their mean": ("signal[1:]), for_w, for_u", "signal[1:]), for_w / T, for_u / T"), "the signals are the wrong way round: the first step comes first": ("np.array(signal[1:])", "np.array(signal[:0:-1])"), "the slopes are exchanged: first that of w, then that of u": ("for_w, for_u\n", "for_u, for_w\n"), "the signals are those of h_1 to h_T: leave out that of h_0": ("signal[1:])", "signal[:-1])"), "T signals are asked for, without that of h_0": ("signal[1:])", "signal)"), "the signals are along the states h_t, not along the sums inside tanh": ("np.array(signal[1:])", "np.array(signal[1:]) * (1 - np.array(h[1:]) ** 2)"), "the network starts with h_0 = 0": ("h = [0.0]", "h = [1.0]"), "the state runs through tanh in every step, forwards: yours has none": ("np.tanh(w * h[-1] + u * x)", "w * h[-1] + u * x"), "u multiplies the input, w the old state: yours are exchanged": ("np.tanh(w * h[-1] + u * x)", "np.tanh(u * h[-1] + w * x)"),
    },
)
# fmt: on


# fmt: off
def memory(make, blocks, biases, states):  # x, the states, W, U and the biases; a large case saturates the gates
    n, inputs, d = make.size(1, 6), make.size(1, 5), make.size(1, 5)
    shapes = [(n, inputs), *[(n, d)] * states, (blocks * d, inputs), (blocks * d, d), *[(blocks * d,)] * biases]
    return tuple(torch.from_numpy(np.asarray(make.numbers(*shape), float)) for shape in shapes)
def lstm_by_torch(x, h, c, W, U, b):
    return torch.lstm_cell(x, (h, c), W, U, b, torch.zeros_like(b))
def lstm_in_words(x, h, c, W, U, b):
    d, s = h.shape[1], torch.sigmoid
    z = x @ W.T + h @ U.T + b
    i, f, g, o = z[:, :d], z[:, d : 2 * d], z[:, 2 * d : 3 * d], z[:, 3 * d :]
    new = s(f) * c + s(i) * torch.tanh(g)
    return s(o) * torch.tanh(new), new
agrees(
    "lstm_cell", "`lstm_cell` makes the new states as PyTorch's does", target="lstm_cell", draw=lambda make: memory(make, 4, 1, 2), reference=lstm_by_torch, written=lstm_in_words, parts=("the new h", "the new c"), tolerance={"atol": 1e-9}, hint="do the cell of the text by hand",
    misreadings={
        "the blocks are in the order i, f, g, o: yours reads i, f, o, g": ("i, f, g, o =", "i, f, o, g ="), "the blocks are in the order i, f, g, o: yours reads f, i, g, o": ("i, f, g, o =", "f, i, g, o ="), "the blocks are in the order i, f, g, o: yours reads f, i, o, g": ("i, f, g, o =", "f, i, o, g ="), "the blocks are in the order i, f, g, o: yours reads g, i, f, o": ("i, f, g, o =", "g, i, f, o ="), "the blocks are in the order i, f, g, o: yours reads i, g, f, o": ("i, f, g, o =", "i, g, f, o ="), "the four blocks lie one below the other, d rows each: yours takes every fourth row": ("z[:, :d], z[:, d : 2 * d], z[:, 2 * d : 3 * d], z[:, 3 * d :]", "(z[:, n::4] for n in range(4))"), "the candidate g runs through tanh, so that it can be negative: yours through a sigmoid": ("torch.tanh(g)", "s(g)"), "the candidate g runs through tanh: yours is the bare sum": ("torch.tanh(g)", "g"), "the new c runs through tanh before the output gate shows it": ("torch.tanh(new), new", "new, new"), "h is made of the new c, not of the old one": ("torch.tanh(new), new", "torch.tanh(c), new"), "the old c must pass the forget gate": ("s(f) * c", "c"), "the candidate must pass the input gate": ("s(i) * torch.tanh(g)", "torch.tanh(g)"), "h must pass the output gate": ("s(o) * torch.tanh(new)", "torch.tanh(new)"), "the LSTM has an input gate of its own: yours writes 1 − f": ("s(i) * torch.tanh(g)", "(1 - s(f)) * torch.tanh(g)"), "the forget gate is the share that is kept: f, not 1 − f": ("s(f) * c", "(1 - s(f)) * c"), "the old state h is missing in the sums: add h @ U.T": (" + h @ U.T", ""), "the input x is missing in the sums: add x @ W.T": ("x @ W.T + ", ""), "the biases b are missing in the sums": (" + b\n", "\n"), "h comes back first, then c": ("    return s(o) * torch.tanh(new), new", "    return new, s(o) * torch.tanh(new)"), "the matrix U is transposed where h meets it: h @ U.T, not h @ U": ("h @ U.T", "torch.cat([h @ U[n * d : n * d + d] for n in range(4)], 1)"), "the gates see x and h alone: yours see c, too": ("new = s(f) * c + s(i) * torch.tanh(g)", "new = s(f + c) * c + s(i + c) * torch.tanh(g)"), "cut the columns in four, not the rows: dim=1": ("z[:, :d], z[:, d : 2 * d], z[:, 2 * d : 3 * d], z[:, 3 * d :]", "z.chunk(4)"), "the biases are the same for all examples: add b as a row, not as a column": (" + b\n", " + b[:, None]\n"), "the old c is lost: c' = f · c + i · g": ("s(f) * c + ", ""), "gates run through the sigmoid: the output gate is a bare sum": ("s(o) *", "o *"), "gates run through the sigmoid: the forget gate is a bare sum": ("s(f) *", "f *"), "gates run through the sigmoid: the input gate is a bare sum": ("s(i) *", "i *"), "gates run through the sigmoid, between 0 and 1: yours through tanh": ("torch.sigmoid\n", "torch.tanh\n"), "c' stands outside the tanh: only the candidate runs through it before it is added": ("new = s(f) * c + s(i) * torch.tanh(g)", "new = torch.tanh(s(f) * c + s(i) * g)"), "the second thing to return is the new c, before tanh": ("torch.tanh(new), new", "torch.tanh(new), torch.tanh(new)"), "the second thing to return is the new c: yours is the old one": ("torch.tanh(new), new", "torch.tanh(new), c"), "nothing is added to the bias of the forget gate here: it is in b": ("s(f) * c", "s(f + 1) * c"),
    },
)
def use_back(answer, name, *arguments):
    """The gradients of the sum of the first state that comes back, along all arguments."""
    import torch

    leaves = [tensor.clone().requires_grad_() for tensor in arguments]
    result = answer[name](*leaves)
    first = result[0] if isinstance(result, (list, tuple)) else result
    if not getattr(first, "requires_grad", False):
        return "no gradient"
    first.sum().backward()
    return [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
def gradients_of(function, *arguments):
    with torch.enable_grad():
        return use_back({"it": function}, "it", *(tensor.detach() for tensor in arguments))
def explain_back(got, expected, *arguments):
    if isinstance(got, str):
        return "no gradient flows through the new state: compute with PyTorch, without detach, item, data or NumPy"
agrees(
    "lstm_cell", "lets gradients flow to inputs, states and parameters", target=use_back, explain=explain_back, kinds=("plain",) * 3 + ("square",), parts=tuple(f"the gradient along {name}" for name in ("x", "h", "c", "W", "U", "b")), draw=lambda make: ("lstm_cell", *memory(make, 4, 1, 2)), reference=lambda name, *a: gradients_of(lstm_by_torch, *a), hint="if the check above is ok: is something detached on the way?",
    misreadings={"the gradient must reach the old states, too: do not detach them": lambda name, x, h, c, W, U, b: gradients_of(lambda x, h, c, *p: lstm_by_torch(x, h.detach(), c.detach(), *p), x, h, c, W, U, b)},
)
# fmt: on


# fmt: off
def gru_in_words(x, h, W, U, b, k):
    d, s = h.shape[1], torch.sigmoid
    rows = lambda m: (m[:d], m[d : 2 * d], m[2 * d :])
    (Wr, Wz, Wn), (Ur, Uz, Un), (br, bz, bn), (kr, kz, kn) = rows(W), rows(U), rows(b), rows(k)
    r = s(x @ Wr.T + h @ Ur.T + br + kr)
    z = s(x @ Wz.T + h @ Uz.T + bz + kz)
    n = torch.tanh(x @ Wn.T + bn + r * (h @ Un.T + kn))
    return (1 - z) * n + z * h
agrees(
    "gru_cell", "makes the new state as PyTorch's does", draw=lambda make: memory(make, 3, 2, 1), reference=torch.gru_cell, written=gru_in_words, tolerance={"atol": 1e-9}, hint="do the cell of the text by hand",
    misreadings={
        "z is the share of the old state that is kept: z · h, and 1 − z of the candidate": ("(1 - z) * n + z * h", "z * n + (1 - z) * h"), "r multiplies what the matrix gives, not h before the matrix": ("r * (h @ Un.T + kn)", "((r * h) @ Un.T + kn)"), "r multiplies the bias k of the candidate, too": ("r * (h @ Un.T + kn)", "(r * (h @ Un.T) + kn)"), "the reset gate r is missing in the candidate": ("r * (h @ Un.T + kn)", "(h @ Un.T + kn)"), "r multiplies only what comes from the state: not the bias b": ("bn + r * (h @ Un.T + kn)", "r * (h @ Un.T + kn + bn)"), "r multiplies only what comes from the state: not the input": ("x @ Wn.T + bn + r * (h @ Un.T + kn)", "r * (x @ Wn.T + bn + h @ Un.T + kn)"), "the blocks are in the order r, z, n: yours reads z, r, n": ("return (1", "r, z = s(x @ Wz.T + h @ Uz.T + bz + kz), s(x @ Wr.T + h @ Ur.T + br + kr)\n    n = torch.tanh(x @ Wn.T + bn + r * (h @ Un.T + kn))\n    return (1"), "the three blocks lie one below the other, d rows each: yours takes every third row": ("(m[:d], m[d : 2 * d], m[2 * d :])", "(m[0::3], m[1::3], m[2::3])"), "the candidate n runs through tanh: yours is the bare sum": ("torch.tanh(", "("), "the candidate n runs through tanh, so that it can be negative: yours through a sigmoid": ("torch.tanh(", "s("), "the biases k are missing in the gates": ("rows(k)\n", "rows(k)\n    kr, kz = 0 * kr, 0 * kz\n"), "the biases k are missing": ("rows(k)\n", "rows(0 * k)\n"), "the biases b are missing": ("rows(b), ", "rows(0 * b), "), "the candidate lacks its bias k": ("rows(k)\n", "rows(k)\n    kn = 0 * kn\n"), "the candidate lacks its bias b": ("bn + r", "r"), "the old state must be kept in part: add z · h": (" + z * h", ""), "the candidate is written with the share 1 − z: yours is written whole": ("(1 - z) * n", "n"), "the old state h is missing in the gates": ("    z = s(x @ Wz.T + h @ Uz.T + bz + kz)", "    r, z = s(x @ Wr.T + br + kr), s(x @ Wz.T + bz + kz)"), "gates run through the sigmoid, between 0 and 1: yours through tanh": ("torch.sigmoid\n", "torch.tanh\n"), "the matrix U is transposed where h meets it: h @ U.T, not h @ U": ("rows(U), rows(b)", "(u.T for u in rows(U)), rows(b)"), "the old state is kept with the share z: yours is kept whole": ("n + z * h", "n + h"), "what comes out is not run through tanh once more": ("(1 - z) * n + z * h", "torch.tanh((1 - z) * n + z * h)"), "z mixes the old state and the candidate: yours has r in its place": ("(1 - z) * n + z * h", "(1 - r) * n + r * h"),
    },
)
agrees(
    "gru_cell", "lets gradients flow to inputs, state and parameters", target=use_back, explain=explain_back, kinds=("plain",) * 3 + ("square",), hint="if the check above is ok: is something detached on the way?", parts=tuple(f"the gradient along {name}" for name in ("x", "h", "W", "U", "b", "k")), draw=lambda make: ("gru_cell", *memory(make, 3, 2, 1)), reference=lambda name, *a: gradients_of(torch.gru_cell, *a),
    misreadings={"the gradient must reach the old state, too: do not detach it": lambda name, x, h, *p: gradients_of(lambda x, h, *p: torch.gru_cell(x, h.detach(), *p), x, h, *p)},
)
# fmt: on


# fmt: off
def to_forecast(make):
    period = make.size(1, 5)
    return make.numbers(make.size(1, 4), period + make.one_of(0, 3, 1, 2 * period, 7, 4)), period, make.one_of(1, 7, 4, 12, 2, 9)
def year_by_year(history, period, horizon):
    rows = [list(row) for row in np.asarray(history)]
    for row in rows:
        for _ in range(horizon):
            row.append(row[-period])
    return np.array([row[len(row) - horizon :] for row in rows])
agrees(
    "seasonal_naive", "repeats the last season up to the horizon", draw=to_forecast, reference=year_by_year, tolerance={"atol": 1e-12, "rtol": 1e-7}, kinds=("plain", "whole", "square", "plain", "smallest", "zeros", "doubled", "large", "tiny", "plain", "square", "plain"), hint="do the history 1, 5, 3, 9 by hand",
    misreadings={
        "repeat the last season, not the first": lambda y, m, H: y[:, np.arange(H) % m], "repeat the last season, not the last value": lambda y, m, H: y[:, -1:].repeat(H, axis=1), "the forecast begins one month too late: its first value is that of one period before it": lambda y, m, H: y[:, y.shape[1] - m + (np.arange(H) + 1) % m], "the forecast begins one month too early: its first value is that of one period before it": lambda y, m, H: y[:, y.shape[1] - m + (np.arange(H) - 1) % m], "go back one period, not the whole horizon: repeat the last season": lambda y, m, H: np.concatenate([y, 0 * y[:, :1]], 1)[:, np.maximum(y.shape[1] - H + np.arange(H), 0)], "only the last season came back: repeat it up to the horizon": lambda y, m, H: y[:, y.shape[1] - m :], "too many seasons came back: cut them off at the horizon": lambda y, m, H: np.tile(y[:, y.shape[1] - m :], H), "whole seasons came back: cut them off at the horizon": lambda y, m, H: np.tile(y[:, y.shape[1] - m :], -(-H // m)), "repeat the season in its order, month after month, not each month several times": lambda y, m, H: y[:, y.shape[1] - m :].repeat(-(-H // m), axis=1)[:, :H], "the history comes back, too: return the forecast alone": lambda y, m, H: np.concatenate([y, year_by_year(y, m, H)], 1), "take the last season, not the mean of all": lambda y, m, H: np.array([[row[(len(row) + h) % m :: m].mean() for h in range(H)] for row in y]), "beyond one season go on from the last one, not from the one before": lambda y, m, H: y[:, np.maximum(y.shape[1] - m - (np.arange(H) // m) * m + np.arange(H) % m, 0)], "seasons are counted back from the end of the history, not from its start": lambda y, m, H: y[:, (y.shape[1] // m - 1) * m + np.arange(H) % m], "take the last season alone, not the mean of the last two": lambda y, m, H: np.tile((y[:, y.shape[1] - m :] + y[:, y.shape[1] - 2 * m : y.shape[1] - m]) / 2 if y.shape[1] >= 2 * m else y[:, y.shape[1] - m :], H)[:, :H], "values are no whole numbers: yours are cut off": lambda y, m, H: np.trunc(year_by_year(y, m, H)), "only whole seasons came back: the last one is cut off at the horizon, not left out": lambda y, m, H: np.tile(y[:, y.shape[1] - m :], (1, H // m))[:, :H], "repeat the season as it is: yours runs backwards": lambda y, m, H: y[:, y.shape[1] - 1 - np.arange(H) % m],
    },
)
def to_score(make):  # no series has scale 0: its last value differs from that of one period before it
    period, n, horizon = make.size(1, 4), make.size(1, 5), make.size(1, 6)
    history = make.numbers(n, period + make.one_of(3, 1, 5, 2, 9))
    history[:, -1] = history[:, -1 - period] + make.one_of(1.0, -2.0, 0.5) * (1 + np.arange(n)) * {"large": 1024.0, "tiny": 2.0**-20}.get(make.kind, 1)
    return history, make.numbers(n, horizon), make.numbers(n, horizon), period
def one_by_one(history, future, forecast, period):
    rows = []
    for y, true, said in zip(history, future, forecast):
        scale = np.mean([abs(y[t] - y[t - period]) for t in range(period, len(y))])
        rows.append([abs(a - b) / scale for a, b in zip(true, said)])
    return np.array(rows).mean(axis=0)
def parted(history, future, forecast, period):
    steps = np.abs(history[:, period:] - history[:, :-period])
    errors = np.abs(forecast - future)
    scale = steps.mean(axis=1)
    with np.errstate(all="ignore"):  # misreadings divide by 0
        return (errors / scale[:, None]).mean(axis=0)
agrees(
    "seasonal_naive", "`scaled_error` gives the error at each horizon in units of the naive forecast's past error", target="scaled_error", draw=to_score, reference=one_by_one, written=parted, tolerance={"atol": 1e-12}, hint="do the errors of the text by hand",
    misreadings={
        "one number for each horizon: take the mean over the series, axis 0": ("mean(axis=0)", "mean(axis=1)"), "one number for each horizon is asked for: yours is the mean over all": ("mean(axis=0)", "mean()"), "take absolute errors: yours keep their sign": ("np.abs(forecast - future)", "(forecast - future)"), "take absolute errors, not squares": ("errors = np.abs(forecast - future)", "errors = (forecast - future) ** 2"), "the scale is made of absolute differences: yours may cancel": ("steps = np.abs(history[:, period:] - history[:, :-period])", "steps = history[:, period:] - history[:, :-period]"), "the errors must be divided by the scale": (" / scale[:, None]", ""), "the scale compares with one period before, not with the month before": ("history[:, period:] - history[:, :-period]", "history[:, 1:] - history[:, :-1]"), "the scale is a mean over T − m differences, not over T": ("steps.mean(axis=1)", "steps.sum(axis=1) / history.shape[1]"), "the scale is a mean over the past, not a sum": ("steps.mean(axis=1)", "steps.sum(axis=1)"), "divide each series by its own scale before you take the mean: yours is a ratio of two means": ("(errors / scale[:, None]).mean(axis=0)", "errors.mean(axis=0) / scale.mean()"), "the scale is a mean, not a root of mean squares": ("steps.mean(axis=1)", "(steps**2).mean(axis=1) ** 0.5"), "the scale is a mean, not a standard deviation of the history": ("steps.mean(axis=1)", "history.std(axis=1)"), "the scale is a mean, not a median": ("steps.mean(axis=1)", "np.median(steps, axis=1)"), "take the mean over the series, not the sum": ("mean(axis=0)", "sum(axis=0)"), "np.diff(y, n) takes differences n times, not n months apart: subtract two slices": ("history[:, period:] - history[:, :-period]", "np.diff(history, period, axis=1)"), "errors divided by the scale, not by the size of the future": ("scale = steps.mean(axis=1)", "scale = np.abs(future).mean(axis=1)"), "take the mean over the series, not the median": ("(errors / scale[:, None]).mean(axis=0)", "np.median(errors / scale[:, None], axis=0)"), "the scale looks at the history alone, not at the last season of it": ("steps.mean(axis=1)", "steps[:, -period:].mean(axis=1)"), "nothing is added to the scale: no series has scale 0": (" / scale[:, None]", " / (scale[:, None] + 1e-3)"), "divide by the scale: yours multiplies": (" / scale", " * scale"), "the mean over the series is still to be taken": (".mean(axis=0)", ""),
    },
)
# fmt: on


# fmt: off
def sound(make):  # a window that is not symmetric, and a hop shorter than it, equal or longer
    n = 27 if make.number == 3 else make.size(1, 12)
    signal = make.numbers(n + make.one_of(5, 0, 11, 3, 20, 1, 30))
    hop = make.one_of(1, 3, n, 2, n + 1, max(1, n // 2))
    return torch.from_numpy(signal).float(), torch.from_numpy(np.abs(make.numbers(n)) + 1 / 4).float(), hop
def by_stft(signal, window, hop):
    return torch.stft(signal.double(), len(window), hop, window=window.double(), center=False, return_complex=True).abs()
def by_exponentials(signal, window, hop):
    n, T = len(window), len(signal)
    frames = torch.stack([signal[s : s + n].double() * window.double() for s in range(0, T - n + 1, hop)])
    t, k = torch.arange(n).double(), torch.arange(n // 2 + 1).double()
    turn = 2 * torch.pi * torch.outer(k, t) / n
    A, B = torch.cos(turn) @ frames.T, torch.sin(turn) @ frames.T
    return (A**2 + B**2) ** 0.5
agrees(
    "spectrogram", "gives the magnitudes of `torch.stft`, frame by frame", draw=sound, reference=by_stft, written=by_exponentials, tolerance={"rtol": 1e-4, "atol": 1e-5}, hint="do the frame 1, 0, −1, 0 by hand", kinds=("plain", "whole", "square", "plain", "smallest", "zeros", "doubled", "large", "plain", "square", "tiny", "plain", "square", "plain"),
    misreadings={
        "the window is missing: multiply each frame by it": (" * window.double() for", " for"), "that is the power: take the root of A² + B²": (") ** 0.5", ")"), "the sines are missing: a tone may begin anywhere in its swing": ("(A**2 + B**2) ** 0.5", "A.abs()"), "the cosines are missing: a tone may begin anywhere in its swing": ("(A**2 + B**2) ** 0.5", "B.abs()"), "add the squares before the root: yours adds |A| and |B|": ("(A**2 + B**2) ** 0.5", "A.abs() + B.abs()"), "frames are columns, frequencies are rows: yours is transposed": ("(A**2 + B**2) ** 0.5", "((A**2 + B**2) ** 0.5).T"), "frequencies end at N // 2, with it: yours lack the last one": ("torch.arange(n // 2 + 1)", "torch.arange(n // 2)"), "frequencies end at N // 2: yours go on to N − 1, the same ones again": ("torch.arange(n // 2 + 1)", "torch.arange(n)"), "frequencies begin with k = 0, the sum of the frame": ("torch.arange(n // 2 + 1)", "torch.arange(1, n // 2 + 2)"), "the angle is 2π k t / N: yours is half of it": ("2 * torch.pi", "torch.pi"), "do not double the magnitudes: both halves of the frequencies are counted once": ("(A**2 + B**2) ** 0.5", "2 * (A**2 + B**2) ** 0.5"), "no logarithm is asked for: return the magnitudes themselves": ("(A**2 + B**2) ** 0.5", "torch.log(1 + (A**2 + B**2) ** 0.5)"), "do not subtract the mean: k = 0 is the sum of the frame": ("signal[s : s + n].double()", "(signal - signal.mean())[s : s + n].double()"), "do not divide by the sum of the window": ("(A**2 + B**2) ** 0.5", "(A**2 + B**2) ** 0.5 / window.sum()"), "the angle is 2π k t / N: divide by N": (" / n\n", "\n"), "the sums are not divided by N": ("(A**2 + B**2) ** 0.5", "(A**2 + B**2) ** 0.5 / n"), "from one frame to the next lie `hop` numbers, not N": ("n + 1, hop)", "n + 1, n)"), "from one frame to the next lie `hop` numbers, not one": ("n + 1, hop)", "n + 1, 1)"), "there are 1 + (T − N) // hop frames: yours lack the last one": ("range(0, T - n + 1, hop)", "range(0, (T - n) // hop * hop, hop)"), "the last frame that fits is missing": ("T - n + 1, hop)", "max(T - n, 1), hop)"), "multiply each frame by the window once": ("signal[s : s + n].double() * window.double()", "signal[s : s + n].double() * window.double() ** 2"), "frames that would reach beyond the end are left out: do not fill them with zeros": lambda signal, window, hop: by_exponentials(F.pad(signal, (0, -(len(signal) - len(window)) % hop)), window, hop), "do not put the frames in the middle: the first begins with the first number (center=False)": lambda signal, window, hop: torch.stft(signal, len(window), hop, len(window), window, return_complex=True).abs(), "multiply by the window that is given, not by one of your own": lambda signal, window, hop: by_exponentials(signal, torch.hann_window(len(window)), hop), "the window counts from the start of each frame, not from its end": ("window.double()", "window.double().flip(0)"), "the first number of a frame has t = 0: yours begins with another wave": ("A, B = torch.cos(turn) @ frames.T, torch.sin(turn) @ frames.T", "A, B = torch.cos(turn + 1) @ frames.T, torch.sin(turn) @ frames.T"),
    },
)
# fmt: on
