"""The checks of this lab. Made from labs/source/lab05_seeing.py by `make labs`: edit that file, never this one."""

from labcheck.check import Lab

LAB = Lab('lab05_seeing', 'What does a network see?')
checks, agrees = LAB.checks, LAB.agrees

LAB.exercise('convolve', title='A convolution by loops', difficulty=2, importance=5, minutes=20, points=4, optional=False)
LAB.exercise('patches', title='Windows as columns', difficulty=3, importance=4, minutes=20, points=4, optional=False)
LAB.exercise('overlap', title='Intersection over union', difficulty=2, importance=5, minutes=15, points=3, optional=False)
LAB.exercise('average_precision', title='Average precision', difficulty=3, importance=4, minutes=20, points=4, optional=False)


import numpy as np
import torch
import torch.nn.functional as F


# fmt: off
def looked_at(make):  # padding and stride go by the number of the case, each in several combinations
    C, n, h, w = make.size(1, 3), make.size(1, 3), make.size(1, 3), make.size(1, 4)
    H, W = h + make.one_of(2, 0, 3, 5, 1), w + make.one_of(3, 2, 0, 4)
    return make.numbers(C, H, W), make.numbers(n, C, h, w), make.one_of(0, 1, 2, 0, 1, 3, 1), make.one_of(1, 2, 1, 3, 2)
def by_conv2d(image, filters, padding, stride):
    return F.conv2d(torch.from_numpy(np.asarray(image, float))[None], torch.from_numpy(np.asarray(filters, float)), padding=padding, stride=stride)[0].numpy()
def place_by_place(image, filters, padding, stride):
    P, S = padding, stride
    (C, H, W), (n, _, h, w) = image.shape, filters.shape
    padded = np.zeros((C, H + 2 * P, W + 2 * P))
    padded[:, P : P + H, P : P + W] = image
    rows, columns = (H + 2 * P - h) // S + 1, (W + 2 * P - w) // S + 1
    maps = np.zeros((n, rows, columns))
    for i in range(rows):
        for j in range(columns):
            window = padded[:, i * S : i * S + h, j * S : j * S + w]
            maps[:, i, j] = np.einsum("ochw,chw->o", filters, window)
    return maps
