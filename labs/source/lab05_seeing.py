# %% [markdown]
# # What does a network see?
#
# **In one sentence:** a convolution looks at every place of a picture with the same small filter; you build it, count
# what it costs, let it find shapes, and measure over five replicates what it knows at places that it never saw, and
# when it is right for the wrong reason, always beside the same measurement without it.
#
# After this lab you can
#
# 1. **build** a convolution in loops and as one matrix product, and **test** what it does to a shifted picture;
# 2. **count** parameters and multiplications of layers before anything runs;
# 3. **explain** why a network with convolutions and pooling knows a digit at a new place, and what it costs another;
# 4. **score** boxes and masks, and **compute** average precision as a library does;
# 5. **ask** a network what it looked at, in three ways, and **say** what the answer does not prove.
#
# **You need** notebooks 00 to 03: update, replicate, claim, control; slopes and gradients.
#
# {exercises}
#
# Hints and a solution stand below each exercise. A check draws new inputs each time.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from labcheck import check
from labkit import data, figures
from labkit.evidence import claim, predict
from labkit.models import Residual, seeded

figures.style()
lab = check.lab("lab05_seeing")

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
SIDE = 16  # of every picture, in pixels
TRAIN_DIGITS, FAR = 1200, 3  # experiment 1; how far a digit is moved, in pixels
DIGIT_UPDATES, AUGMENTED_UPDATES = 200, 1000
SCENES, EXAM, FINDER_UPDATES, FINDER_RATE = 2000, 400, 200, 0.01  # experiment 2
BOX_SHARE = 0.5  # of the loss of boxes, beside that of masks
SCANS, SCAN_UPDATES, FOLLOWS, NOISE = 1500, 200, 0.9, 0.5  # experiment 3

# %% [markdown]
# ## 1. The same filter everywhere
#
# A picture is a grid of numbers, dark or bright. A **filter** is a smaller grid. Lay it on the picture's upper left
# corner, multiply each pixel by the number that lies on it, add up: that is one number of the output. Move the filter
# one pixel to the right and do it again, then row by row. This is a **convolution**, and its output a **feature map**:
# it is large where the picture looks like the filter. (Mathematicians turn the filter around first; libraries for
# learning do not. The filter is learned, so it makes no difference.)
#
# Two numbers say where the filter may lie. **Padding** $P$ puts $P$ rows or columns of zeros around the picture on
# every side. **Stride** $S$ is how many pixels the filter moves at a time, down as well as right. A picture of height
# $H$ leaves room for a filter of height $h$ at $\lfloor (H + 2P - h) / S \rfloor + 1$ places.
#
# Pictures have **channels**: red, green and blue, or the feature maps of the layer before. Then a filter has a grid for
# each channel, and one sum runs over all of them. A layer has $O$ filters, so its output has $O$ channels:
#
# $$ y_{o,i,j} = \sum_{c=1}^{C} \sum_{a=0}^{h-1} \sum_{b=0}^{w-1} f_{o,c,a,b}\; x_{c,\,iS+a,\,jS+b}
# \qquad (x \text{ with its padding}) . $$

# %% [markdown] exercise="convolve" difficulty=2 importance=5 minutes=20 points=4
# ### A convolution by loops
#
# **By hand first.** One channel, one filter:
#
# | picture | | | | filter | |
# |---|---|---|---|---|---|
# | 1 | 2 | 0 | | 1 | 0 |
# | 0 | 1 | 3 | | 0 | −1 |
# | 2 | 0 | 4 | | | |
#
# Without padding, stride 1: at the upper left $1 \cdot 1 - 1 \cdot 1 = 0$, then $2 - 3 = -1$; below $0 - 0 = 0$ and
# $1 - 4 = -3$. With padding 1 and stride 2 the filter lies at four places of a 5 × 5 grid, and gives $0 - 1 = -1$ and
# $0 - 0 = 0$; $0 - 2 = -2$ and $1 - 4 = -3$.
#
# Write the formula with loops and NumPy. Filters need not be square; each fits into the padded picture.


# %% solution="convolve"
def convolve(image, filters, padding, stride):
    """Feature maps [O, rows, columns] of an image [C, H, W] under filters [O, C, h, w].

    image, filters: arrays; padding: 0 or more, zeros; stride: 1 or more. No bias.

    >>> image = np.array([[[1.0, 2.0, 0.0], [0.0, 1.0, 3.0], [2.0, 0.0, 4.0]]])
    >>> convolve(image, np.array([[[[1.0, 0.0], [0.0, -1.0]]]]), 1, 2)
    array([[[-1.,  0.],
            [-2., -3.]]])
    """
    ### BEGIN SOLUTION
    padded = np.pad(image, [(0, 0), (padding, padding), (padding, padding)])
    outputs, _, height, width = filters.shape
    rows = (padded.shape[1] - height) // stride + 1
    columns = (padded.shape[2] - width) // stride + 1
    maps = np.zeros((outputs, rows, columns))
    for o in range(outputs):
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride, j * stride
                window = padded[:, top : top + height, left : left + width]
                maps[o, i, j] = (window * filters[o]).sum()
    return maps
    ### END SOLUTION


# %% [markdown] hint="convolve"
# First pad, then find out how many rows and columns come out, then fill an array of zeros, number by number.

# %% [markdown] hint="convolve"
# `np.pad(image, [(0, 0), (padding, padding), (padding, padding)])` leaves the channels alone. The output at `[o, i, j]`
# belongs to the window whose upper left corner is at row `i * stride` and column `j * stride`.

# %% [markdown] hint="convolve"
# Three loops, over `o`, `i` and `j`. Inside: `window = padded[:, top : top + height, left : left + width]`, all
# channels at once, and `(window * filters[o]).sum()`.

# %% [markdown] why="convolve"
# One sum runs over channels, rows and columns of a window. Nothing in it depends on *where* the window lies: that is
# all that makes a convolution. Common mistakes: the stride only in one direction, or in the size and not in the corner;
# padding on one side; the first channel alone; a filter turned around.


# %% checks="convolve"
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

# %% patches="convolve"
[
    ("                maps[o, i, j] = (window * filters[o]).sum()", "                maps[o, i, j] = np.tensordot(filters[o], window, 3)", ""), ("    padded = np.pad(", "    windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, [(0, 0), (padding,) * 2, (padding,) * 2]), filters.shape[2:], axis=(1, 2))[:, ::stride, ::stride]\n    return np.einsum('cijab,ocab->oij', windows, filters).tolist()\n    padded = np.pad(", ""), ("    return maps", "    return torch.from_numpy(maps)", ""), ("(window * filters[o]).sum()", "(window * filters[o][:, ::-1, ::-1]).sum()", "do not turn the filter around"), ("(window * filters[o]).sum()", "(window[0] * filters[o, 0]).sum()", "the first one alone"), ("i * stride, j * stride", "i, j", "stride is missing where the window lies"), ("(window * filters[o]).sum()", "(window * filters[o]).mean()", "do not take their mean"), ("[(0, 0), (padding, padding), (padding, padding)]", "[(0, 0), (0, 0), (0, 0)]", "padding is missing"), ("[(0, 0), (padding, padding), (padding, padding)]", "[(0, 0), (padding, padding), (padding, padding)], mode='edge'", "repeats the border"), ("[(0, 0), (padding, padding), (padding, padding)]", "[(0, 0), (padding, 0), (padding, 0)]", "above and on the left alone"), ("(padded.shape[1] - height) // stride + 1", "(padded.shape[1] - height) // stride", "last row of places"), ("    return maps", "    return maps.transpose(0, 2, 1)", "rows and columns exchanged"), ("    padded = np.pad(", "    filters *= 2\n    padded = np.pad(", "in place"), ("    return maps", "    maps", "None came back"), ("[(0, 0), (padding, padding), (padding, padding)]", "padding", "do not pad the channels"),
]  # fmt: skip

