"""The checks of this lab. Made from labs/source/lab03_faster_downhill.py by `make labs`: edit that file, never this one."""

from labcheck.check import Lab

LAB = Lab('lab03_faster_downhill', 'How do you get downhill faster?')
checks, agrees = LAB.checks, LAB.agrees

LAB.exercise('momentum', title="Momentum, plain and Nesterov's", difficulty=2, importance=5, minutes=25, points=4, optional=False)
LAB.exercise('adam', title='Adam and AdamW', difficulty=3, importance=5, minutes=30, points=5, optional=False)
LAB.exercise('schedules', title='Cosine and warm-up', difficulty=2, importance=4, minutes=20, points=4, optional=False)
LAB.exercise('clip', title='Clip by the global norm', difficulty=2, importance=4, minutes=20, points=3, optional=False)


# fmt: off
import numpy as np
import torch


def use_updates(answer, name, x, gradients, rates, settings):
    """The positions after each update, for two rows of x in turn, each with a state of its own; or what is wrong."""
    import numpy as np
    step, rows, states, path = answer[name], [row.copy() for row in x], [{}, {}], []
    kept = gradients.copy()
    for g, rate in zip(gradients, rates):
        for i in (0, 1):
            before = rows[i].copy()
            found = step(rows[i], g[i], states[i], rate, **settings)
            if not isinstance(found, (tuple, list)) or len(found) != 2:
                return "return two things, the new parameters and the new state" + ("; None came back: is a `return` missing?" if found is None else "")
            if not np.array_equal(rows[i], before, equal_nan=True):
                return "`x` is changed in place, which its caller still needs: write x - ..., not x -= ..."
            if not np.array_equal(gradients, kept):
                return "a gradient is changed in place, at once or by a later call: work on a copy"
            if np.shape(found[0]) != before.shape:
                return "the new parameters must have the shape of x: work on each number by itself"
            rows[i], states[i] = np.array(found[0], dtype=float), found[1]
        path.append([row.copy() for row in rows])
    alone, state = x[0].copy(), {}
    for g, rate in zip(gradients, rates):
        alone, state = step(alone, g[0], state, rate, **settings)
    apart = np.allclose(np.array(alone, dtype=float), rows[0], rtol=1e-3, atol=1e-4, equal_nan=True)
    return path if apart else "two networks that are trained in turn disturb each other: keep all memory in `state`"
def updates_of(name, *choices):
    """A draw of two rows or matrices of parameters, gradients of up to 120 updates, rates (one, a rate each, or a rate a row), settings."""
    def draw(make):
        shape, count = (make.size(1, 5),), 1 if make.kind == "smallest" else 120 if make.number == 0 else make.size(3, 12)
        shape = shape if make.number % 3 else (make.size(2, 3), make.size(2, 4))
        drift = 0.0 if make.kind in ("large", "tiny") else 0.25 * (make.number % 3)
        gradients, rates = make.numbers(count, 2, *shape) + drift, 2.0 ** -make.rng.integers(3, 7, (count, *shape))
        gradients[0] = 0.0 if make.kind == "zeros" else gradients[0]
        rates = rates[..., :1] if make.number == 9 else rates
        rates = list(rates) if make.number % 2 else [float(each.flat[0]) for each in rates]
        return name, make.numbers(2, *shape), gradients, rates, dict(make.one_of(*choices))
    return draw
def equals(name, line, settings, build, written, misreadings, hint, kinds):
    def torch_path(name, x, gradients, rates, settings):  # where rates differ, each number of x is a parameter group
        parts = lambda both: both.reshape(2, -1).T if np.ndim(rates[0]) else [both]
        columns = [torch.tensor(part, dtype=torch.float64, requires_grad=True) for part in parts(x)]
        optimizer, found = build([{"params": [column]} for column in columns], **settings), []
        for g, rate in zip(gradients, rates):
            each = np.broadcast_to(rate, x.shape[1:]).ravel()
            for group, column, slope, own in zip(optimizer.param_groups, columns, parts(g), each):
                group["lr"], column.grad = float(own), torch.tensor(slope, dtype=torch.float64)
            optimizer.step()
            now = torch.stack([column.detach() for column in columns], dim=1 if np.ndim(rate) else 0)
            found.append(now.numpy().reshape(x.shape).copy())
        return found
    agrees(name, line, target=use_updates, draw=updates_of(name, *settings), reference=torch_path, written=written, misreadings=misreadings,
           hint=hint, kinds=kinds, explain=lambda got, *_: got if isinstance(got, str) else None, tolerance={"rtol": 1e-4, "atol": 1e-5})