LOOKS = ("plain", "whole", "square", "plain", "smallest", "zeros", "doubled", "large", "plain", "square", "plain", "plain", "square", "plain")
agrees(
    "convolve", "`convolve` gives the feature maps of `F.conv2d`", target="convolve", draw=looked_at, reference=by_conv2d, written=place_by_place, kinds=LOOKS, hint="do the picture of the text by hand",
    misreadings={
        "do not turn the filter around: its upper left number meets the window's upper left pixel": ("filters, window)", "filters[:, :, ::-1, ::-1], window)"), "the sum runs over all channels: yours takes the first one alone": ('"ochw,chw->o", filters, window', '"ohw,hw->o", filters[:, 0], window[0]'), "the sum runs over all channels, of the image and of the filter alike": ('"ochw,chw->o", filters, window', '"ohw,hw->o", filters[:, 0], window.sum(0)'), "add the products up, do not take their mean": ('window)\n', 'window) / window.size\n'), "channels are added up: yours are averaged": ('window)\n', 'window) / C\n'), "the stride is missing where the window lies: its corner is at i · S, j · S": ("padded[:, i * S : i * S + h, j * S : j * S + w]", "padded[:, i : i + h, j : j + w]"), "the stride is missing: the filter moves S pixels at a time": ("P, S = padding, stride", "P, S = padding, 1"), "the stride counts to the right, too: yours only downwards": ("(W + 2 * P - w) // S + 1\n", "(W + 2 * P - w) + 1\n    padded, S_w = padded, 1\n    return np.stack([[[np.sum(f * padded[:, i * S : i * S + h, j : j + w]) for j in range(columns)] for i in range(rows)] for f in filters])\n"), "the stride counts downwards, too: yours only to the right": ("(W + 2 * P - w) // S + 1\n", "(W + 2 * P - w) // S + 1\n    rows = H + 2 * P - h + 1\n    return np.stack([[[np.sum(f * padded[:, i : i + h, j * S : j * S + w]) for j in range(columns)] for i in range(rows)] for f in filters])\n"), "the padding is missing: put P rows and columns of zeros on every side": ("P, S = padding, stride", "P, S = 0, stride"), "padding comes on every side: yours is above and on the left alone": ("    rows, columns = (H + 2 * P - h) // S + 1, (W + 2 * P - w) // S + 1\n", "    rows, columns = (H + P - h) // S + 1, (W + P - w) // S + 1\n"), "padding comes on every side: yours is below and on the right alone": ("    padded[:, P : P + H, P : P + W] = image\n    rows, columns = (H + 2 * P - h) // S + 1, (W + 2 * P - w) // S + 1\n", "    padded[:, :H, :W] = image\n    rows, columns = (H + P - h) // S + 1, (W + P - w) // S + 1\n"), "padding comes on every side: yours is below and on the right, twice as much": ("padded[:, P : P + H, P : P + W] = image", "padded[:, :H, :W] = image"), "padding comes on every side: yours is above and on the left, twice as much": ("padded[:, P : P + H, P : P + W] = image", "padded[:, 2 * P :, 2 * P :] = image"), "padding comes above and below, too: yours is left and right alone": ("    padded[:, P : P + H, P : P + W] = image\n    rows, columns = (H + 2 * P - h) // S + 1,", "    padded[:, :H, P : P + W] = image\n    rows, columns = (H - h) // S + 1,"), "padding comes left and right, too: yours is above and below alone": ("    padded[:, P : P + H, P : P + W] = image\n    rows, columns = (H + 2 * P - h) // S + 1, (W + 2 * P - w) // S + 1\n", "    padded[:, P : P + H, :W] = image\n    rows, columns = (H + 2 * P - h) // S + 1, (W - w) // S + 1\n"), "padding is zeros: yours repeats the border": ("    padded[:, P : P + H, P : P + W] = image\n", "    padded = np.pad(image, [(0, 0), (P, P), (P, P)], mode='edge')\n"), "padding is zeros: yours goes on from the other side": ("    padded[:, P : P + H, P : P + W] = image\n", "    padded = np.pad(image, [(0, 0), (P, P), (P, P)], mode='wrap')\n"), "padding is zeros: yours is ones": ("    padded = np.zeros(", "    padded = np.ones("), "with padding it fails: do not pad the channels": ("    padded[:, P : P + H, P : P + W] = image\n", "    padded[:, P : P + H, P : P + W] = image\n    assert P == 0 or C == 1\n"), "there is one place more: ⌊(H + 2P − h) / S⌋ + 1": ("(H + 2 * P - h) // S + 1, (W + 2 * P - w) // S + 1", "(H + 2 * P - h) // S, (W + 2 * P - w) // S"), "the last row of places is missing: there are ⌊(H + 2P − h) / S⌋ + 1": ("(H + 2 * P - h) // S + 1,", "(H + 2 * P - h) // S,"), "the last column of places is missing: there are ⌊(W + 2P − w) / S⌋ + 1": ("(W + 2 * P - w) // S + 1", "(W + 2 * P - w) // S"), "the number of places is rounded down after the division by S, and then comes the 1": ("(H + 2 * P - h) // S + 1, (W + 2 * P - w) // S + 1", "(H + 2 * P - h + 1) // S, (W + 2 * P - w + 1) // S"), "the filters come first, then rows, then columns: yours has rows and columns exchanged": ("return maps", "return maps.transpose(0, 2, 1)"), "the filter itself is not transposed": ('"ochw,chw->o", filters, window', '"ochw,chw->o", filters.transpose(0, 1, 3, 2), window'), "the filters come first in the result, not last": ("return maps", "return maps.transpose(1, 2, 0)"), "no ReLU is asked for: sums may be negative": ("return maps", "return np.maximum(maps, 0)"), "each filter gives one map: yours adds them all up": ("return maps", "return maps.sum(0)"), "keep the axis of the filters, even for a single one": ("return maps", "return maps.squeeze()"), "sums are not whole numbers: an array of whole numbers cuts them off": ("return maps", "return maps.astype(int)"), "what is added is pixel times filter: yours forgets the filter": ("filters, window)", "np.ones_like(filters), window)"),
    },
)
# fmt: on


