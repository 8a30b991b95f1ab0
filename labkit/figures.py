"""Figures: one house style, alt text that survives, and the plotted numbers one click away."""

import base64
import io
import json
import numbers as kinds
import re
from collections import Counter
from html import escape

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from cycler import cycler
from IPython.display import HTML, display
from matplotlib.category import StrCategoryLocator
from matplotlib.collections import PathCollection, PolyCollection, QuadMesh
from matplotlib.container import BarContainer, ErrorbarContainer, StemContainer
from matplotlib.dates import DateConverter, num2date
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator
from PIL import Image
from scipy import stats

# Six colours at 3:1 or better on white (WCAG 2.2, 1.4.11), apart from each other for colour-blind eyes and in grey.
PALETTE = ["#0b5fc0", "#d9570f", "#45106b", "#0ea47e", "#96164f", "#111111"]
MARKERS = ["o", "s", "^", "D", "v", "P"]
LINESTYLES = ["-", "--", "-.", (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (8, 2))]
# Ten class colours, growing lighter from class 0 to class 9; neighbours differ in hue.
CLASS_COLORS = ["#00323d", "#403702", "#6f0e82", "#0e5551", "#8d4203"]
CLASS_COLORS += ["#295fba", "#1d7d4c", "#e42f4e", "#2a8dbd", "#779d14"]

STYLE = {
    # `markevery` spaces the markers along the curve, so that a line of a thousand points stays a line.
    "axes.prop_cycle": cycler(color=PALETTE, marker=MARKERS, linestyle=LINESTYLES, markevery=[0.05] * len(PALETTE)),
    "axes.axisbelow": True,
    "axes.edgecolor": "0.4",
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.dpi": 96,
    "figure.figsize": (7.5, 3.6),
    "font.size": 10,
    "grid.color": "0.9",
    "legend.edgecolor": "none",
    "legend.fontsize": 9,
    "legend.handlelength": 3,
    "lines.linewidth": 1.7,
    "lines.markersize": 5,
    "savefig.dpi": 144,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}
CSS_PIXELS = 96  # CSS pixels in an inch of figure: `show` draws more pixels than it lays out, so text stays sharp
UNNAMED = ("_child", "_container")  # how matplotlib's names for "no label" begin
MAX_ROWS = 200  # rows in the tables below a figure


def style():
    """Sets the house style: updates matplotlib's rcParams with `STYLE` and touches nothing else.

    seaborn's functions that draw into given axes (`ax=...`) follow it; those that make a figure of their own
    (`relplot`, `catplot`) lay it out themselves and warn about that.
    """
    mpl.rcParams.update(STYLE)


def show(fig, *, alt, caption, data=None):
    """Shows a matplotlib figure as one HTML output with alt text, caption and its numbers, and closes it.

    alt      what the figure shows, for those who do not see it. No measured digits: it must be the same on every
             machine, whatever the measurement gave.
    caption  plain text below the figure, also without measured digits.
    data     a DataFrame, or what makes one, to list instead of the numbers that `numbers` reads off the figure.

    Raises TypeError when `fig` is no Figure, ValueError when alt or caption is empty or holds a decimal number.
    """
    if not isinstance(fig, mpl.figure.Figure):
        raise TypeError(f"show() needs a matplotlib Figure, not {type(fig).__name__}: pass fig or ax.figure.")
    alt, caption = _sentence(alt, "alt"), _sentence(caption, "caption")
    try:
        tables = _tables(numbers(fig) if data is None else [("", _with_index(data))])
    except Exception as error:  # a figure without its numbers is better than none
        note = f"The numbers cannot be listed ({type(error).__name__}: {error})."
        tables = _tables([(note, pd.DataFrame())])
    picture = _img(alt, _png(fig), fig)
    plt.close(fig)  # or the notebook would show it a second time
    display(
        HTML(f"""<figure style="margin:0">
{picture}
<figcaption>{escape(caption)}</figcaption>
<details><summary>Numbers in this figure</summary>
{tables}
</details>
</figure>""")
    )