# %%
lab.check("convolve")

# %% [markdown]
# Against PyTorch's: a digit of 8 × 8 pixels from scikit-learn, on an empty grid, under a filter for horizontal edges.

# %%
digits = data.digits()
PICTURES, LABELS = digits.inputs.reshape(-1, 8, 8), digits.targets


def placed(pictures, top, left):
    """[n, 1, SIDE, SIDE]: pictures [n, 8, 8], each with its corner at (top, left)."""
    canvas = torch.zeros(len(pictures), SIDE, SIDE)
    for grid, picture, row, column in zip(canvas, pictures, top, left, strict=True):
        grid[row : row + 8, column : column + 8] = picture
    return canvas.unsqueeze(1)


if lab.solved("convolve"):
    digit = placed(PICTURES[3:4], [4], [4]).double()
    edge = np.array([[[[-1.0, -1, -1], [0, 0, 0], [1, 1, 1]]]])
    maps = torch.from_numpy(convolve(digit[0].numpy(), edge, 1, 1))
    theirs = F.conv2d(digit, torch.from_numpy(edge), padding=1)[0]
    torch.testing.assert_close(maps, theirs)
    print("your convolution agrees with F.conv2d")

# %% [markdown]
# ## 2. One matrix product
#
# Loops are slow, and a matrix product is what processors do best. So libraries copy every window into a column (in
# MATLAB's words: *image to column*, **im2col**). If each filter is a row, one product does all. Each pixel is copied
# up to $h \cdot w$ times: memory for speed.

# %% [markdown] exercise="patches" difficulty=3 importance=4 minutes=20 points=4
# ### Windows as columns
#
# **By hand first.** The picture 1, 2, 3 above 4, 5, 6 has two windows of 2 × 2: first 1, 2, 4, 5, then 2, 3, 5, 6. Each
# is a column, read row by row. With several channels, all of the first channel's numbers come first. The columns are in
# the order of the places, row by row.
#
# Write `patches` with PyTorch, for $n$ pictures at once.


# %% solution="patches"
def patches(images, height, width, padding, stride):
    """Windows as columns: [n, C * height * width, places], of images [n, C, H, W].

    images: a tensor; padding: 0 or more, zeros; stride: 1 or more. A window fits.

    >>> patches(torch.tensor([[[[1.0, 2, 3], [4, 5, 6]]]]), 2, 2, 0, 1)
    tensor([[[1., 2.],
             [2., 3.],
             [4., 5.],
             [5., 6.]]])
    """
    ### BEGIN SOLUTION
    padded = F.pad(images, (padding, padding, padding, padding))
    windows = padded.unfold(2, height, stride).unfold(3, width, stride)
    columns = windows.permute(0, 1, 4, 5, 2, 3)  # n, C, height, width, rows, columns
    return columns.flatten(1, 3).flatten(2, 3)
    ### END SOLUTION


# %% [markdown] hint="patches"
# Loops over places are fine: cut a window `[n, C, height, width]`, flatten all but its first axis, and put the columns
# side by side at the end.

# %% [markdown] hint="patches"
# `F.pad(images, (padding,) * 4)` pads the last two axes. `window.flatten(1)` gives `[n, C * height * width]`, in the
# right order; `torch.stack(list_of_columns, dim=2)` puts them side by side.

# %% [markdown] hint="patches"
# Without loops: `padded.unfold(2, height, stride).unfold(3, width, stride)` has axes n, C, rows, columns, height,
# width. `permute` them to n, C, height, width, rows, columns, and flatten the two groups.

# %% [markdown] why="patches"
# Nothing is computed here, only arranged. `unfold` even copies nothing: it looks at the same memory with other steps,
# until `flatten` must. Common mistakes: axes in another order, which `reshape` takes without complaint; windows as
# rows; places counted column by column.


# %% checks="patches"
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

# %% patches="patches"
[
    ("    padded = F.pad(", "    return F.unfold(images, (height, width), padding=padding, stride=stride)\n    padded = F.pad(", ""), ("    return columns.flatten(1, 3).flatten(2, 3)", "    return columns.reshape(len(images), images.shape[1] * height * width, -1).numpy()", ""), ("    windows = padded", "    H, W = padded.shape[2:]\n    parts = [padded[:, c, a : H - height + a + 1 : stride, b : W - width + b + 1 : stride].flatten(1) for c in range(images.shape[1]) for a in range(height) for b in range(width)]\n    return torch.stack(parts, 1)\n    windows = padded", ""), ("permute(0, 1, 4, 5, 2, 3)", "permute(0, 1, 5, 4, 2, 3)", "yours column by column"), ("permute(0, 1, 4, 5, 2, 3)", "permute(0, 4, 5, 1, 2, 3)", "all channels of a pixel together"), ("permute(0, 1, 4, 5, 2, 3)", "permute(0, 1, 4, 5, 3, 2)", "places go row by row"), ("    return columns.flatten(1, 3).flatten(2, 3)", "    return columns.flatten(1, 3).flatten(2, 3).mT", "yours are rows"), ("unfold(3, width, stride)", "unfold(3, width, 1)", "only downwards"), ("(padding, padding, padding, padding)", "(0, 0, 0, 0)", "padding is missing"), ("(padding, padding, padding, padding)", "(padding, padding)", "left and right alone"), ("    columns = windows.permute(0, 1, 4, 5, 2, 3)  # n, C, height, width, rows, columns\n    return columns.flatten(1, 3).flatten(2, 3)", "    return windows.reshape(len(images), images.shape[1] * height * width, -1)", "by hand"), ("    return columns.flatten(1, 3)", "    images += 1\n    return columns.flatten(1, 3)", "in place"),
]  # fmt: skip

# %%
lab.check("patches")