# fmt: off
def pictures_of(make):
    n, C, h, w = make.size(1, 3), make.size(1, 3), make.size(1, 3), make.size(1, 4)
    H, W = h + make.one_of(2, 0, 3, 5, 1), w + make.one_of(3, 2, 0, 4)
    images = torch.from_numpy(np.asarray(make.numbers(n, C, H, W))).float()
    return images, h, w, make.one_of(0, 1, 2, 0, 1, 3, 1), make.one_of(1, 2, 1, 3, 2)
def by_unfold(images, height, width, padding, stride):
    return F.unfold(images, (height, width), padding=padding, stride=stride)
def window_by_window(images, height, width, padding, stride):
    n, C, H, W = images.shape
    P, S = padding, stride
    padded = torch.zeros(n, C, H + 2 * P, W + 2 * P)
    padded[:, :, P : P + H, P : P + W] = images
    columns = []
    for top in range(0, H + 2 * P - height + 1, S):
        for left in range(0, W + 2 * P - width + 1, S):
            window = padded[:, :, top : top + height, left : left + width]
            columns.append(window.flatten(1))
    return torch.stack(columns, 2)
agrees(
    "patches", "`patches` gives the columns of `F.unfold`", target="patches", draw=pictures_of, reference=by_unfold, written=window_by_window, kinds=LOOKS, hint="do the picture of the text by hand",
    misreadings={
        "windows are columns: yours are rows": ("torch.stack(columns, 2)", "torch.stack(columns, 1)"), "the pictures come first, then the numbers of a window, then the places": ("torch.stack(columns, 2)", "torch.stack(columns, 0)"), "a window is read channel after channel: yours reads all channels of a pixel together": ("window.flatten(1)", "window.permute(0, 2, 3, 1).flatten(1)"), "a window is read row by row: yours column by column": ("window.flatten(1)", "window.mT.flatten(1)"), "the places go row by row: yours column by column": ("    for top in range(0, H + 2 * P - height + 1, S):\n        for left in range(0, W + 2 * P - width + 1, S):\n", "    for left in range(0, W + 2 * P - width + 1, S):\n        for top in range(0, H + 2 * P - height + 1, S):\n"), "the numbers are there, but in another order: `reshape` does not exchange axes, `permute` does": ("torch.stack(columns, 2)", "torch.stack(columns, 1).reshape(n, C * height * width, -1)"), "the padding is missing": ("P, S = padding, stride", "P, S = 0, stride"), "the stride is missing": ("P, S = padding, stride", "P, S = padding, 1"), "the stride counts to the right, too: yours only downwards": ("- width + 1, S)", "- width + 1)"), "the stride counts downwards, too: yours only to the right": ("- height + 1, S)", "- height + 1)"), "the last row of places is missing": ("- height + 1, S)", "- height, S)"), "the last column of places is missing": ("- width + 1, S)", "- width, S)"), "padding is zeros: yours repeats the border": ("    padded[:, :, P : P + H, P : P + W] = images\n", "    padded = F.pad(images, (P,) * 4, mode='replicate')\n"), "padding comes on every side: yours is below and on the right, twice as much": ("padded[:, :, P : P + H, P : P + W] = images", "padded[:, :, :H, :W] = images"), "padding comes on every side: yours is left and right alone": ("    padded[:, :, P : P + H, P : P + W] = images\n", "    H = H - 2 * P\n    padded = padded[:, :, : H + 2 * P]\n    padded[:, :, :, P : P + W] = images\n"), "the numbers of all channels stand below each other in one axis: flatten it": ("torch.stack(columns, 2)", "torch.stack(columns, 2).unflatten(1, (C, -1))"), "the places make one axis: flatten rows and columns": ("torch.stack(columns, 2)", "torch.stack(columns, 2).unflatten(2, (-1, (W + 2 * P - width) // S + 1))"), "height and width are exchanged: a window has `height` rows": ("    n, C, H, W = images.shape\n", "    n, C, H, W = images.shape\n    height, width = width, height\n"), "keep the axis of the pictures, even for one": ("torch.stack(columns, 2)", "torch.stack(columns, 2).squeeze(0)"), "windows are only cut out: nothing is added up or averaged": ("window.flatten(1)", "window.mean(1)"),
    },
)
# fmt: on


