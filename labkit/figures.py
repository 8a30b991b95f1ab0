"""Figures: one house style, alt text that survives, and the plotted numbers one click away."""

import base64
import io
import json
import re
from collections import Counter
from html import escape
from pathlib import Path
from string import Template

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, display
from PIL import Image
from scipy import stats

from labkit.gate import as_tensor

_STYLE = mpl.rc_params_from_file(Path(__file__).with_name("figures.mplstyle"), use_default_template=False)
_CYCLE = _STYLE["axes.prop_cycle"].by_key()
PALETTE = _CYCLE["color"]
MARKERS = _CYCLE["marker"]
LINESTYLES = _CYCLE["linestyle"]


def style():
    """Sets the house style, labkit/figures.mplstyle: updates matplotlib's rcParams with it and touches nothing else.

    seaborn's functions that draw into given axes (`ax=...`) follow it; those that make a figure of their own
    (`relplot`, `catplot`) lay it out themselves and warn about that.
    """
    mpl.rcParams.update(_STYLE)


def show(fig, *, alt, caption, data=None):
    """Shows a matplotlib figure as one HTML output with alt text, caption and its numbers, and closes it.

    alt      what the figure shows, for those who do not see it. No measured digits: it must be the same on every
             machine, whatever the measurement gave.
    caption  plain text below the figure, also without measured digits.
    data     a DataFrame, or what makes one, to list instead of the numbers that `numbers` reads off the figure.

    Raises ValueError when alt or caption is empty or holds a decimal number.
    """
    alt, caption = _sentence(alt, "alt"), _sentence(caption, "caption")
    try:
        panels = numbers(fig) if data is None else [("", _with_index(data))]
        every = -(-sum(len(frame) for _, frame in panels) // 200)  # of the rows; about 200 are enough
        tables = "\n".join(_table(title, frame, every) for title, frame in panels)
    except Exception as error:  # a figure without its numbers is better than none
        tables = _table(f"The numbers cannot be listed ({type(error).__name__}: {error}).", pd.DataFrame())
    _display("figure.html", fig, alt=alt, src=_png(fig), caption=caption, tables=tables)
    plt.close(fig)  # or the notebook would show it a second time


def slider(frames, *, alt, caption, name="Shown"):
    """Shows one of several figures at a time, chosen by a slider, as one HTML output; closes the figures.

    frames   dict from a label (a text or a number, such as a width or a step) to a Figure; all of one size
    alt      dict from each label to what its figure shows; or one text for all, to which the label is added
    caption  plain text below the figures
    name     what the labels are, such as "Width": stands beside the slider

    It needs no kernel: it works by mouse and keyboard in JupyterLab, in Colab and on a page. Where scripts are
    stripped, as on GitHub, the first figure stands alone. As in `show`, texts hold no measured digits.

    Raises ValueError for a text that is empty or holds a decimal number.
    """
    caption, name = _sentence(caption, "caption"), _sentence(name, "name")
    shown = []
    for label, fig in frames.items():
        text = _sentence(alt[label] if isinstance(alt, dict) else alt, "alt")
        shown.append({"label": str(label), "alt": f"{text} {name}: {label}.", "src": _png(fig)})
        plt.close(fig)
    frames = json.dumps(shown)
    _display("slider.html", fig, name=name, caption=caption, last=len(shown) - 1, frames=frames, **shown[0])


def lines_with_spread(ax, x, values, label, **line):
    """Draws each replicate as a faint line and their mean as a strong one, which is returned.

    x [n]; values [K, n], one row a replicate; `line` goes to `ax.plot` for the mean.
    """
    values = _array(values)
    (mean,) = ax.plot(x, values.mean(axis=0), label=label, **line)
    around = [*values, values.mean(axis=0)]  # with the mean, which rounding can put outside of equal replicates
    mean.spread = {"low": np.fmin.reduce(around), "high": np.fmax.reduce(around)}  # for `numbers`
    # marker, linestyle and markevery are all given, or each replicate would use up a colour of the cycle.
    plain = {"marker": "", "linestyle": "-", "markevery": 1, "linewidth": 0.8, "alpha": 0.3, "zorder": 1.5}
    ax.plot(x, values.T, color=mean.get_color(), label="_replicate", **plain)
    return mean


def dots_with_spread(ax, values, *, paired=True):
    """Draws one dot a replicate for each category and, beside the dots, the mean with its 90 % interval.

    values: a dict or DataFrame, category -> [K] values with the replicates in the same order; `paired` joins the dots
    of a replicate. The interval is Student's t for the mean, so each end is a one-sided 95 % bound, as in `claim`.
    """
    table = np.stack([_array(values[category]) for category in values])
    ticks, replicates = np.arange(len(table)), table.shape[1]
    x = ticks[:, None] + np.linspace(-0.15, 0.15, replicates)
    if paired:
        ax.plot(x, table, color="0.75", linewidth=0.8, marker="", linestyle="-", markevery=1, label="_pair", zorder=1)
    ax.scatter(x, table, s=20, color=PALETTE[0], linewidths=0, label="one replicate")
    half = stats.t.ppf(0.95, replicates - 1) * stats.sem(table, axis=1)
    mark = {"fmt": "D", "color": PALETTE[1], "capsize": 4, "markevery": 1}
    ax.errorbar(ticks + 0.27, table.mean(axis=1), yerr=half, label="mean, 90 % interval", **mark)
    ax.set_xticks(ticks, labels=list(values))
    ax.set_xlim(-0.5, len(ticks) - 0.5)
    ax.grid(False, axis="x")


def digit_grid(images, titles=None, *, columns=10, **imshow):
    """Draws small square pictures in rows, black ink on white, and returns the figure.

    images [n, pixels] or [n, side, side]; titles: n short texts or numbers; `imshow` goes to `Axes.imshow`.
    """
    images = _array(images)
    side = round(images[0].size ** 0.5)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    size = (0.75 * columns, (0.75 if titles is None else 0.96) * rows)
    fig, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in grid.flat:
        ax.axis("off")
    titles = [""] * len(images) if titles is None else np.asarray(titles).tolist()
    for ax, image, title in zip(grid.flat, images.reshape(-1, side, side), titles, strict=False):
        ax.imshow(image, **{"cmap": "gray_r"} | imshow)
        ax.set_title(title, pad=3)
    return fig


def _array(values):
    """A NumPy array of whatever holds numbers; of a tensor in double precision, for NumPy knows no bfloat16."""
    tensor = as_tensor(values, "values").cpu()
    return np.asarray(tensor.double() if tensor.is_floating_point() else tensor)


def _sentence(text, name):
    """The alt text or caption on one line; refused when it is empty or holds a decimal number."""
    text = " ".join(str(text or "").split())
    if not text:
        raise ValueError(f"show() needs {name}=...: say in a sentence what the figure shows.")
    if re.search(r"\.\d", text):
        raise ValueError(f"show() wants no measured digits in {name}, which must be equal on every machine: {text!r}.")
    return text


def _display(template, fig, tables="", **texts):
    """Shows an HTML file of this folder, filled in. The figure has more pixels than it is wide, so text stays sharp."""
    texts = {name: escape(str(text)) for name, text in texts.items()}
    page = Template(Path(__file__).with_name(template).read_text(encoding="utf-8").rstrip())
    display(HTML(page.substitute(tables=tables, width=round(96 * fig.get_figwidth()), **texts)))


def _png(fig):
    """The figure as a PNG of 256 colours, which is smaller, and the eye sees no difference: the address of an image."""
    for axes in fig.axes:
        if axes.images:
            axes.grid(False)  # the grid would cross the image
    full, small = io.BytesIO(), io.BytesIO()
    fig.savefig(full, format="png")
    Image.open(full).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"


# The numbers below a figure -------------------------------------------------------------------------------------------


def numbers(fig):
    """The plotted numbers of a figure: a list of (panel title, DataFrame).

    The columns are the series (its legend label), the x and the y axis (by their labels) and, where something has them,
    low and high (the ends of error bars and bands, the lowest and highest replicate of `lines_with_spread`; "low x" and
    "high x" where they lie along x), and the value of a heat map's cell. The value of a bar is where it ends.

    Read are lines, reference lines, error bars, bars, points, bands and heat maps. What else is drawn, such as images
    and all in three dimensions, is counted in the last title. An artist whose label starts with an underscore is left
    out, as from a legend.
    """
    panels, unread = [], Counter()
    for axes in fig.axes:
        if axes.get_label() == "<colorbar>":
            continue
        frame = _panel(axes, unread)
        if len(frame):
            panels.append((axes.get_title() or axes.get_title("left") or axes.get_title("right"), frame))
    if unread:
        title, frame = panels.pop() if panels else ("", pd.DataFrame())
        kinds = Counter(_PLAIN.get(name, "other shapes") for name in unread.elements())
        names = ", ".join(f"{kind} ({count})" for kind, count in kinds.items())
        panels.append((f"{title} Drawn but not listed: {names}.".strip(), frame))
    return panels


_PLAIN = {  # what Matplotlib's classes are to a reader
    "AxesImage": "images", "Axes": "inset figures", "AxLine": "lines", "Line2D": "lines", "Line3D": "lines",
    "LineCollection": "sets of lines", "PathCollection": "sets of points", "Path3DCollection": "sets of points",
    "ErrorbarContainer": "sets of error bars", "QuadContourSet": "sets of contours", "Quiver": "sets of arrows",
}  # fmt: skip


def _panel(axes, unread):
    """What is drawn in axes, as one table; `unread` counts what is not in it."""
    parts = {id(part) for group in axes.containers for part in (*group.get_children(), getattr(group, "errorbar", 0))}
    series = [pd.DataFrame()]
    for artist in (*axes.containers, *axes.lines, *axes.collections, *axes.patches, *axes.images, *axes.child_axes):
        label = str(artist.get_label())
        unnamed = not label or label.startswith(("_child", "_container", "_nolegend_"))
        if id(artist) in parts or (label.startswith("_") and not unnamed):
            continue
        try:
            frame = pd.DataFrame(_read(artist, axes))
        except Exception:  # of a kind that is not read, or that looks like another one
            unread[type(artist).__name__] += 1
            continue
        if unnamed:
            label = "reference line" if frame.shape[1] == 1 else f"series {len(series)}"
        if len(frame):
            series.append(frame.assign(series=label))
    columns = ["x", "y", "low", "high", "low x", "high x"]
    table = pd.concat(series, ignore_index=True).filter(["series", *columns, "value"])
    for column in table.columns.intersection(columns):
        table[column] = _in_words(axes.xaxis if "x" in column else axes.yaxis, table[column])
    return table.rename(columns={"x": axes.get_xlabel() or "x", "y": axes.get_ylabel() or "y"})


def _read(artist, axes):
    """The numbers that an artist shows, a table. Raises NotImplementedError for kinds that are not read."""
    if axes.name == "3d":
        raise NotImplementedError
    if isinstance(artist, mpl.container.ErrorbarContainer):
        points = {} if artist[0] is None else dict(zip("xy", artist[0].get_data(orig=False), strict=True))
        return _with_ends(points, artist)
    if isinstance(artist, mpl.container.BarContainer):
        left, bottom, right, top = np.array([bar.get_bbox().extents for bar in artist]).reshape(-1, 4).T
        lying, upright = {"x": right, "y": (bottom + top) / 2}, {"x": (left + right) / 2, "y": top}
        points = lying if artist.orientation == "horizontal" else upright
        return _with_ends(points, artist.errorbar) if artist.errorbar else points
    if isinstance(artist, mpl.collections.PathCollection) and artist.get_offset_transform() == axes.transData:
        return pd.DataFrame(np.ma.filled(artist.get_offsets().astype(float), np.nan), columns=["x", "y"])
    line, place = isinstance(artist, mpl.lines.Line2D), artist.get_transform()
    if line and place == axes.get_yaxis_transform("grid"):  # axhline
        return {"y": artist.get_ydata(orig=False)[:1]}
    if line and place == axes.get_xaxis_transform("grid"):  # axvline
        return {"x": artist.get_xdata(orig=False)[:1]}
    if line and place == axes.transData:
        return dict(zip("xy", artist.get_data(orig=False), strict=True)) | getattr(artist, "spread", {})
    if isinstance(artist, mpl.collections.QuadMesh) and place == axes.transData:
        corners = artist.get_coordinates()
        x, y = ((corners[:-1, :-1] + corners[1:, 1:]) / 2).reshape(-1, 2).T
        return {"x": x, "y": y, "value": np.ma.filled(artist.get_array().astype(float), np.nan).ravel()}
    if isinstance(artist, mpl.collections.PolyCollection) and place == axes.transData:
        return _band(artist)
    raise NotImplementedError


def _with_ends(points, bars):
    """Points, and where the error bars around them end."""
    points = pd.DataFrame(points)
    for along, ranges in zip("x" * bars.has_xerr + "y" * bars.has_yerr, bars[2], strict=True):
        segments = np.array([path.vertices for path in ranges.get_paths()]).reshape(-1, 2, 2)
        value, place, ends = (0, "y", ["low x", "high x"]) if along == "x" else (1, "x", ["low", "high"])
        around = pd.DataFrame(np.sort(segments[:, :, value]), columns=ends).assign(**{place: segments[:, 0, 1 - value]})
        if len(points) in (0, len(around)):
            points = points.combine_first(around)
        else:  # `errorevery` leaves some points without
            points = points.merge(around, how="left", on=place, validate="one_to_one")
    return points


def _band(band):
    """The edges of what `fill_between` drew: each part is a start, one edge, an end, the other edge backwards."""
    halves = [np.split(path.vertices[:-1], 2) for path in band.get_paths()]
    one = np.concatenate([half[1:] for half, _ in halves])
    other = np.concatenate([half[:0:-1] for _, half in halves])
    np.testing.assert_array_equal(one[:, 0], other[:, 0])  # or it is another polygon
    low, high = np.sort([one[:, 1], other[:, 1]], axis=0)
    return {"x": one[:, 0], "low": low, "high": high}


def _in_words(axis, positions):
    """A column of positions as dates or, beside named ticks that are one apart, as these names; else unchanged."""
    if isinstance(axis.get_major_locator(), mpl.dates.DateLocator):
        return pd.to_datetime(positions, unit="D", origin=mpl.dates.get_epoch()).dt.round("ms")
    ticks, names = axis.get_majorticklocs(), [label.get_text() for label in axis.get_majorticklabels()]
    given = isinstance(axis.get_major_formatter(), mpl.category.StrCategoryFormatter | mpl.ticker.FuncFormatter)
    named = given and names and all(names) and np.all(np.diff(ticks) == 1)
    if not named or positions.name not in ("x", "y"):
        return positions
    steps = (positions - ticks[0]).round()
    beside = (positions - ticks[0] - steps).abs().max() < 0.3 and steps.dropna().isin(range(len(ticks))).all()
    return steps.map(dict(enumerate(names))) if beside else positions


# The tables -----------------------------------------------------------------------------------------------------------


def _with_index(data):
    """`data` as a DataFrame, with its index as columns where that says something: a name, or texts."""
    frame = pd.DataFrame(data)
    says = any(frame.index.names) or not pd.api.types.is_integer_dtype(frame.index)
    return frame.reset_index(allow_duplicates=True) if says else frame


def _table(title, frame, every=1):
    """An HTML table of each row, or of every second, third, ... row of each series."""
    if every > 1:
        place = frame.groupby("series").cumcount() if "series" in frame else np.arange(len(frame))
        kept = frame[place % every == 0]
        title = f"{title} {len(kept)} of {len(frame)} rows, evenly spaced.".strip()
        frame = kept
    with pd.option_context("display.max_colwidth", None):
        rows = frame.to_html(index=False, na_rep="", float_format=_digits).partition(">")[2]
    rows = rows.replace("<th>", '<th scope="col">')  # for screen readers
    return f'<table class="measured">\n<caption>{escape(title)}</caption>{rows}'


def _digits(value):
    """Four significant digits; whole numbers below a million in full."""
    return f"{value:.6g}" if float(value).is_integer() else f"{value:.4g}"