# %% tags=["experiment"]
if lab.solved("patches"):
    with seeded(BASE_SEED):
        strided = nn.Conv2d(3, 4, 3, padding=1, stride=2)
        rgb = torch.randn(5, 3, SIDE, SIDE)
    with torch.no_grad():
        product = strided.weight.flatten(1) @ patches(rgb, 3, 3, 1, 2)
        ours = (product + strided.bias[:, None]).unflatten(2, (SIDE // 2, SIDE // 2))
        torch.testing.assert_close(ours, strided(rgb), rtol=1e-4, atol=1e-5)
    print("filters as rows, times your patches, is nn.Conv2d")

# %% [markdown]
# ### Shift it, and what happens?
#
# A function is **equivariant** to shifts if shifting the picture shifts its output by as much and changes nothing
# else. It is **invariant** if shifting the picture does not change the output at all. These are statements about every
# picture and shift, so they can be tested exactly, in double precision. The border is where they are decided. In a
# *circular* world what leaves on the right comes in on the left; there, nothing can happen at the border.


# %%
with seeded(BASE_SEED):
    weight = torch.randn(1, 1, 3, 3).double()
    noise = torch.randn(1, 1, SIDE, SIDE).double()
    shape = F.pad(torch.randn(1, 1, 6, 6).double(), (5, 5, 5, 5))  # far from the border


def filtered(picture, mode="circular", stride=1):
    return F.conv2d(F.pad(picture, (1, 1, 1, 1), mode=mode), weight, stride=stride)


def same(function, picture, shift, factor=1):
    """Is function(shifted) function(picture), shifted by 1 / factor as much?"""
    by_less = [number // factor for number in shift]
    one = function(picture.roll(shift, (2, 3)))
    return torch.allclose(one, function(picture).roll(by_less, (2, 3)), 0, 1e-12)


# %%
TESTS = {  # the function, and by how much its output is smaller
    "circular": (filtered, 1),
    "zeros around": (lambda picture: filtered(picture, "constant"), 1),
    "circular, stride 2": (lambda picture: filtered(picture, stride=2), 2),
    "circular, pooled by 2": (lambda picture: F.max_pool2d(filtered(picture), 2), 2),
    "circular, pooled globally": (lambda picture: filtered(picture).amax((2, 3), True), 1),
}
shifts = [(down, right) for down in range(SIDE) for right in range(SIDE)]
for name, (function, factor) in TESTS.items():
    held = sum(same(function, noise, shift, factor) for shift in shifts)
    print(f"{name:26s} {held:3d} of {len(shifts)} shifts")
assert same(TESTS["zeros around"][0], shape, (2, -3))

# %% [markdown]
# The circular convolution is equivariant. With zeros around the picture only the shift by 0 is left: parts of the picture
# leave, and new edges appear. But a shape away from the border moves as it should (the `assert`). Stride 2 and **max
# pooling**, which keeps the largest number of each 2 × 2 field, hold for the 64 even shifts: after an odd one the fields
# hold other pixels (Azulay & Weiss 2019; Zhang 2019). That they make a network invariant to small shifts is often said;
# exactly they do not. *Global* pooling keeps one number for the whole map, and is invariant to all. It costs the *where*.
#
# ### Experiment 1: digits at places never seen
#
# Three networks train on digits in the middle of a 16 × 16 grid. **Convolutions**: two layers of 3 × 3, then global max
# pooling, then ten logits. **MLP**: one hidden layer on all pixels. **MLP, shifted**: the same one, but each digit of
# each batch lies anywhere. That is **augmentation**: what should not matter is shown changed, with the label kept. It
# gets five times as many updates, since it has more to learn. Each has its best learning rate out of 0.001, 0.003 and
# 0.01, chosen on other replicates. The exam has other digits, moved by 0 to 4 pixels, the larger of down or right. There
# the convolutions get four more rows of zeros on every side, so that no window that meets a digit is cut off.

# %%
guess_place = predict(
    "Trained in the middle. How often is the MLP right on digits 3 pixels away?",
    ["nine times in ten", "about half of the time", "no more often than by chance"],
)


# %% tags=["experiment"]
class Convolutions(nn.Module):
    """Pictures [n, 1, SIDE, SIDE] to logits [n, 10]."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 12, 3), nn.Conv2d(12, 24, 3)
        self.answer = nn.Linear(24, 10)

    def forward(self, pictures):
        if not self.training:  # so that windows reach over the border
            pictures = F.pad(pictures, (4, 4, 4, 4))
        maps = F.relu(self.second(F.relu(self.first(pictures))))
        return self.answer(maps.amax((2, 3)))  # global max pooling


def one_hidden():
    return nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 128), nn.ReLU(), nn.Linear(128, 10))


# %% tags=["experiment"]
def learn(model, draw, updates, rate, loss):
    """Adam with a rate that falls to 0; draw() gives inputs and targets."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    for update in range(updates):
        optimizer.param_groups[0]["lr"] = rate * (1 - update / updates)
        inputs, targets = draw()
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()
    return model.eval()


ARMS = {  # what is built, are digits moved in training, updates, learning rate
    "convolutions": (Convolutions, False, DIGIT_UPDATES, 0.01),
    "MLP": (one_hidden, False, DIGIT_UPDATES, 0.01),
    "MLP, shifted": (one_hidden, True, AUGMENTED_UPDATES, 0.003),
}
MIDDLE, MOVES = 4, [0, 1, 2, 3, 4]


def ring(distance, n):
    """n random corners whose larger shift from the middle is `distance`: [2, n]."""
    corners = [(a, b) for a in range(9) for b in range(9)]
    far = [max(abs(a - MIDDLE), abs(b - MIDDLE)) == distance for a, b in corners]
    return torch.tensor(corners)[torch.tensor(far)][torch.randint(sum(far), (n,))].T


# %% tags=["experiment"]
def train_digits(name, seed):
    """(the trained network; the numbers of the exam's digits)"""
    build, moves, updates, rate = ARMS[name]
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(LABELS)))
    training, exam = order[:TRAIN_DIGITS], order[TRAIN_DIGITS:]

    def draw(n=64):
        rows = training[torch.randint(TRAIN_DIGITS, (n,))]
        corner = torch.randint(9, (2, n)) if moves else torch.full((2, n), MIDDLE)
        return placed(PICTURES[rows], *corner), LABELS[rows]

    with seeded(seed):
        return learn(build(), draw, updates, rate, F.cross_entropy), exam


def accuracies(name, seed):
    """The accuracy on the exam's digits, moved by each of MOVES."""
    model, exam = train_digits(name, seed)
    right = []
    with seeded(seed), torch.no_grad():
        for distance in MOVES:
            pictures = placed(PICTURES[exam], *ring(distance, len(exam)))
            right.append((model(pictures).argmax(1) == LABELS[exam]).float().mean().item())
    return right


# %% tags=["experiment"]
SEEDS = range(BASE_SEED, BASE_SEED + REPLICATES)
moved_by = {name: np.array([accuracies(name, seed) for seed in SEEDS]) for name in ARMS}
at_three = moved_by["MLP"][:, FAR].mean()
guess_place.resolve([at_three > 0.7, 0.2 < at_three <= 0.7, at_three <= 0.2])

# %% tags=["experiment", "drawing"]
fig, ax = plt.subplots(figsize=(6, 3.3))
for name, curves in moved_by.items():
    figures.lines_with_spread(ax, MOVES, curves, name, markevery=1)
ax.axhline(0.1, color="0.4", linestyle=":", label="chance")
ax.set(xlabel="shift from the middle in pixels", ylabel="accuracy", ylim=(0, 1.03))
ax.set_xticks(MOVES)
fig.legend(loc="outside lower center", ncols=4, fontsize=8)
figures.show(
    fig,
    alt="Accuracy against the shift of the digits. The convolutions stay level "
    "and high. The MLP falls to chance within two pixels. The MLP trained "
    "on shifted digits is level, below the convolutions.",
    caption="Thin lines are replicates. Two networks saw digits in the middle only.",
)

# %% tags=["experiment"]
claim(
    "Three pixels from where it trained, the convolutional network is right in 0.8",
    moved_by["convolutions"][:, FAR],
    at_least=0.8,
    control=moved_by["MLP"][:, FAR],
    control_is="an MLP, trained on the same digits, asked about the same shifted ones",
    source="LeCun et al. 1989 (shared weights and local filters)",
)

# %% [markdown]
# In the middle the two are equal: the difference is not skill with digits. It is what each knows about *other* places,
# and the MLP knows nothing there: the weights of those pixels never met a stroke. Augmentation buys the MLP what the
# convolution has for nothing, at five times the updates, and not all of it. That the curve of the convolutions is level
# is no measurement but a theorem: with zeros enough around, each window meets the digit again, elsewhere, and the largest
# number does not know where. What is measured is how well they know digits at all.
#
# What did it learn? Here are filters of the first layer, and the maps that they make of one digit.

# %% tags=["experiment", "drawing"]
network, exam_rows = train_digits("convolutions", BASE_SEED)
seen = placed(PICTURES[exam_rows[:1]], [4], [4])
with torch.no_grad():
    first_maps = F.relu(network.first(seen))[0]
fig, panels = plt.subplots(2, 8, figsize=(7.5, 2.2))
for number in range(8):
    kernel = network.first.weight[number, 0].detach()
    top = kernel.abs().max()
    panels[0, number].imshow(kernel, cmap="RdBu_r", vmin=-top, vmax=top)
    panels[1, number].imshow(first_maps[number], cmap="gray_r")
for ax in panels.flat:
    ax.axis("off")
panels[0, 0].set_title("filters", fontsize=9, loc="left")
panels[1, 0].set_title("maps", fontsize=9, loc="left")
figures.show(
    fig,
    alt="Eight learned filters of three by three numbers, above the map that each makes "
    "of one digit. Several resemble edge filters of one direction, and their maps "
    "show strokes on one side.",
    caption="Red is positive, blue negative; dark in a map is large. Signs differ.",
    data={"filter": range(8), "largest number in its map": first_maps[:8].amax((1, 2))},
)

# %% [markdown]
# ## 3. What a layer costs
#
# Take a layer from $C$ to $O$ channels of $H \times W$ numbers each, stride 1, padded so that the size stays. How many
# parameters has it, and how many multiplications does one picture take? We leave biases out, and count the products
# with padded zeros as well, as they are computed.
#
# - A **dense** layer joins each of $C H W$ inputs with each of $O H W$ outputs, each by a weight of its own.
# - A **convolution** has $O$ filters of $C \times k \times k$ numbers. At each of $H W$ places all are used.
# - A **depthwise-separable** convolution (Sifre 2014; Howard et al. 2017) splits the work. *Depthwise*: each channel has
#   one filter of its own, $k \times k$, and stays alone. *Pointwise*: a convolution of $1 \times 1$ mixes the channels.

# %% [markdown]
# For $C = 3$, $O = 4$, $k = 3$ and pictures of 2 × 5, by hand: dense $30 \cdot 40 = 1200$ weights, each used once;
# convolution $4 \cdot 3 \cdot 9 = 108$ numbers, each used at 10 places: 1080; separable $3 \cdot 9 + 3 \cdot 4 = 39$, used at
# 10 places: 390. PyTorch counts, too: `FlopCounterMode` looks at what is really computed, and takes a multiplication
# and its addition for two *floating-point operations* (FLOPs). Both must agree to the last one.


# %%
def counts(inputs, outputs, size, height, width):
    """{kind of layer: (parameters, multiplications)}, no biases"""
    places = height * width
    dense = inputs * outputs * places**2
    whole = outputs * inputs * size**2
    parts = inputs * size**2 + inputs * outputs
    found = {"dense": (dense, dense), "convolution": (whole, whole * places)}
    return found | {"separable": (parts, parts * places)}


assert counts(3, 4, 3, 2, 5)["separable"] == (39, 390)
depthwise = nn.Conv2d(24, 24, 3, padding=1, groups=24, bias=False)
LAYERS = {
    "dense": nn.Sequential(nn.Flatten(), nn.Linear(24 * 64, 32 * 64, bias=False)),
    "convolution": nn.Conv2d(24, 32, 3, padding=1, bias=False),
    "separable": nn.Sequential(depthwise, nn.Conv2d(24, 32, 1, bias=False)),
}

# %%
for kind, layer in LAYERS.items():
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(torch.zeros(1, 24, 8, 8))
    numbers = sum(parameter.numel() for parameter in layer.parameters())
    products = counter.get_total_flops() // 2
    assert counts(24, 32, 3, 8, 8)[kind] == (numbers, products)
    print(f"{kind:12s} {numbers:10,d} parameters {products:10,d} multiplications")

# %% [markdown]
# From 24 to 32 channels the separable layer needs about a seventh of the products: the ratio is $1/O + 1/k^2$. That is
# a count, and not a time: its depthwise part does little work with each number that it fetches, so on many machines it
# gains less than it saves. Nor does it compute the same: every separable layer can be written as a convolution, but
# hardly any convolution as a separable layer.
#
# **A residual block** (He et al. 2016; notebook 02) adds to its input what two convolutions make of it:
# $x + \text{conv}(\text{ReLU}(\text{conv}(x)))$. If the second filter is 0, the block is exactly the identity, however
# deep the stack.

# %%
with seeded(BASE_SEED):
    one, two = nn.Conv2d(24, 24, 3, padding=1), nn.Conv2d(24, 24, 3, padding=1)
    features = torch.randn(2, 24, 8, 8)
block = Residual(nn.Sequential(one, nn.ReLU(), two))
with torch.no_grad():
    torch.testing.assert_close(block(features), features + two(F.relu(one(features))))
    nn.init.zeros_(two.weight), nn.init.zeros_(two.bias)
    assert torch.equal(block(features), features)
print("with a last filter of zeros, a residual block changes nothing")

# %% [markdown]
# ## 4. Where is it?
#
# A **detector** draws a **box** around each thing and says how sure it is, by a **score**. A **segmenter** says of each
# pixel whether it belongs to the thing: a **mask**. How good is a box? Divide what two boxes share by what they cover
# together: **intersection over union**, IoU (Jaccard 1901). It is 1 for equal boxes and 0 for boxes that do not meet.
# For masks it is the same, with pixels counted.

# %% [markdown] exercise="overlap" difficulty=2 importance=5 minutes=15 points=3
# ### Intersection over union
#
# **By hand first.** A box is left, top, right, bottom. The boxes 0, 0, 4, 2 and 1, 1, 5, 3 share what lies between 1
# and 4, across, and between 1 and 2, down: 3. Together they cover $8 + 8 - 3 = 13$. So IoU is $3/13 = 0.231$. And 0, 0,
# 4, 2 and 5, 3, 6, 4? They share nothing, although $4 - 5$ times $2 - 3$ is 1.
#
# Write `overlap` for each box of one array with each of another.


# %% solution="overlap"
def overlap(boxes, others):
    """IoU of each box with each other one, [n, m].

    boxes [n, 4], others [m, 4]: arrays of left, top, right, bottom, with left < right
    and top < bottom.

    >>> boxes, others = np.array([[0, 0, 4, 2]]), np.array([[1, 1, 5, 3], [5, 3, 6, 4]])
    >>> overlap(boxes, others).round(3)
    array([[0.231, 0.   ]])
    """
    ### BEGIN SOLUTION
    one, two = boxes[:, None], others[None]
    starts, ends = np.maximum(one, two)[..., :2], np.minimum(one, two)[..., 2:]
    shared = np.maximum(ends - starts, 0).prod(axis=2)
    areas = (one[..., 2:] - one[..., :2]).prod(axis=2)
    other_areas = (two[..., 2:] - two[..., :2]).prod(axis=2)
    return shared / (areas + other_areas - shared)
    ### END SOLUTION


# %% [markdown] hint="overlap"
# Where does what they share begin, and where does it end? The later of two lefts, the earlier of two rights.

# %% [markdown] hint="overlap"
# Width and height of what is shared are at least 0: `np.maximum(..., 0)`, each for itself, *before* you multiply. What
# both cover is the sum of the areas, less what was counted twice.

# %% [markdown] hint="overlap"
# Two loops over rows are fine. Without: `boxes[:, None]` has shape [n, 1, 4] and `others[None]` [1, m, 4]; NumPy makes
# [n, m, 4] of `np.maximum` of the two.

# %% [markdown] why="overlap"
# Two negative sides would multiply to a positive area: so cut each off at 0. Common mistakes: what is shared not taken
# off the sum of areas; row with row instead of each with each; pixels' habit of adding 1 to each side.


# %% checks="overlap"
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

# %% patches="overlap"
[
    ("    one, two = boxes[:, None], others[None]\n", "    (l, t, r, b), (L, T, R, B) = boxes.T[:, :, None], others.T[:, None]\n    both = np.clip(np.minimum(r, R) - np.maximum(l, L), 0, None) * np.clip(np.minimum(b, B) - np.maximum(t, T), 0, None)\n    return both / ((r - l) * (b - t) + (R - L) * (B - T) - both)\n    one, two = boxes[:, None], others[None]\n", ""), ("    return shared", "    return [[float(a) for a in row] for row in shared / (areas + other_areas - shared)]\n    return shared", ""), ("np.maximum(ends - starts, 0).prod(axis=2)", "np.maximum((ends - starts).prod(axis=2), 0)", "two negative sides"), ("np.maximum(ends - starts, 0)", "(ends - starts)", "off at 0"), ("(areas + other_areas - shared)", "(areas + other_areas)", "counted twice"), ("(areas + other_areas - shared)", "np.minimum(areas, other_areas)", "not by the smaller box"), ("(areas + other_areas - shared)", "(areas + 0 * other_areas)", "not by the first box"), ("    return shared / (areas + other_areas - shared)", "    return (shared / (areas + other_areas - shared)).T", "the other way round"), ("    return shared /", "    shared *= 2\n    return shared /", "by hand"), ("    one, two", "    boxes[:, 2:] -= boxes[:, :2]\n    one, two", "in place"), ("    return shared / (areas + other_areas - shared)", "    return 2 * shared / (areas + other_areas)", "Dice"),
]  # fmt: skip

# %%
lab.check("overlap")

# %% [markdown]
# ### One number for a detector
#
# A detector that draws a thousand boxes finds everything and is of no use. So sort all boxes by score, the surest
# first, and call a box a **hit** if its IoU with a thing is large enough. Among the first $k$ boxes, **precision** is
# the share that are hits; **recall** is the share of all things that they have found:
#
# $$ \text{precision}_k = \frac{\text{hits among the first } k}{k}, \qquad
# \text{recall}_k = \frac{\text{hits among the first } k}{\text{number of things}} . $$
#
# **Average precision** adds up the precision wherever recall rises, by how much it rises:
#
# $$ \text{AP} = \sum_k (\text{recall}_k - \text{recall}_{k-1})\; \text{precision}_k, \qquad \text{recall}_0 = 0 . $$
#
# Things that were never found leave recall below 1, and cost as much as they should. Boxes of *equal* score have no
# order: they come in together, as one step.

# %% [markdown] exercise="average_precision" difficulty=3 importance=4 minutes=20 points=4
# ### Average precision
#
# **By hand first.** Scores 0.9, 0.8, 0.7; hit, miss, hit; 4 things. Precision is $1, \frac12, \frac23$ and recall
# $\frac14, \frac14, \frac24$. So AP is $\frac14 \cdot 1 + 0 + \frac14 \cdot \frac23 = 0.417$. If all three scores are
# equal there is one step, to recall $\frac24$ with precision $\frac23$: AP is $\frac13$.
#
# Write `average_precision`. Each hit is another thing: nothing is found twice.


# %% solution="average_precision"
def average_precision(scores, hits, things):
    """AP, a number, of boxes with scores [n], n > 0, and hits [n], True or False.

    scores, hits: arrays, in any order; things: how many there are to find, at least
    1 and at least as many as hits. Without a hit AP is 0.

    >>> hits = np.array([True, False, True])
    >>> round(average_precision(np.array([0.9, 0.8, 0.7]), hits, 4), 3)
    0.417
    """
    ### BEGIN SOLUTION
    order = np.argsort(-scores)
    found = np.cumsum(hits[order])
    precision = found / np.arange(1, len(scores) + 1)
    recall = found / things
    last = np.append(scores[order][1:] != scores[order][:-1], True)  # of equal scores
    steps = np.diff(recall[last], prepend=0.0)
    return float((steps * precision[last]).sum())
    ### END SOLUTION


# %% [markdown] hint="average_precision"
# Sort scores and hits alike, from the largest score down. `np.cumsum` of the hits is how many were found so far.

# %% [markdown] hint="average_precision"
# `order = np.argsort(-scores)`. Precision divides by 1, 2, 3, …, recall by `things`. Of boxes of equal score keep only
# the last: there all of them are in.

# %% [markdown] hint="average_precision"
# With `s = scores[order]`, `np.append(s[1:] != s[:-1], True)` marks the last box of each score. Then
# `np.diff(recall[last], prepend=0.0)` are the steps.

# %% [markdown] why="average_precision"
# Precision alone rewards a detector that says little, recall one that says everything. Common mistakes: recall as a
# share of the things *found*; sorting scores but not hits; ties in the order in which they happen to stand, so that AP
# depends on luck; the area by trapezoids, which is too friendly. (Benchmarks of detection also smooth the curve, each in
# its own way: say which.)


# %% checks="average_precision"
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

# %% patches="average_precision"
[
    ("    order = np.argsort(-scores)\n", "    return average_precision_score(hits, scores) * hits.sum() / things if hits.any() else 0\n    order = np.argsort(-scores)\n", ""), ("    order = np.argsort(-scores)\n", "    total, before = 0, 0\n    for score in sorted(set(scores.tolist()), reverse=True):\n        recall = (hits & (scores >= score)).sum() / things\n        total += (recall - before) * hits[scores >= score].mean()\n        before = recall\n    return torch.tensor(total)\n    order = np.argsort(-scores)\n", ""), ("found / things", "found / max(found[-1], 1)", "not of those that were found"), ("np.argsort(-scores)", "np.argsort(scores)", "sort by falling score"), ("np.append(scores[order][1:] != scores[order][:-1], True)", "np.full(len(scores), True)", "then with equal scores"), ("np.cumsum(hits[order])", "np.cumsum(hits)", "by hand"), ("(steps * precision[last]).sum()", "steps.sum()", "multiply by the precision"), ("(steps * precision[last]).sum()", "(recall[last] * precision[last]).sum()", "yours weighs it by recall"), ("(steps * precision[last]).sum()", "precision[last].mean()", "yours is the mean of all"), ("(steps * precision[last]).sum()", "hits.mean()", "that is the precision of all boxes"), ("    order = np.argsort(-scores)\n", "    scores.sort()\n    order = np.argsort(-scores)\n", "in place"),
]  # fmt: skip

# %%
lab.check("average_precision")

# %% tags=["experiment"]
if lab.solved("average_precision"):
    chance = np.random.default_rng(BASE_SEED)
    guesses = chance.integers(0, 20, 100) / 20  # many are equal
    luck = chance.random(100) < 0.3
    theirs = average_precision_score(luck, guesses)
    np.testing.assert_allclose(average_precision(guesses, luck, luck.sum()), theirs)
    print("your average precision agrees with scikit-learn's")

# %% [markdown]
# ### Experiment 2: boxes and masks
#
# We draw the scenes, so we know each pixel: a box, an ellipse or a triangle, 4 to 12 pixels wide and high, in noise and
# in front of two bright lines, which mean nothing. In three of ten scenes there is no shape.
#
# One network does both. A convolution; pooling by 2, so that the next filters see more; a residual block; back to 16 ×
# 16 by copying each number to four pixels, and the first maps are added again, since they still know *where* (so does a
# U-Net: Ronneberger et al. 2015). From what is there a $1 \times 1$ convolution makes five maps. The first is the logit
# of the mask. The others say, for each pixel of the shape, how far it is to the four sides of the box (Tian et al.
# 2019), as powers of 2, so that they are positive. What is minimised is the cross-entropy of the mask, and $1 - $ IoU
# of the boxes that the shape's pixels propose. In the end the pixel with the largest logit speaks for the picture: its
# logit is the score, its box the box. A box is a hit if IoU is at least 0.5.
#
# Three arms learn nothing of shapes. The **mean box** is the mean of all training boxes, at its mean place, filled or
# as a mask. The **mean size** is a box of mean size around the centre of the box that the network found, with the
# network's score. **Brightness** takes all pixels above a threshold for the mask, the best of a grid on training scenes.

# %%
guess_boxes = predict(
    "Does the detector need sizes? A box of mean size, where it says: its precision?",
    ["about the same", "clearly less, but not nothing", "about 0"],
)


# %% tags=["experiment"]
DOWN, RIGHT = np.mgrid[:SIDE, :SIDE] + 0.5  # the middle of each pixel


def scenes(n, seed):
    """Pictures [n, 1, SIDE, SIDE], masks, boxes [n, 4], is there a shape [n]."""
    rng = np.random.default_rng(seed)
    wide, high, kind = rng.integers(4, 13, n), rng.integers(4, 13, n), rng.integers(0, 3, n)
    left, top = rng.integers(0, SIDE + 1 - wide), rng.integers(0, SIDE + 1 - high)
    there, column = rng.random(n) < 0.7, (slice(None), None, None)
    x = 2 * (RIGHT - left[column]) / wide[column] - 1  # from -1 to 1 within the box
    y = 2 * (DOWN - top[column]) / high[column] - 1
    box = (abs(x) < 1) & (abs(y) < 1)
    kinds = np.stack([box, x**2 + y**2 <= 1, box & (abs(x) <= (y + 1.2) / 2)])
    masks = kinds[kind, np.arange(n)] & there[column]
    pictures = 0.3 * rng.normal(size=masks.shape) + masks * rng.uniform(0.7, 1.3, (n, 1, 1))
    row, upright = rng.integers(0, SIDE, (2, n, 1, 1)) + 0.5
    lines = (DOWN == row) | (RIGHT == upright)
    pictures = (pictures + (lines & ~masks))[:, None].astype(np.float32)
    boxes = np.stack([left, top, left + wide, top + high], 1).astype(np.float32)
    return [torch.from_numpy(part) for part in (pictures, masks, boxes, there)]


# %% tags=["experiment"]
class Finder(nn.Module):
    """Pictures to logits of the mask [n, SIDE, SIDE] and distances to the sides of
    the box: left, top, right, bottom [n, 4, SIDE, SIDE]."""

    def __init__(self, few=12, many=24):
        super().__init__()
        self.first, self.down = convolution(1, few), convolution(few, many)
        branch = nn.Sequential(convolution(many, many), convolution(many, many))
        self.block = Residual(branch)
        self.up = nn.Conv2d(many, few, 1)
        self.last, self.heads = convolution(few, few), nn.Conv2d(few, 5, 1)

    def forward(self, pictures):
        maps = self.first(pictures)
        coarse = self.block(self.down(F.max_pool2d(maps, 2)))
        fine = F.interpolate(self.up(coarse), scale_factor=2)
        found = self.heads(self.last(maps + fine))
        return found[:, 0], 2 ** (found[:, 1:] + 1.5)


def convolution(inputs, outputs):
    """3 x 3, then batch norm (lab 4) and ReLU."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


# %% tags=["experiment"]
MIDDLES = torch.arange(SIDE) + 0.5


def to_sides(boxes):
    """Distances of each pixel to the sides of its picture's box, [n, 4, SIDE, SIDE]."""
    left, top, right, bottom = boxes.T[:, :, None, None]
    x, y = MIDDLES.expand(len(boxes), SIDE, SIDE), MIDDLES[:, None].expand(SIDE, SIDE)
    return torch.stack([x - left, y - top + 0 * x, right - x, bottom - y + 0 * x], 1)


def box_loss(found, true, masks):
    """1 - IoU of the boxes that pixels of the shape propose, on average."""
    size = lambda sides: (sides[:, 0] + sides[:, 2]) * (sides[:, 1] + sides[:, 3])
    shared = size(torch.minimum(found, true).clamp(min=0))
    loss = 1 - shared / (size(found) + size(true) - shared).clamp(min=1e-6)
    return (loss * masks).sum() / masks.sum()


def scene_loss(outputs, targets):
    (logits, found), (masks, true) = outputs, targets
    pixels = F.binary_cross_entropy_with_logits(logits, masks)
    return pixels + BOX_SHARE * box_loss(found, true, masks)


# %% tags=["experiment"]
def find(model, pictures):
    """(masks, boxes [n, 4], scores [n]) of pictures."""
    with torch.no_grad():
        logits, found = model(pictures)
    scores, where = logits.flatten(1).max(1)
    sides = found.flatten(2)[torch.arange(len(pictures)), :, where]
    x, y = MIDDLES[where % SIDE], MIDDLES[where // SIDE]
    corners = [x - sides[:, 0], y - sides[:, 1], x + sides[:, 2], y + sides[:, 3]]
    return logits > 0, torch.stack(corners, 1), scores


def train_finder(seed):
    inputs, masks, boxes, _ = learned_from[seed]
    targets = masks.float(), to_sides(boxes)

    def draw():
        rows = torch.randint(SCENES, (32,))
        return inputs[rows], [part[rows] for part in targets]

    with seeded(seed):
        return learn(Finder(), draw, FINDER_UPDATES, FINDER_RATE, scene_loss)


# %% tags=["experiment"]
def mask_overlap(found, true):
    """Mean IoU of masks [n, SIDE, SIDE], over pictures."""
    return ((found & true).sum((1, 2)) / (found | true).sum((1, 2))).mean().item()


def masks_of(seed):
    """IoU of the masks of three arms, on exam scenes with a shape."""
    shown = learned_from[seed][3]
    pictures, masks, boxes, _ = (part[shown] for part in learned_from[seed])
    levels = np.arange(0.2, 1.3, 0.1)
    fit = [mask_overlap(pictures[:, 0] > one, masks) for one in levels]
    new, true = (part[exams[seed][3]] for part in exams[seed][:2])
    left, top, right, bottom = boxes.mean(0)
    inside = (left < MIDDLES) & (MIDDLES < right)
    inside = inside & ((top < MIDDLES) & (MIDDLES < bottom))[:, None]
    arms = {"network": find(finders[seed], new)[0], "mean box": inside.expand_as(true)}
    arms["brightness"] = new[:, 0] > levels[np.argmax(fit)]
    return {name: mask_overlap(found, true) for name, found in arms.items()}


# %% tags=["experiment"]
def precisions_of(seed):
    """Average precision of three arms, on all exam scenes."""
    pictures, _, true, there = exams[seed]
    _, boxes, scores = find(finders[seed], pictures)
    mean = learned_from[seed][2][learned_from[seed][3]].mean(0)
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (mean[2:] - mean[:2]) / 2
    arms = {"network": boxes, "mean size": torch.cat([centre - half, centre + half], 1)}
    arms["mean box"] = mean.expand(EXAM, 4)
    found = {}
    for name, proposed in arms.items():
        alike = np.diag(overlap(proposed.numpy(), true.numpy()))
        hits = (alike >= 0.5) & there.numpy()
        found[name] = average_precision(scores.numpy(), hits, int(there.sum()))
    return found


# %% tags=["experiment"]
learned_from = {seed: scenes(SCENES, [seed, 0]) for seed in SEEDS}
exams = {seed: scenes(EXAM, [seed, 1]) for seed in SEEDS}
finders = {seed: train_finder(seed) for seed in SEEDS}
mask_runs = [masks_of(seed) for seed in SEEDS]
mask_iou = {name: np.array([run[name] for run in mask_runs]) for name in mask_runs[0]}
if lab.solved("overlap") and lab.solved("average_precision"):
    box_runs = [precisions_of(seed) for seed in SEEDS]
    box_ap = {name: np.array([run[name] for run in box_runs]) for name in box_runs[0]}
    lost = (box_ap["network"] - box_ap["mean size"]).mean()
    left_over = box_ap["mean size"].mean()
    guess_boxes.resolve([lost < 0.1, lost >= 0.1 and left_over > 0.1, left_over <= 0.1])

# %% tags=["experiment", "drawing"]
if lab.solved("overlap") and lab.solved("average_precision"):
    fig, panels = plt.subplots(1, 2, figsize=(7.5, 3.2), sharey=True)
    measured = {"mean IoU of masks": mask_iou, "average precision of boxes": box_ap}
    for ax, (title, arms) in zip(panels, measured.items(), strict=True):
        figures.dots_with_spread(ax, arms)
        ax.set(title=title, ylim=(0, 1.03))
    panels[0].set(ylabel="from 0 to 1")
    panels[1].legend(loc="upper right", fontsize=8)
    figures.show(
        fig,
        alt="Left: mean IoU of masks; the network is far above brightness and the mean "
        "box. Right: average precision; the network is highest, a box of mean size at "
        "its place lower, the mean box near zero.",
        caption="One dot a replicate. A box is a hit from an IoU of one half on.",
    )

# %% tags=["experiment"]
claim(
    "The segmenter's masks have a mean IoU of at least 0.76",
    mask_iou["network"],
    at_least=0.76,
    control=mask_iou["mean box"],
    control_is="the mean of all training boxes, filled, on the same scenes",
    source="Ronneberger et al. 2015 (masks by a network that goes down and up)",
)

# %% tags=["experiment"]
if lab.solved("overlap") and lab.solved("average_precision"):
    claim(
        "The detector's average precision is at least 0.69",
        box_ap["network"],
        at_least=0.69,
        control=box_ap["mean size"],
        control_is="boxes of mean size at the places and with the scores of the network",
        source="Tian et al. 2019 (distances to the sides of a box)",
    )

# %% [markdown]
# A box of mean size at the right place is often good enough for a threshold of one half: part of what average precision
# measures is *place*. What the network adds is *size*. Without that arm you could not tell. And a box that is always
# the same hardly ever hits. Brightness finds the shapes and the lines with them: a pixel alone does not know what it
# belongs to.
#
# Move the slider: eight scenes of the exam.


# %% tags=["experiment", "drawing"]
def outlined(ax, box, style, label):
    left, top, right, bottom = np.asarray(box) - 0.5
    x, y = [left, right, right, left, left], [top, top, bottom, bottom, top]
    ax.plot(x, y, style, marker="", linewidth=2, label=label)


def scene_figure(number):
    pictures, masks, boxes, there = (part[[number]] for part in exams[BASE_SEED])
    found, proposed, scores = find(finders[BASE_SEED], pictures)
    fig, panels = plt.subplots(1, 3, figsize=(7.5, 2.9))
    grids = {"scene and boxes": pictures[0, 0], "true mask": masks[0], "found": found[0]}
    for ax, (title, grid) in zip(panels, grids.items(), strict=True):
        ax.imshow(grid, cmap="gray_r")
        ax.set_title(title, fontsize=10)
        ax.axis("off")
    if there[0]:
        outlined(panels[0], boxes[0], "--", "true")
    sure = torch.sigmoid(scores[0]).item()
    outlined(panels[0], proposed[0], "-", f"found, {sure:.2f} sure")
    panels[0].set(xlim=(-1, SIDE), ylim=(SIDE, -1))
    fig.legend(loc="outside lower left", ncols=2, fontsize=8)
    return fig


figures.slider(
    {number: scene_figure(number) for number in range(8)},
    alt="A scene in noise with two bright lines, the true box broken and the found box "
    "solid; beside it the true mask and the mask that was found.",
    caption="The sureness is that of the pixel with the largest logit.",
    name="Scene",
)

# %% [markdown]
# ## 5. What made you say so?
#
# A network says *pneumonia*, and it is right. Did it look at the lungs? Zech et al. (2018) found one that looked at the
# metal mark of one hospital, which had more pneumonia. A cue that gives the answer in training, and has nothing to do
# with the question, is a **shortcut**.
#
# A **saliency map** says how much each pixel counts for an output $s$, here the logit of the answer *diamond* less that
# of *square*. Three ways to ask:
#
# - **Gradient** (Simonyan et al. 2014): $|\partial s / \partial x_p|$. What would a small change of pixel $p$ do?
# - **Integrated gradients** (Sundararajan et al. 2017): on the way from an empty picture to this one, add up gradient
#   times step, $x_p \int_0^1 \frac{\partial s}{\partial x_p}(t x)\, dt$. All shares together are $s(x) - s(0)$.
# - **Occlusion** (Zeiler & Fergus 2014): cover a field of 2 × 2 pixels with 0. By how much does $s$ change?


# %%
def slope(model, pictures):
    """s [n], and the gradient of s along each pixel [n, 1, SIDE, SIDE]."""
    leaf = pictures.clone().requires_grad_()
    logits = model(leaf)
    s = logits[:, 1] - logits[:, 0]
    return s.detach(), torch.autograd.grad(s.sum(), leaf)[0]


def gradient(model, pictures):
    return slope(model, pictures)[1].abs()


def integrated(model, pictures, steps=32):
    """Signed shares of s(picture) - s(0); the middle of each step stands for it."""
    total = torch.zeros_like(pictures)
    for step in range(steps):
        total += slope(model, (step + 0.5) / steps * pictures)[1] / steps
    return total * pictures


# %%
def occlusion(model, pictures):
    """The change of s when the 2 x 2 field around a pixel is covered."""
    plain, changes = slope(model, pictures)[0], torch.zeros_like(pictures)
    for top in range(0, SIDE, 2):
        for left in range(0, SIDE, 2):
            covered = pictures.clone()
            covered[:, :, top : top + 2, left : left + 2] = 0
            change = (slope(model, covered)[0] - plain).abs()
            changes[:, :, top : top + 2, left : left + 2] = change[:, None, None, None]
    return changes


# %% [markdown]
# Integrated gradients come with a test, **completeness**: the shares must add up to the difference. Here, for a network
# as it is drawn at random; the sum has 32 steps, so it holds nearly. (Where $s$ is linear it is exact: try it.)

# %%
with seeded(BASE_SEED):
    bent = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 8), nn.GELU(), nn.Linear(8, 2))
    four = torch.randn(4, 1, SIDE, SIDE)