def momentum_by_hand(name, x, gradients, rates, settings):
    beta, nesterov, path = settings.get("beta", 0.9), settings.get("nesterov", False), []
    v = np.zeros_like(x)
    for g, rate in zip(gradients, rates):
        old = v
        v = beta * v + g
        step = g + beta * v if nesterov else v
        x = x - rate * step
        path.append(x)
    return path
MOMENTUM = {
    "the velocity adds the gradient itself: beta * v + g, without (1 - beta)": ("beta * v + g\n", "beta * v + (1 - beta) * g\n"), "the rate belongs into the step and not into the velocity: it may be another at the next update": ("v = beta * v + g\n", "v = beta * v + rate * g\n        g, rate = rate * g, 1.0\n"),
    "the rate comes in twice: only the step has it, not the velocity": ("v = beta * v + g\n", "v = beta * v + rate * g\n"), "remember the velocity: yours begins at 0 in each update": ("v = beta * v + g\n", "v = g\n"),
    "the velocity must forget: multiply the old one by beta": ("v = beta * v + g\n", "v = v + g\n"), "the sign is wrong: go against the gradient": ("x - rate", "x + rate"),
    "step by the new velocity: yours is one update behind": ("else v", "else old"), "multiply the old velocity by beta, and not the gradient too": ("v = beta * v + g\n", "v = beta * (v + g)\n"), "use `beta`, and 0.9 where it is not given": ('settings.get("beta", 0.9)', "0.9"),
    "plain momentum steps by v alone: yours takes Nesterov's step always": ("else v", "else g + beta * v"), "each number can have a rate of its own: yours takes one for all": ("x - rate", "x - np.max(rate)"),
    "each number can have a rate of its own: yours takes their mean": ("x - rate", "x - np.mean(rate)"), "each number can have a rate of its own: yours takes one for each row": ("x - rate", "x - (rate[:, :1] if np.ndim(rate) == 2 else rate)"),
    "the rate can change: use the one that comes with each update, not the first one's": ("zip(gradients, rates):", "zip(gradients, [rates[0]] * len(rates)):"), "the first velocity is g; later ones add g as well, without (1 - beta)": ("v = beta * v + g\n", "v = beta * v + (1 - beta) * g if path else g\n"),
}
NESTEROV = MOMENTUM | {
    "what the next update needs is the velocity, not the whole step": ("        x = x - rate * step", "        v = step\n        x = x - rate * step"),
    "Nesterov's step is g + beta * v with the new v (with the old one it is plain momentum, as yours)": ("if nesterov", "if False"), "Nesterov's step is g + beta * v: the gradient is missing": ("g + beta * v if", "beta * v if"),
    "Nesterov's step is g + beta * v: beta is missing": ("g + beta * v if", "g + v if"), "Nesterov looks ahead in each update: yours does so in the first alone": ("if nesterov", "if not path"),
}
for plain in ("step by the new velocity: yours is one update behind", "plain momentum steps by v alone: yours takes Nesterov's step always"):
    del NESTEROV[plain]
SGD = lambda groups, beta=0.9, nesterov=False: torch.optim.SGD(groups, lr=1.0, momentum=beta, nesterov=nesterov)
PLAIN = ("plain", "whole", "square", "plain", "smallest", "zeros", "doubled", "large", "plain", "square")
FIRST = "do two updates by hand, as in the text: what is remembered, and what is the step?"
equals("momentum", "equals torch.optim.SGD with momentum, over up to 120 updates", ({}, {"beta": 0.5}, {"nesterov": False, "beta": 0.75}), SGD, momentum_by_hand, MOMENTUM, FIRST, PLAIN)
equals("momentum", "equals it with nesterov=True, too", ({"nesterov": True}, {"beta": 0.5, "nesterov": True}), SGD, momentum_by_hand, NESTEROV, FIRST, PLAIN)
# fmt: on