# What the slider does. It finds its parts from its own place, so that several on one page do not disturb each other.
_MOVE = """
const figure = this.closest('figure'), frame = JSON.parse(figure.dataset.frames)[this.value];
figure.querySelector('img').src = frame.src;
figure.querySelector('img').alt = frame.alt;
figure.querySelector('output').textContent = frame.label;
this.setAttribute('aria-valuetext', frame.label);
""".replace("\n", " ").strip()


def slider(frames, *, alt, caption, name="Shown"):
    """Shows one of several figures at a time, chosen by a slider, as one HTML output; closes the figures.

    frames   dict from a label (a text or a number, such as a width or a step) to a Figure; all of one size
    alt      dict from each label to what its figure shows; or one text for all, to which the label is added
    caption  plain text below the figures
    name     what the labels are, such as "Width": stands beside the slider

    It needs no kernel: it works by mouse and keyboard in JupyterLab, in Colab and on a page. Where scripts are
    stripped, as on GitHub, the first figure stands alone. As in `show`, texts hold no measured digits.

    Raises TypeError where a frame is no Figure; ValueError for fewer than two frames, figures of different sizes, a
    text that is empty or holds a decimal number, or labels without an alt text.
    """
    if len(frames) < 2:
        raise ValueError("slider() needs at least two frames: show one figure by show().")
    if not all(isinstance(fig, mpl.figure.Figure) for fig in frames.values()):
        raise TypeError("slider() needs a dict from labels to matplotlib Figures.")
    if len({tuple(fig.get_size_inches()) for fig in frames.values()}) > 1:
        raise ValueError("slider() needs figures of one size, or the page would jump: give all the same figsize.")
    if isinstance(alt, dict) and alt.keys() != frames.keys():
        raise ValueError("slider() needs an alt text for each label, and for no other.")
    caption, name, shown = _sentence(caption, "caption"), _sentence(name, "name"), []
    for label, fig in frames.items():
        text = alt[label] if isinstance(alt, dict) else alt
        shown.append({"label": str(label), "alt": f"{_sentence(text, 'alt')} {name}: {label}.", "src": _smallest(fig)})
        plt.close(fig)
    first = _img(shown[0]["alt"], shown[0]["src"], fig)
    # data-lm-suppress-shortcuts: in JupyterLab the arrow keys move the slider, not the selected cell
    display(
        HTML(f"""<figure style="margin:0" data-frames="{escape(json.dumps(shown))}">
{first}
<label>{escape(name)}: <input type="range" min="0" max="{len(shown) - 1}" step="1" value="0"
 aria-valuetext="{escape(shown[0]["label"])}" data-lm-suppress-shortcuts="true"
 style="width:min(22rem,60%);vertical-align:middle" oninput="{_MOVE}">
<output>{escape(shown[0]["label"])}</output></label>
<figcaption>{escape(caption)}</figcaption>
</figure>""")
    )