difference = slope(bent, four)[0] - slope(bent, 0 * four)[0]
added = integrated(bent, four).sum((1, 2, 3))
torch.testing.assert_close(added, difference, rtol=0.01, atol=1e-3)
print("the shares of the pixels add up to s(picture) - s(0)")

# %% [markdown]
# ### Experiment 3: a mark that gives the answer away
#
# Squares and diamonds in noise. Half of the scans carry a bright mark of 2 × 2 pixels in a corner. For one network it
# **goes with** the answer: nine in ten training scans have a mark if and only if there is a diamond, or their mark is
# drawn by chance. For the other it is drawn **by chance** in all scans. Networks, scans, noise and updates are the same.
#
# In the exam marks are given by us. The *accuracy* says what the mark does: no mark at all; the mark where it was in
# training; and the mark on the squares only. The *saliency* is asked of 200 new scans, all with the mark: which share
# of the sum of all absolute values lies on its 4 pixels? If all pixels counted alike it were 4 of 256.

# %%
guess_mark = predict(
    "The mark is gone. How does the network do for which it gave the answer away?",
    ["as well as the other one", "worse, but better than chance", "at chance"],
)


# %% tags=["experiment"]
def scans(n, seed, follows):
    """Pictures without marks, kinds (1: diamond), and who gets a mark."""
    rng = np.random.default_rng(seed)
    kind, size = rng.integers(0, 2, n), rng.integers(6, 10, n)
    top, left = rng.integers(0, SIDE + 1 - size), rng.integers(0, SIDE + 1 - size)
    half, up, side = (part[:, None, None] for part in (size / 2, top, left))
    x, y = (RIGHT - side) / half - 1, (DOWN - up) / half - 1  # -1 to 1 within the shape
    square, diamond = np.maximum(abs(x), abs(y)) < 1, abs(x) + abs(y) <= 1.05
    shape = np.where(kind[:, None, None] == 1, diamond, square)
    pictures = 0.8 * shape + NOISE * rng.normal(size=shape.shape)
    marks = np.where(rng.random(n) < follows, kind, rng.integers(0, 2, n))
    pictures = torch.from_numpy(pictures).float().unsqueeze(1)
    return pictures, torch.from_numpy(kind), torch.from_numpy(marks)