# fmt: off
def two_sets(make):
    step = make.step if make.kind != "tiny" else 2.0**-20
    corners = make.numbers(make.size(1, 6), 2), make.numbers(make.size(2, 7), 2)
    boxes, others = (np.concatenate([at, at + np.abs(make.numbers(*at.shape)) + step], axis=1) for at in corners)
    others[-1] = boxes[0] + np.array(make.one_of([0, 0, 0, 0], [-1, -1, 1, 1])) * step  # an equal box, or one around it
    beyond, beside, below = ([2, 3, 2, 3], [1, 1, 3, 4]), ([2, 1, 2, 3], [1, 0, 2, 0]), ([0, 3, 2, 3], [0, 0, 0, 2])
    sides, more = make.one_of(beyond, beside, below)
    others[0] = boxes[0, sides] + np.array(more) * step
    return boxes, others
def by_cells(boxes, others):  # cuts the plane at all sides of the two boxes, and adds up the cells
    result = np.zeros((len(boxes), len(others)))
    for i, a in enumerate(np.asarray(boxes, float)):
        for j, b in enumerate(np.asarray(others, float)):
            xs, ys = np.unique([a[0], a[2], b[0], b[2]]), np.unique([a[1], a[3], b[1], b[3]])
            x, y = np.meshgrid((xs[1:] + xs[:-1]) / 2, (ys[1:] + ys[:-1]) / 2, indexing="ij")
            cells = np.outer(np.diff(xs), np.diff(ys))
            in_a, in_b = ((c[0] < x) & (x < c[2]) & (c[1] < y) & (y < c[3]) for c in (a, b))
            result[i, j] = cells[in_a & in_b].sum() / cells[in_a | in_b].sum()
    return result
def pair_by_pair(boxes, others):
    rows = []
    for x, t, r, b in np.asarray(boxes, float):
        row = []
        for L, T, R, B in np.asarray(others, float):
            across = max(min(r, R) - max(x, L), 0)
            down = max(min(b, B) - max(t, T), 0)
            shared = across * down
            first, second = (r - x) * (b - t), (R - L) * (B - T)
            row.append(shared / (first + second - shared))
        rows.append(row)
    return np.array(rows)