def numbers(fig):
    """The plotted numbers of a figure: a list of (panel title, DataFrame).

    The columns are the series (its legend label), the x and the y axis (by their labels; in three dimensions z, too),
    and low and high where something is drawn around a value: error bars, a band, or the replicates of
    `lines_with_spread` (lowest, highest). They are around y, or around x where x alone has error bars or bars lie. The
    value of a bar is where it ends; one that starts elsewhere than at 0 has its two ends as low and high.

    Read are lines, error bars, bars, stems, points, bands and heat maps; `axhline` and `axvline` are listed once;
    images are only counted. What else is drawn is named in the last title. An artist whose label starts with an
    underscore is left out, as from a legend.
    """
    panels, images = [], {}
    unread = Counter(type(artist).__name__ for artist in (*fig.images, *fig.lines, *fig.patches))
    for axes in (axes for axes in _all_axes(fig.axes) if axes.get_label() != "<colorbar>"):
        title = next(filter(None, map(axes.get_title, ("center", "left", "right"))), "")
        x_name, y_name = axes.get_xlabel() or "x", axes.get_ylabel() or "y"
        z_name = (axes.get_zlabel() or "z") if hasattr(axes, "get_zlabel") else None
        for image in axes.images:
            if image.get_array() is None:
                unread[type(image).__name__] += 1
            else:
                images.setdefault(image.get_array().shape[:2], []).append(title)
        panel = _Panel(axes, unread)
        for mesh in panel.meshes:
            panels.append((title, mesh.set_axis([x_name, y_name, "value"], axis=1)))
        if series := panel.frames(y_name):
            frame = pd.concat(series).set_axis(["series", x_name, y_name, z_name, "low", "high"], axis=1)
            kept = [True, True, True, z_name is not None] + [frame.iloc[:, 4:].notna().any(axis=None)] * 2
            panels.append((title, frame.loc[:, kept]))
    for (height, width), titles in images.items():
        named = f"; titles: {', '.join(titles)}" if any(titles) else ""
        panels.append((f"Images of {height} by {width} pixels: {len(titles)}{named}.", pd.DataFrame()))
    if unread:
        title, frame = panels.pop() if panels else ("", pd.DataFrame())
        names = ", ".join(f"{count} {name}" for name, count in unread.items())
        panels.append((f"{title} Not listed: {names}.".strip(), frame))
    return panels


def lines_with_spread(ax, x, values, label, **line):
    """Draws each replicate as a faint line and their mean as a strong one, which is returned.

    x [n]; values [K, n], one row a replicate; `line` goes to `ax.plot` for the mean.
    """
    x, values = _array(x), _array(values)
    if values.ndim != 2 or values.shape[1] != len(x):
        raise ValueError(f"values must have the shape [replicates, {len(x)}], one row a replicate, not {values.shape}.")
    (mean,) = ax.plot(x, values.mean(axis=0), label=label, **line)
    # marker, linestyle and markevery are all given, or each replicate would use up a colour of the cycle.
    plain = {"marker": "", "linestyle": "-", "markevery": 1, "linewidth": 0.8, "alpha": 0.3, "zorder": 1.5}
    ax.plot(x, values.T, color=mean.get_color(), label="_replicate", **plain)
    return mean


def dots_with_spread(ax, values, *, paired=True):
    """Draws one dot a replicate for each category and, beside the dots, the mean with its 90 % interval.

    values: a dict or DataFrame, category -> [K] values with the replicates in the same order; `paired` joins the dots
    of a replicate. The interval is Student's t for the mean, so each end is a one-sided 95 % bound, as in `claim`.
    """
    table = [_array(values[category]) for category in values]
    if len(table[0]) < 2 or any(row.shape != table[0].shape for row in table):
        raise ValueError(f"Each category needs the same K >= 2 replicates, not {[len(row) for row in table]}.")
    table, ticks, replicates = np.stack(table), np.arange(len(table)), len(table[0])
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


def scatter_classes(ax, xy, labels, size=42):
    """Draws each point as the digit of its class, coloured by class: readable without colour and without a legend.

    xy [n, 2]; labels [n], whole numbers from 0 to 9; size: area of a digit in square points.
    """
    xy, labels = _array(xy), _array(labels)
    if xy.shape != (len(labels), 2) or not np.isin(labels, range(10)).all():
        raise ValueError(f"xy must have the shape [{len(labels)}, 2], not {xy.shape}, and each label lie in 0 .. 9.")
    for label in np.unique(labels).astype(int):
        mark = {"marker": f"${label}$", "color": CLASS_COLORS[label], "linewidths": 0.3}
        ax.scatter(*xy[labels == label].T, s=size, label=f"class {label}", **mark)