def marked(pictures, marks):
    """With a mark of 2 x 2 pixels where marks [n] is 1."""
    found = pictures.clone()
    found[..., 1:3, 1:3] = found[..., 1:3, 1:3].where(marks[:, None, None, None] == 0, 1.5)
    return found


# %% tags=["experiment"]
class Scanner(nn.Module):
    """Pictures to logits [n, 2] of square and diamond."""

    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
        self.answer = nn.Linear(16, 2)

    def forward(self, pictures):
        return self.answer(self.layers(pictures).amax((2, 3)))


def train_scanner(follows, seed):
    pictures, kinds, marks = scans(SCANS, [seed, 2], follows)
    inputs = marked(pictures, marks)

    def draw():
        rows = torch.randint(SCANS, (64,))
        return inputs[rows], kinds[rows]

    with seeded(seed):
        return learn(Scanner(), draw, SCAN_UPDATES, 0.01, F.cross_entropy)


# %% tags=["experiment"]
WAYS = {"gradient": gradient, "integrated": integrated, "occlusion": occlusion}


def share_on_mark(saliency):
    """Share of the absolute saliency that lies on the mark, over pictures [n]."""
    sizes = saliency.abs()
    return (sizes[..., 1:3, 1:3].sum((1, 2, 3)) / sizes.sum((1, 2, 3))).mean().item()