agrees(
    "overlap", "`overlap` gives the IoU of each box with each other one", target="overlap", draw=two_sets, reference=by_cells, written=pair_by_pair, tolerance={"rtol": 1e-6, "atol": 1e-9}, hint="do the boxes of the text by hand",
    misreadings={
        "boxes that do not meet share nothing: two negative sides make a positive area. Cut each side off at 0 before you multiply": ("            across = max(min(r, R) - max(x, L), 0)\n            down = max(min(b, B) - max(t, T), 0)\n            shared = across * down", "            across = min(r, R) - max(x, L)\n            down = min(b, B) - max(t, T)\n            shared = max(across * down, 0)"), "boxes that do not meet share nothing: cut the sides of what is shared off at 0": ("            across = max(min(r, R) - max(x, L), 0)\n            down = max(min(b, B) - max(t, T), 0)\n", "            across = min(r, R) - max(x, L)\n            down = min(b, B) - max(t, T)\n"), "what they share is counted twice in the sum of both areas: take it off once": ("(first + second - shared)", "(first + second)"), "take what is shared off once, not twice": ("(first + second - shared)", "(first + second - 2 * shared)"), "divide by what both cover together, not by the first box": ("(first + second - shared)", "first"), "divide by what both cover together, not by the second box": ("(first + second - shared)", "second"), "divide by what both cover together, not by the smaller box": ("(first + second - shared)", "min(first, second)"), "divide by what both cover together, not by the larger box": ("(first + second - shared)", "max(first, second)"), "divide by what both cover together, not by the box around both": ("(first + second - shared)", "((max(r, R) - min(x, L)) * (max(b, B) - min(t, T)))"), "twice what is shared over the sum of the areas is the Dice coefficient, not IoU": ("shared / (first + second - shared)", "2 * shared / (first + second)"), "what is shared begins at the later of two lefts and ends at the earlier of two rights": ("min(r, R) - max(x, L)", "max(r, R) - min(x, L)"), "a row for each box, a column for each other one: yours is the other way round": ("np.array(rows)", "np.array(rows).T"), "sides are right − left: do not add 1": ("            shared = across * down\n            first, second = (r - x) * (b - t), (R - L) * (B - T)", "            shared = (min(r, R) - max(x, L) + 1) * (min(b, B) - max(t, T) + 1) * (across * down > 0)\n            first, second = (r - x + 1) * (b - t + 1), (R - L + 1) * (B - T + 1)"), "divide by what both cover: what is shared alone depends on the size": ("shared / (first + second - shared)", "shared"), "an area is width times height: yours is their sum": ("(r - x) * (b - t), (R - L) * (B - T)", "(r - x) + (b - t), (R - L) + (B - T)"), "boxes are left, top, right, bottom: yours takes the last two for width and height": ("            across = max(min(r, R) - max(x, L), 0)\n            down = max(min(b, B) - max(t, T), 0)\n            shared = across * down\n            first, second = (r - x) * (b - t), (R - L) * (B - T)", "            across = max(min(x + r, L + R) - max(x, L), 0)\n            down = max(min(t + b, T + B) - max(t, T), 0)\n            shared = across * down\n            first, second = r * b, R * B"), "boxes are left, top, right, bottom: yours takes them for left, right, top, bottom": ("    for x, t, r, b in np.asarray(boxes, float):\n        row = []\n        for L, T, R, B in", "    for x, r, t, b in np.asarray(boxes, float):\n        row = []\n        for L, R, T, B in"), "what is shared is an area: yours is its width alone": ("shared = across * down", "shared = across"), "that is the distance 1 − IoU: return IoU": ("shared / (first + second - shared)", "1 - shared / (first + second - shared)"), "boxes that touch, or do not meet, have IoU 0, and no number is missing: keep every pair": lambda boxes, others: np.array([v for v in pair_by_pair(boxes, others).ravel() if v > 0]), "compare each box with each other one: yours takes row with row": lambda boxes, others: np.diag(pair_by_pair(boxes, others)),
    },
)
# fmt: on


# fmt: off
def scored(make):  # ties in nearly all cases; a thing that is not found in every other
    n = make.size(1, 14)
    scores, hits = make.numbers(n), make.rng.random(n) < make.one_of(0.5, 0.7, 0.3)
    scores[0] = scores[make.rng.integers(0, n)]
    hits = hits & (make.number != 5)
    if make.number in (0, 1, 8):  # a case where the order counts: the surest is a miss, the next two are hits
        scores, hits = np.append(scores, [7.0, 6.0, 5.0]), np.append(hits, [False, True, True])
    return scores, hits, max(1, int(hits.sum())) + make.one_of(2, 0, 5, 1)
def by_sklearn(scores, hits, things):
    from sklearn.metrics import average_precision_score

    return average_precision_score(hits, scores) * np.sum(hits) / things if np.any(hits) else 0.0