# fmt: off
EVERY = ("plain", "tiny", "zeros", "whole", "square", "smallest", "zeros", "tiny", "doubled", "large", "plain", "tiny")
def adam_by_hand(name, x, gradients, rates, settings):
    beta1, beta2 = settings.get("beta1", 0.9), settings.get("beta2", 0.999)
    eps, decay, path = settings.get("eps", 1e-8), settings.get("decay", 0.0), []
    m, s = np.zeros_like(x), np.zeros_like(x)
    for t, (g, rate) in enumerate(zip(gradients, rates), 1):
        shrink = decay
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g**2
        above, below = m / (1 - beta1**t), np.sqrt(s / (1 - beta2**t)) + eps
        x = x - rate * shrink * x - rate * above / below
        path.append(x)
    return path
def adam_of_torch(groups, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    return torch.optim.AdamW(groups, lr=1.0, betas=(beta1, beta2), eps=eps, weight_decay=decay)
ADAM = {
    "the correction for the start is missing: divide the means by 1 - beta**t": ("m / (1 - beta1**t), np.sqrt(s / (1 - beta2**t))", "m, np.sqrt(s)"), "correct both means for the start: that of the squares is not": ("s / (1 - beta2**t)", "s"),
    "correct both means for the start: that of the gradients is not": ("m / (1 - beta1**t)", "m"), "the first update has t = 1: with t = 0 you divide by 1 - beta**0, which is 0": ("zip(gradients, rates), 1)", "zip(gradients, rates), 0)"),
    "the first update has t = 1: yours counts one too many": ("zip(gradients, rates), 1)", "zip(gradients, rates), 2)"), "t grows by 1 in each update: yours stays at 1": ("        above", "        t = 1\n        above"),
    "epsilon stands outside of the root: the root first, then + eps": ("np.sqrt(s / (1 - beta2**t)) + eps", "np.sqrt(s / (1 - beta2**t) + eps)"), "epsilon comes after the correction: it is not corrected itself": ("np.sqrt(s / (1 - beta2**t)) + eps", "(np.sqrt(s) + eps) / np.sqrt(1 - beta2**t)"),
    "epsilon is missing: where all gradients were 0, yours divides 0 by 0": ("np.sqrt(s / (1 - beta2**t)) + eps", "np.sqrt(s / (1 - beta2**t))"),
    "store the means without the correction: yours are corrected again and again": ("        x = x", "        m, s = above, s / (1 - beta2**t)\n        x = x"), "above the line stands the mean of the gradients, not this gradient alone": ("above, below = m / (1 - beta1**t)", "above, below = g"),
    "beta1 is the share of the old mean, 1 - beta1 that of the new gradient": ("beta1 * m + (1 - beta1) * g", "(1 - beta1) * m + beta1 * g"), "a running mean: multiply the new gradient by (1 - beta1)": ("+ (1 - beta1) * g\n", "+ g\n"), "a running mean: multiply the new square by (1 - beta2)": ("(1 - beta2) * g**2", "g**2"),
    "beta1 belongs to the mean, beta2 to the mean of the squares: yours are the wrong way round": ("beta1, beta2 = settings.get(\"beta1\", 0.9), settings.get(\"beta2\", 0.999)", "beta2, beta1 = settings.get(\"beta1\", 0.9), settings.get(\"beta2\", 0.999)"),
    "the correction is 1 - beta**t, a power: yours multiplies": ("m / (1 - beta1**t), np.sqrt(s / (1 - beta2**t))", "m / (1 - beta1 * t), np.sqrt(np.abs(s / (1 - beta2 * t)))"),
    "the sign is wrong: go against the gradient": ("- rate * above", "+ rate * above"), "correct the mean square before you take its root, not afterwards": ("np.sqrt(s / (1 - beta2**t))", "np.sqrt(s) / (1 - beta2**t)"),
    "average the squares of the gradients, not of their distances from the mean": ("* g**2", "* (g - m) ** 2"), "add epsilon to the root: yours takes the larger of the two": ("np.sqrt(s / (1 - beta2**t)) + eps", "np.maximum(np.sqrt(s / (1 - beta2**t)), eps)"),
    "a gradient is not cut off: leave a step longer than the rate as it is": ("rate * above / below", "rate * np.clip(above / below, -1, 1)"), "use `beta1` and `beta2`, and 0.9 and 0.999 where they are not given": ('settings.get("beta1", 0.9), settings.get("beta2", 0.999)', "0.9, 0.999"),
    "correct the means in every update: yours stops it after a while": ("        above", "        t = t if t <= 100 else 10**6\n        above"),
    "below the line stands the mean square of now, not the largest so far": ("        above, below = m / (1 - beta1**t), np.sqrt(s / (1 - beta2**t)) + eps", "        top = s / (1 - beta2**t) if t == 1 else np.maximum(top, s / (1 - beta2**t))\n        above, below = m / (1 - beta1**t), np.sqrt(top) + eps"),
    "use `eps`, and 1e-8 where it is not given": ('settings.get("eps", 1e-8)', "1e-8"), "each number has a size of its own: do not average over the array": ("* g**2", "* np.mean(g**2, axis=tuple(range(1, g.ndim)), keepdims=True)"),
}
ADAMW = ADAM | {
    "the decay is missing: multiply x by 1 - rate * decay": ("- rate * shrink * x", ""), "the decay belongs beside the step: added to the gradient it is divided by its size (Adam before AdamW)": ("        shrink = decay\n", "        g, shrink = g + decay * x, 0.0\n"),
    "the decay goes at the rate too: multiply x by 1 - rate * decay": ("- rate * shrink * x", "- shrink * x"), "shrink x as it was before the step: yours shrinks it afterwards": ("x - rate * shrink * x - rate * above / below", "(1 - rate * shrink) * (x - rate * above / below)"),
    "the decay shrinks x by a share: multiply rate * decay by x": ("- rate * shrink * x", "- rate * shrink"), "a decay shrinks x: the sign is wrong": ("- rate * shrink * x", "+ rate * shrink * x"),
    "the decay goes at each number's own rate: yours takes their mean": ("- rate * shrink * x", "- np.mean(rate) * shrink * x"), "the decay shrinks x in every update: yours does so in the first alone": ("shrink = decay", "shrink = decay if t == 1 else 0.0"),
}
THIRD = "do the first update by hand, as in the text, then the second: what is t, what is stored?"
equals("adam", "equals torch.optim.Adam, over up to 120 updates", ({}, {"beta1": 0.5}, {"beta2": 0.5, "eps": 0.5}, {"beta1": 0.75, "beta2": 0.875, "eps": 1e-3}), adam_of_torch, adam_by_hand, ADAM, THIRD, EVERY)
equals("adam", "equals torch.optim.AdamW where there is a decay", ({"decay": 0.5}, {"decay": 2.0, "eps": 0.5}, {"decay": 1.0, "beta1": 0.5}), adam_of_torch, adam_by_hand, ADAMW, THIRD, PLAIN)
# fmt: on


# fmt: off
TORCH = torch.optim.lr_scheduler
def torch_factor(scheduler, update, *settings):
    """The factor of a PyTorch scheduler at an update, counted 0, 1, ..."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = scheduler(optimizer, *settings)
    for _ in range(update):
        optimizer.step()
        scheduler.step()
    return optimizer.param_groups[0]["lr"]
def warmed(update, updates, warm=0):
    if update < warm:
        return torch_factor(TORCH.LinearLR, update, 1 / warm, 1.0, warm - 1) if warm > 1 else 1.0
    return torch_factor(TORCH.CosineAnnealingLR, update - warm, updates - warm)
def warm_by_hand(update, updates, warm=0):
    if update < warm:
        return (update + 1) / warm
    share = (update - warm) / (updates - warm)
    return (1 + np.cos(np.pi * share)) / 2
def cosine_inputs(make):
    updates = make.size(1, 40)
    return int(make.one_of(0, updates - 1, updates, *make.rng.integers(0, updates, 4))), updates
def warm_inputs(make):
    warm = make.one_of(0, 1, make.size(2, 12), make.size(2, 9), make.size(3, 8))
    updates = warm + make.size(2, 30)
    places = [0, warm - 1, warm, warm + 1, updates - 1, make.rng.integers(0, updates), warm // 2]
    return int(max(0, places[(make.number * 3 + make.number // 7) % 7])), updates, int(warm)
WAVE = {
    "half a wave, not a whole one: the cosine runs from 0 to pi": ("np.pi * share", "2 * np.pi * share"), "pi is math.pi, not 3.14": ("np.pi * share", "3.14 * share"), "a quarter of a wave has another form: the cosine runs from 0 to pi, moved up by 1 and halved": ("(1 + np.cos(np.pi * share)) / 2", "np.cos(np.pi * share / 2)"),
    "the factor runs from 1 to 0: add 1 to the cosine and halve": ("(1 + np.cos(np.pi * share)) / 2", "np.cos(np.pi * share)"), "halve the sum: the factor begins with 1, not with 2": ("(1 + np.cos(np.pi * share)) / 2", "1 + np.cos(np.pi * share)"),
    "the factor falls: yours rises": ("1 + np.cos", "1 - np.cos"), "the angle is in radians, a half turn is pi": ("np.pi * share", "180 * share"), "half a wave, not a straight line": ("(1 + np.cos(np.pi * share)) / 2", "1 - share"),
}
COSINE = WAVE | {
    "update 0 has the factor 1: yours is one update ahead": ("(update - warm) /", "(update + 1) /"), "0 is reached at update `updates`: yours is there one too early": ("(updates - warm)", "max(1, updates - 1)"), "0 is reached at update `updates`, and not one before it: divide by `updates`": ("(updates - warm)", "(updates - 1)"),
}
WARM_COSINE = WAVE | {
    "the first update goes at 1/warm and not at 0: count from 1 in the warm-up": ("(update + 1) / warm", "update / warm"), "update `warm` is the first of the cosine: use < and not <=": ("update < warm", "update <= warm and warm"),
    "the wave begins after the warm-up: `update - warm` of it is over": ("(update - warm) / (updates - warm)", "update / updates"), "the wave fills the updates that are left, `updates - warm`": ("(updates - warm)", "updates"),
    "`update - warm` updates of the wave are over: yours is one ahead": ("(update - warm) /", "(update - warm + 1) /"), "the peak must be reached: do not multiply the warm-up by the cosine": ("return (update + 1) / warm", "return (update + 1) / warm * (1 + np.cos(np.pi * update / updates)) / 2"),
    "after the warm-up comes the cosine: yours stays at 1": ("share = (update - warm) / (updates - warm)", "share = 0.0"), "the last update of the warm-up has the factor 1: divide by warm, not by warm + 1": ("(update + 1) / warm", "(update + 1) / (warm + 1)"),
    "the first update of the warm-up has the factor 1/warm, not 0": ("(update + 1) / warm", "update / max(1, warm - 1)"), "the wave is `updates - warm` long: yours is one shorter": ("(updates - warm)", "max(1, updates - warm - 1)"),
    "the wave is `updates - warm` long: yours is one longer": ("(updates - warm)", "(updates - warm + 1)"),
    "the wave begins at update `warm` and with 1: yours takes the smaller of rise and wave": ("if update < warm:\n        return (update + 1) / warm", "if warm:\n        return min((update + 1) / warm, (1 + np.cos(np.pi * update / updates)) / 2)"),
    "the warm-up is missing": ("return (update + 1) / warm", "return 1.0"), "where warm is 0 there is no warm-up: yours has one of 1": ("if update < warm:", "warm = max(warm, 1)\n    if update < warm:"), "divide with /, since // cuts off": ("(update + 1) / warm", "(update + 1) // warm"),
    "the cosine follows after the warm-up: do not multiply one by the other": lambda update, updates, warm: min(1.0, (update + 1) / max(1, warm)) * (1 + np.cos(np.pi * update / updates)) / 2,
}
for target, what, draw, misreadings in (("cosine", "CosineAnnealingLR", cosine_inputs, COSINE), ("warm_cosine", "LinearLR and, after it, CosineAnnealingLR", warm_inputs, WARM_COSINE)):
    agrees("schedules", f"`{target}` equals torch.optim.lr_scheduler's {what}", target=target, draw=draw, reference=warmed, written=warm_by_hand, misreadings=misreadings,
           kinds=("plain", "whole", "square", "smallest", "doubled", "plain") * 5, hint="write the factors of the example in the text one under the other: which update is the first?")
# fmt: on


# fmt: off
def clipped_by_numpy(gradients, limit):
    together = np.concatenate([np.ravel(g) for g in gradients])
    norm = np.linalg.norm(together)
    factor = limit / norm if norm > limit else 1.0
    return [g * factor for g in gradients], norm
def use_clip(answer, gradients, limit):
    import numpy as np
    given = [g.copy() for g in gradients]
    found = answer["clip"](given, limit)
    if not all(np.array_equal(g, kept) for g, kept in zip(given, gradients)):
        return "the gradients are changed in place, and their caller still needs them: make new arrays, factor * g"
    new = found[0] if isinstance(found, (list, tuple)) and found and isinstance(found[0], (list, tuple)) else []
    if any(np.shares_memory(np.asarray(one), g) for one in new for g in given):
        return "return new arrays, below the limit too: yours are the caller's own, so who changes the one changes the other"
    return found
def clip_inputs(make):
    """Arrays of several shapes, and a limit above, at or below their norm."""
    shapes = [(make.size(1, 6),), (make.size(1, 4), make.size(1, 5)), (make.size(1, 3), 2, make.size(1, 3)), ()]
    count = make.size(1, 4)
    shapes = shapes[:count] if make.number % 2 else shapes[::-1][-count:]
    gradients = [np.asarray(make.numbers(*(shape or (1,)))) for shape in shapes]
    gradients = [np.zeros_like(g) for g in gradients] if make.kind == "zeros" and make.number % 2 else gradients
    norm = float(np.sqrt(sum((g**2).sum() for g in gradients)))
    return gradients, make.one_of(0.25, 2.0, 1.0, 0.5, 8.0) * (norm or 1.0)
CLIP = {
    "one norm for all arrays together: yours clips each array by itself": lambda gs, c: ([g * min(1, c / (np.linalg.norm(g) or 1)) for g in gs], np.sqrt(sum((g**2).sum() for g in gs))),
    "scale long gradients down, never short ones up": ("if norm > limit else 1.0", "if norm else 1.0"), "limit the length of the whole, not each number": lambda gs, c: ([np.clip(g, -c, c) for g in gs], np.sqrt(sum((g**2).sum() for g in gs))),
    "the norm is the root of the sum of squares: the root is missing": ("np.linalg.norm(together)", "np.linalg.norm(together) ** 2"), "square before you add: the norm is no sum of absolute values": ("np.linalg.norm(together)", "np.abs(together).sum()"),
    "the norm of all is no sum of the arrays' norms: add their squares": ("np.linalg.norm(together)", "sum(np.linalg.norm(np.ravel(g)) for g in gradients)"),
    "add up the squares of all arrays: yours averages the arrays' norms": ("np.linalg.norm(together)", "np.mean([np.linalg.norm(np.ravel(g)) for g in gradients])"), "the norm is over all arrays: yours looks at the first alone": ("np.linalg.norm(together)", "np.linalg.norm(np.ravel(gradients[0]))"),
    "a norm, not a root mean square: do not divide by the number of numbers": ("np.linalg.norm(together)", "np.sqrt(np.mean(together**2))"), "return the norm before clipping": ("for g in gradients], norm\n", "for g in gradients], norm * factor\n"),
    "scale to the limit, not to 1: multiply by limit / norm": ("factor = limit / norm", "factor = 1 / norm"), "the wrong way round: the factor is limit / norm, for norms above the limit": ("norm > limit", "0 < norm < limit"),
    "clip the gradients: yours come back as they were": ("factor = limit / norm", "factor = 1.0"), "the norm is over all arrays: yours leaves some out": ("np.linalg.norm(together)", "np.sqrt(sum((g**2).sum() for g in {id(g): g for g in (gradients[0], gradients[-1])}.values()))"),
    "square and add up a matrix, too: its np.linalg.norm(g, 2) is something else, the largest stretch": ("np.linalg.norm(together)", "np.sqrt(sum(np.linalg.norm(g, 2) ** 2 if g.ndim == 2 else (g**2).sum() for g in gradients))"),
    "a gradient of norm 0 stays 0: do not divide by it": ("limit / norm if norm > limit else 1.0", "min(1.0, limit / norm) if norm else np.nan"),
}
agrees("clip", "scales to a global norm of at most the limit, and returns the norm from before", target=use_clip, draw=clip_inputs, explain=lambda got, *_: got if isinstance(got, str) else None, forms=("array", "float32"), reference=clipped_by_numpy, misreadings=CLIP,
       kinds=("plain", "zeros", "square", "plain", "whole", "smallest", "doubled", "zeros", "large", "square", "plain", "plain"), parts=("the clipped gradients", "the norm"),
       hint="do the example of the text by hand: which norm, which factor?", tolerance={"rtol": 1e-4, "atol": 1e-6})
# fmt: on