def examine(follows, seed):
    """Accuracies with three ways to set the mark; its share of three saliencies."""
    model = train_scanner(follows, seed)
    pictures, kinds, _ = scans(600, [seed, 3], 0)
    found = {}
    settings = {"none": 0 * kinds, "as in training": kinds, "on squares": 1 - kinds}
    for name, marks in settings.items():
        with torch.no_grad():
            answers = model(marked(pictures, marks)).argmax(1)
        found[name] = (answers == kinds).float().mean().item()
    with_mark = marked(pictures[:200], torch.ones(200))
    for name, way in WAYS.items():
        found[name] = share_on_mark(way(model, with_mark))
    return found


# %% tags=["experiment"]
MODELS = {"goes with": FOLLOWS, "by chance": 0.0}
examined = {}
for name, follows in MODELS.items():
    examined[name] = [examine(follows, seed) for seed in SEEDS]


def column(model, what):
    return np.array([run[what] for run in examined[model]])


bare, other = column("goes with", "none").mean(), column("by chance", "none").mean()
guess_mark.resolve([other - bare < 0.05, bare > 0.55 and other - bare >= 0.05, bare <= 0.55])

# %% tags=["experiment", "drawing"]
fig, panels = plt.subplots(2, 2, figsize=(7.5, 5.6), sharey="row")
for column_of, model in zip(panels.T, MODELS, strict=True):
    for ax, names in zip(column_of, (["none", "as in training", "on squares"], WAYS), strict=True):
        figures.dots_with_spread(ax, {name: column(model, name) for name in names})
    column_of[0].set(title=f"marks: {model}", ylim=(0, 1.03), xlabel="marks in the exam")
    column_of[0].axhline(0.5, color="0.4", linestyle=":", label="chance")
    column_of[1].set(ylim=(0, 0.6), xlabel="saliency")
    column_of[1].axhline(4 / SIDE**2, color="0.4", linestyle="--", label="pixels alike")