def digit_grid(images, titles=None, *, columns=10, **imshow):
    """Draws small square pictures in rows, black ink on white, and returns the figure.

    images [n, pixels] or [n, side, side]; titles: n short texts or numbers; `imshow` goes to `Axes.imshow`.
    """
    images = _array(images)
    side = round(images[0].size ** 0.5)
    if images[0].size != side**2 or (titles is not None and len(titles) != len(images)):
        raise ValueError(f"digit_grid() needs n square images and, if any, n titles; the images are {images.shape}.")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    size = (0.75 * columns, (0.75 if titles is None else 0.96) * rows)
    fig, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in grid.flat:
        ax.axis("off")
    titles = [""] * len(images) if titles is None else _array(titles).tolist()
    for ax, image, title in zip(grid.flat, images.reshape(-1, side, side), titles, strict=False):
        ax.imshow(image, **{"cmap": "gray_r"} | imshow)
        ax.set_title(title, pad=3)
    return fig


def _array(values):
    """A NumPy array of a tensor (on any device, with or without gradient, bfloat16), an array, or a list of these."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        return np.asarray(values.double() if values.is_floating_point() else values)
    return np.asarray([_array(item) for item in values] if isinstance(values, list | tuple) else values)


def _sentence(text, name):
    """The alt text or caption on one line; refused when it is empty or holds a decimal number."""
    text = " ".join(str(text or "").split())
    if not text:
        raise ValueError(f"show() needs {name}=...: say in a sentence what the figure shows.")
    if re.search(r"\.\d", text):
        raise ValueError(f"show() wants no measured digits in {name}, which must be equal on every machine: {text!r}.")
    return text


def _img(alt, src, fig):
    """A picture in HTML, as wide as the figure."""
    width = round(fig.get_figwidth() * CSS_PIXELS)
    return f'<img alt="{escape(alt)}" width="{width}" style="max-width:100%;height:auto" src="{src}">'


def _png(fig):
    """The figure as a PNG of 256 colours, which is smaller, and the eye sees no difference: the address of an image."""
    for axes in fig.axes:
        if axes.images:
            axes.grid(False)  # the grid would cross the image
    full, small = io.BytesIO(), io.BytesIO()
    fig.savefig(full, format="png")
    Image.open(full).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"


def _smallest(fig):
    """The figure as PNG or, where that is smaller, as SVG: the address of an image."""
    png, svg = _png(fig), io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "labkit"}):  # the same figure gives the same file
        fig.savefig(svg, format="svg", metadata={"Date": None})
    return min(png, f"data:image/svg+xml;base64,{base64.b64encode(svg.getvalue()).decode()}", key=len)


def _all_axes(some):
    """The axes, and those that are set into them."""
    for axes in some:
        yield axes
        yield from _all_axes(axes.child_axes)


class _Panel:
    """What is drawn in axes: `series` and `meshes` (heat maps), a DataFrame each; `unread` counts what is not read."""

    def __init__(self, axes, unread):
        self.axes, self.unread, self.meshes, self.series, self.around, self.references = axes, unread, [], [], [], []
        legend = axes.get_legend()
        handles = zip(legend.legend_handles, legend.get_texts(), strict=True) if legend else ()
        self.labels = {_color(handle): text.get_text() for handle, text in handles}
        groups = [box for box in axes.containers if isinstance(box, BarContainer | ErrorbarContainer | StemContainer)]
        parts = {id(part) for box in groups for part in (*box.get_children(), getattr(box, "errorbar", None))}
        for artist in (*groups, *axes.lines, *axes.collections, *axes.patches):
            if id(artist) in parts:
                continue
            try:
                known = self.read(artist, str(artist.get_label()))
            except Exception:  # of a kind that looks like another one
                known = False
            if not known:
                unread[type(artist).__name__] += 1
        for drawn in self.around:
            self.attach(*drawn)

    def read(self, artist, label):
        """Whether it is of a kind that can be read, or left out by its label; then it has been."""
        if hasattr(self.axes, "get_zlabel"):
            if not hasattr(artist, "get_data_3d") and not hasattr(artist, "_offsets3d"):
                return False
            x, y, z = artist.get_data_3d() if hasattr(artist, "get_data_3d") else artist._offsets3d
            self.add(artist, label, *map(_filled, (x, y, z)))
        elif isinstance(artist, BarContainer):
            self.bars(artist, label)
        elif isinstance(artist, ErrorbarContainer):
            self.error_bars(artist, label)
        elif isinstance(artist, StemContainer):
            self.add(artist.markerline, label, *artist.markerline.get_data(orig=False))
        elif isinstance(artist, Line2D):
            self.line(artist, label, *artist.get_data(orig=False))
        elif isinstance(artist, PathCollection):
            self.add(artist, label, *_filled(artist.get_offsets()).T)
        elif isinstance(artist, QuadMesh):
            corners = artist.get_coordinates()
            x, y = ((corners[:-1, :-1] + corners[1:, 1:]) / 2).reshape(-1, 2).T
            cells = {"x": _named(self.axes.xaxis, x), "y": _named(self.axes.yaxis, y)}
            self.meshes.append(pd.DataFrame(cells | {"value": _filled(artist.get_array()).ravel()}))
        elif isinstance(artist, PolyCollection) and (edges := _edges(artist)) is not None:
            self.around.append((_color(artist), label, *edges))
        else:
            return label.startswith("_") and not label.startswith((*UNNAMED, "_nolegend_"))  # as all contours are
        return True

    def add(self, artist, label, x, y, z=np.nan, low=np.nan, high=np.nan, of="y"):
        """A series, with low and high around its y, or x; unless its label begins with an underscore."""
        if label.startswith(UNNAMED):
            label = self.labels.get(_color(artist), "")  # seaborn labels its series only in the legend, by colour
        if not label.startswith("_") and len(x):
            columns = {"series": label, "x": x, "y": y, "z": z, "low": low, "high": high}
            self.series.append((pd.DataFrame(columns), of, _color(artist)))

    def bars(self, bars, label):
        if len(bars) == 0:
            return
        x, y, x_end, y_end = np.array([bar.get_bbox().extents for bar in bars]).T
        lies = bars.orientation == "horizontal"
        start, end = (x, x_end) if lies else (y, y_end)
        x, y = (x_end, (y + y_end) / 2) if lies else ((x + x_end) / 2, y_end)
        low, high = _ends(bars.errorbar, x, y)
        if bars.errorbar is None and start.any():
            low, high = np.sort([start, end], axis=0)
        self.add(bars[0], label, x, y, low=low, high=high, of="x" if lies else "y")

    def error_bars(self, bars, label):
        line, _, ranges = bars
        self.unread.update(["error bars of x"] if bars.has_xerr and bars.has_yerr else [])
        if line is not None:
            x, y = line.get_data(orig=False)
            low, high = _ends(bars, x, y)
            self.add(line, label, x, y, low=low, high=high, of="y" if bars.has_yerr else "x")
        elif ranges:
            segments = _segments(bars)
            low, high = np.sort(segments[..., 1 if bars.has_yerr else 0], axis=1).T
            if bars.has_yerr:
                self.around.append((None, label, segments[:, 0, 0], low, high))
            else:
                self.add(ranges[0], label, np.full(len(low), np.nan), segments[:, 0, 1], low=low, high=high, of="x")

    def line(self, line, label, x, y):
        place = line.get_transform()
        if label == "_replicate":
            self.around.append((_color(line), label, x, y, y))
        elif place == self.axes.transData:
            self.add(line, label, x, y)
        else:  # axvline has an x, axhline a y, axline neither
            x = x[0] if place == self.axes.get_xaxis_transform("grid") else np.nan
            y = y[0] if place == self.axes.get_yaxis_transform("grid") else np.nan
            columns = {"series": "reference line" if label.startswith("_") else label, "x": [x], "y": [y], "z": np.nan}
            self.references.append((pd.DataFrame(columns | {"low": np.nan, "high": np.nan}), "y", None))

    def attach(self, color, label, x, low, high):
        """Low and high belong to a series of their colour over the same x, which they enclose, or stand alone."""
        for series, _, its_color in self.series:
            rows = _rows(series["x"].to_numpy(), x) if color in (None, its_color) else None
            if rows is None:
                continue
            around = series["low"].to_numpy()[rows], series["y"].to_numpy()[rows], series["high"].to_numpy()[rows]
            if label == "_replicate" or (series["low"].isna().all() and _encloses(low, around[1], high)):
                series.loc[rows, "low"] = np.fmin.reduce([low, *around[:2]])
                series.loc[rows, "high"] = np.fmax.reduce([high, *around[1:]])
                return
        artist = mpl.lines.Line2D([], [], color=color or "black")
        self.add(artist, label, x, np.nan, low=low, high=high)

    def frames(self, y_name):
        """The series, each with a name and with the dates and categories of its axes; then the reference lines."""
        unnamed = [series for series, *_ in self.series if series["series"].iloc[0] == ""]
        for i, series in enumerate(unnamed, 1):
            series["series"] = y_name if len(self.series) == 1 else f"series {i}"
        for series, of, _ in self.series + self.references:
            for end in ("low", "high"):
                series[end] = _dates(self.axes.xaxis if of == "x" else self.axes.yaxis, series[end])
            series["x"], series["y"] = _named(self.axes.xaxis, series["x"]), _named(self.axes.yaxis, series["y"])
        return [series for series, *_ in self.series + self.references]


def _filled(values):
    """Numbers as floats, NaN where they are masked."""
    return np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)


def _color(artist):
    """The colour of a line, bar or collection as a hex text; None where it has none."""
    colored = getattr(artist, "get_color", None) or getattr(artist, "get_facecolor", None)
    colors = mpl.colors.to_rgba_array(colored()) if colored else ()
    return mpl.colors.to_hex(colors[0]) if len(colors) else None


def _segments(bars):
    """The error bars of y, or of x where only that has some: [n, two ends, xy]."""
    return np.array([path.vertices for path in bars[2][-1].get_paths()]).reshape(-1, 2, 2)


def _ends(bars, x, y):
    """Low and high of the error bars at each point; NaN where a point has none, as `errorevery` would have it."""
    low, high = np.full((2, len(x)), np.nan)
    if bars is None or not bars[2]:
        return low, high
    value, place = (1, 0) if bars.has_yerr else (0, 1)
    points, next_one = np.stack([x, y], axis=1), 0
    segments = _segments(bars)
    for i, ends in enumerate(segments):
        if len(segments) < len(x):  # the next point that it can belong to
            at = np.isclose(points[:, place], ends[0, place]) & (np.arange(len(x)) >= next_one)
            at &= (ends[:, value].min() <= points[:, value]) & (points[:, value] <= ends[:, value].max())
            if not at.any():
                continue
            i = at.argmax()
        low[i], high[i] = np.sort(ends[:, value])
        next_one = i + 1
    return low, high


def _edges(band):
    """x, low and high of what `fill_between` drew, over all its parts; None where it is something else."""
    parts = []
    for path in band.get_paths():
        # A start, there along one edge, an end, back along the other, and the start again.
        corners = path.vertices
        there, back = corners[1 : len(corners) // 2], corners[len(corners) // 2 + 1 : -1][::-1]
        if not np.array_equal(there[:, 0], back[:, 0]):
            return None
        parts.append([there[:, 0], *np.sort([there[:, 1], back[:, 1]], axis=0)])
    return np.concatenate(parts, axis=1) if parts else None


def _rows(of, x):
    """The places of each x among those of a line; None where one is not there, or there twice."""
    if np.array_equal(of, x):
        return np.arange(len(of))
    index = pd.Index(of)
    rows = index.get_indexer(x) if index.is_unique else np.array([-1])
    return None if (rows < 0).any() else rows


def _encloses(low, y, high):
    """Whether low and high lie around y, but for rounding, wherever all three are known."""
    near = 1e-9 * np.nanmax(np.abs(y), initial=0)
    return not ((low > y + near) | (y > high + near)).any()


def _dates(axis, positions):
    """Positions on an axis of dates as these; on any other axis unchanged."""
    converter = axis.get_converter() if hasattr(axis, "get_converter") else axis.converter  # before matplotlib 3.10
    positions = np.asarray(positions, dtype=float)
    if not isinstance(converter, DateConverter) and "Date" not in type(converter).__name__:
        return positions
    period = getattr(axis.axes, "freq", None)  # pandas counts regular dates in periods

    def date(position):
        if not np.isfinite(position):
            return pd.NaT
        if period is not None:
            return pd.Period(ordinal=round(position), freq=period).start_time
        return pd.Timestamp(num2date(position, tz=axis.get_units()).replace(tzinfo=None))

    try:
        return pd.DatetimeIndex([date(position) for position in positions])
    except (TypeError, ValueError, OverflowError):  # far from any calendar
        return positions


def _named(axis, positions):
    """Positions on an axis as dates, or as the names of categories (named ticks one apart); on any other unchanged."""
    positions = _dates(axis, positions)
    names, ticks = [label.get_text() for label in axis.get_majorticklabels()], np.asarray(axis.get_majorticklocs())
    named = isinstance(axis.get_major_locator(), FixedLocator | StrCategoryLocator) and len(ticks) > 0
    if not named or isinstance(positions, pd.DatetimeIndex) or not np.all(np.diff(ticks) == 1):
        return positions
    nearest = np.round(positions - ticks[:1])
    inside = len(names) and np.isin(nearest, range(len(names))).all()
    return [names[int(i)] for i in nearest] if inside and all(names) else positions


def _with_index(data):
    """`data` as a DataFrame, with its index as columns where that says something: a name, or texts."""
    frame = pd.DataFrame(data)
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    says = any(frame.index.names) or not pd.api.types.is_integer_dtype(frame.index)
    return frame.reset_index(allow_duplicates=True) if says else frame


def _tables(panels):
    """The panels as HTML tables of about MAX_ROWS rows in all, thinned evenly within each series."""
    share, tables = MAX_ROWS / max(MAX_ROWS, sum(len(frame) for _, frame in panels)), []
    for title, frame in panels:
        series, kept = np.zeros(len(frame)), []
        if list(frame.columns[:1]) == ["series"]:
            series = frame.iloc[:, 0].map(str).to_numpy(dtype=object)
        for name in pd.unique(series):
            rows = np.flatnonzero(series == name)
            count = min(len(rows), max(2, int(share * len(rows))))
            kept.extend(rows[np.linspace(0, len(rows) - 1, count).round().astype(int)])
        note = f"{len(kept)} of {len(frame)} rows, evenly spaced." if len(kept) < len(frame) else ""
        head = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in frame.columns)
        body = [map(_cell, row) for row in frame.iloc[sorted(kept)].itertuples(index=False, name=None)]
        body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in body)
        tables.append(f"""<table class="measured">
<caption>{escape(" ".join(filter(None, (title, note))))}</caption>
<thead><tr>{head}</tr></thead>
<tbody>
{body}</tbody>
</table>""")
    return "\n".join(tables)


def _cell(value):
    """A cell of a table: numbers to four significant digits, whole numbers below a million in full."""
    try:
        number = float(value) if isinstance(value, kinds.Real) and not isinstance(value, bool) else np.nan
    except OverflowError:  # a whole number of hundreds of digits
        number = np.nan
    if np.isfinite(number):
        text = f"{number:.0f}" if number.is_integer() and abs(number) < 1e6 else f"{number:.4g}"
    else:
        missing = pd.api.types.is_scalar(value) and pd.isna(value)
        text = "" if missing else escape(str(value))
        if isinstance(value, pd.Timestamp):
            text = text.removesuffix(" 00:00:00")
    return f"<td>{text}</td>"