def score_by_score(scores, hits, things):
    scores, hits = np.asarray(scores, float), np.asarray(hits, float)
    total, before = 0.0, 0.0
    for score in np.unique(scores)[::-1]:
        inside = scores >= score
        found = hits[inside].sum()
        precision = found / inside.sum()
        recall = found / things
        total += (recall - before) * precision
        before = recall
    return total
def one_at_a_time(sign, rule):  # ties in the order in which they stand; rule(found, k, things) gives the sum
    def answer(scores, hits, things):
        order = np.argsort(sign * np.asarray(scores, float), kind="stable")
        return rule(np.cumsum(np.asarray(hits, float)[order]), np.arange(1, len(scores) + 1), things)
    return answer
def stepwise(found, k, things):
    return float((np.diff(found / things, prepend=0.0) * found / k).sum())
agrees(
    "average_precision", "`average_precision` is scikit-learn's, with things that were not found", target="average_precision", draw=scored, reference=by_sklearn, written=score_by_score, tolerance={"atol": 1e-9}, hint="do the three boxes of the text by hand, then with equal scores",
    misreadings={
        "recall is the share of all things, not of those that were found: divide by `things`": ("recall = found / things", "recall = found / max(hits.sum(), 1)"), "the surest box comes first: sort by falling score": ("np.unique(scores)[::-1]:\n        inside = scores >= score", "np.unique(scores):\n        inside = scores <= score"), "boxes of equal score come in together: yours count one after the other": one_at_a_time(-1, stepwise), "the surest box comes first, and equal scores come in together": one_at_a_time(1, stepwise), "sort the hits with the scores: yours are in the order in which they came": lambda s, h, t: stepwise(np.cumsum(np.asarray(h, float)), np.arange(1, len(h) + 1), t), "precision divides by the number of boxes so far": ("found / inside.sum()", "found / len(scores)"), "a step has the height of its own precision: yours takes the mean with the step before (trapezoids)": ("    total, before = 0.0, 0.0\n", "    total, before, last = 0.0, 0.0, 1.0\n    for score in np.unique(scores)[::-1]:\n        found, k = hits[scores >= score].sum(), (scores >= score).sum()\n        total += (found / things - before) * (found / k + last) / 2\n        before, last = found / things, found / k\n    return total\n    total, before = 0.0, 0.0\n"), "do not smooth the curve: precision is taken as it is, not the best that is still to come": ("    total, before = 0.0, 0.0\n", "    every = np.unique(scores)[::-1]\n    curve = [(hits[scores >= s].sum() / things, hits[scores >= s].mean()) for s in every]\n    return sum((r - (curve[i - 1][0] if i else 0)) * max(p for _, p in curve[i:]) for i, (r, p) in enumerate(curve))\n    total, before = 0.0, 0.0\n"), "weigh each precision by how much recall has risen: yours weighs it by recall": ("(recall - before) * precision", "recall * precision"), "weigh each precision by how much recall has risen: yours is the mean of all": ("    return total\n", "    return np.mean([hits[scores >= s].mean() for s in np.unique(scores)])\n"), "weigh each precision by how much recall has risen: yours is their sum": ("(recall - before) * precision", "precision"), "the sum of the steps of recall alone is recall: multiply by the precision": ("(recall - before) * precision", "(recall - before)"), "that is the precision of all boxes": ("    return total\n", "    return hits.mean()\n"), "recall begins at 0: yours leaves the first step out": ("    return total\n", "    first = scores == scores.max()\n    return total - hits[first].sum() / things * hits[first].mean()\n"), "the last score is missing: go on to the last box": ("np.unique(scores)[::-1]:", "np.unique(scores)[:0:-1]:"), "take the precision after the step, not before it": ("        precision = found / inside.sum()\n", "        precision = hits[scores > score].mean() if (scores > score).any() else 1.0\n"), "precision counts boxes, not different scores: equal ones count each": ("found / inside.sum()", "found / len(np.unique(scores[inside]))"), "of boxes of equal score all count: yours keeps one": ("found = hits[inside].sum()", "found = sum(hits[scores == s][0] for s in np.unique(scores[inside]))"),
    },
)
# fmt: on