panels[0, 0].set(ylabel="accuracy")
panels[1, 0].set(ylabel="the mark's share")
panels[0, 0].legend(loc="lower left", fontsize=8)
panels[1, 1].legend(fontsize=8)
figures.show(
    fig,
    alt="Above: accuracy without marks, as in training, and on squares. Where the mark "
    "went with the answer it is highest as in training and falls below chance on "
    "squares; where marks fell by chance all three are equal. Below: the mark's share "
    "of three saliencies, larger where the mark went with the answer.",
    caption="One dot a replicate. On squares: each square has the mark, no diamond has.",
)

# %% tags=["experiment"]
claim(
    "Of integrated gradients, 0.2 lie on the mark that went with the answer",
    column("goes with", "integrated"),
    at_least=0.2,
    control=column("by chance", "integrated"),
    control_is="the same network and scans, the marks in training drawn by chance",
    source="Zech et al. 2018 (a scanner's mark); Sundararajan et al. 2017",
)

# %% tags=["experiment", "drawing"]
pictures, kinds, _ = scans(600, [BASE_SEED, 3], 0)
diamond = marked(pictures[kinds == 1][:1], torch.ones(1))
fig, panels = plt.subplots(2, 4, figsize=(7.5, 4))
for row, (model, follows) in zip(panels, MODELS.items(), strict=True):
    scanner = train_scanner(follows, BASE_SEED)
    maps_of = {name: way(scanner, diamond).abs() for name, way in WAYS.items()}
    for ax, (name, grid) in zip(row, {"the scan": diamond, **maps_of}.items(), strict=True):
        ax.imshow(grid[0, 0], cmap="gray_r")
        ax.set_title(name, fontsize=9)
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(model)
figures.show(
    fig,
    alt="A diamond in noise with a mark in the upper left corner, and three saliency maps "
    "of two networks. Above, the mark stands out; below, hardly, and the maps are "
    "scattered over the diamond and its surroundings.",
    caption="Above: the mark went with the answer. Below: by chance. Dark is much.",
    data={"map": list(WAYS)},
)

# %% [markdown]
# As long as the mark goes with the answer, the first network is the *better* one: whoever tests on scans of the same
# hospital will take it. Without the mark it knows less of shapes than the other, and with marks on squares it is worse
# than a coin. All three maps point to it. But of the second network they are scattered pixels, from which nobody could
# tell a square from a diamond. That a map looks sensible proves nothing; that it lights up where nothing should be is a
# reason to *test*: set the mark yourself, and count.
#
# ## 6. What you have built
#
# **Limits.** We drew all shapes and marks, so that one thing decides; small grey pictures, short budgets, one width. A
# mark of fixed place and brightness is the easiest shortcut there is. Real ones (Geirhos et al. 2020) are texture,
# background, the age of a scanner.
#
# **Today.** Convolutions run in telephones, cars and microscopes; cells and tumours are mostly segmented by U-Nets. For
# large collections *vision transformers* cut a picture into patches and use attention (Dosovitskiy et al. 2021): they
# are told less about pictures and learn it from more of them. *Disputed:* how much is gained. Liu et al. 2022 found a
# modernised convolutional network level with transformers, Smith et al. 2023 the same at large scale. Networks with
# strides are often called shift-invariant: Azulay & Weiss 2019 found that one pixel can change the answer, Zhang 2019
# that blurring before each stride helps. And saliency: Adebayo et al. 2018 found maps that hardly change when the
# parameters are drawn at random; Arun et al. 2021 maps that miss what radiologists mark; but DeGrave et al. 2021 found
# shortcuts of networks for COVID-19 with them.
#
# ### Your turn
#
# 1. *How rare may the exception be?* Let the mark go with the answer in 0.5, 0.99, in all scans. When does the network
#    stop learning shapes? Does the share of the saliency follow the accuracy without mark?
# 2. *What would the MLP need?* Give it more digits, updates, neurons. Does it reach the convolutions? And if digits may
#    also be *mirrored*, which of the two loses more?
#
# ### References
#
# - LeCun et al. 1989, Neural Computation 1; He et al. 2016, CVPR; Sifre 2014, thesis, École Polytechnique; Howard et al.
#   2017, arXiv:1704.04861; Azulay & Weiss 2019, JMLR 20; Zhang 2019, ICML
# - Jaccard 1901, Bulletin de la Société Vaudoise des Sciences Naturelles 37; Ronneberger et al. 2015, MICCAI; Tian et
#   al. 2019, ICCV
# - Simonyan et al. 2014, ICLR workshop; Zeiler & Fergus 2014, ECCV; Sundararajan et al. 2017, ICML; Adebayo et al. 2018,
#   NeurIPS; Zech et al. 2018, PLOS Medicine 15; Geirhos et al. 2020 and DeGrave et al. 2021, Nature Machine Intelligence
#   2 and 3; Arun et al. 2021, Radiology: Artificial Intelligence 3
# - Dosovitskiy et al. 2021, ICLR; Liu et al. 2022, CVPR; Smith et al. 2023, arXiv:2310.16764

# %% tags=["nbval-ignore-output"]
check.progress()
