"""Figures: one house style, alt text that survives, and the plotted numbers one click away."""

import base64
import io
import json
import re
from html import escape

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from cycler import cycler
from IPython.display import HTML, display
from matplotlib.category import StrCategoryLocator
from matplotlib.collections import PathCollection, PolyCollection, QuadMesh
from matplotlib.container import BarContainer, ErrorbarContainer
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
    data     a DataFrame to list instead of the numbers that `numbers` reads off the figure.

    Raises TypeError when `fig` is no Figure, ValueError when alt or caption is empty or holds a decimal number.
    """
    if not isinstance(fig, mpl.figure.Figure):
        raise TypeError(f"show() needs a matplotlib Figure, not {type(fig).__name__}: pass fig or ax.figure.")
    alt, caption = _sentence(alt, "alt"), _sentence(caption, "caption")
    if data is not None and (any(data.index.names) or not pd.api.types.is_integer_dtype(data.index)):
        data = data.reset_index()  # an index with a name or with texts says something
    tables = _tables(numbers(fig) if data is None else [("", data)])
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

    The columns are the series (its legend label), the x and the y axis (by their labels), and low and high where
    something is drawn around a value: error bars, a band, or the replicates of `lines_with_spread` (lowest, highest).
    Read are lines, error bars, bars, points, bands and heat maps; `axhline` and `axvline` are listed once; images are
    only counted. An artist whose label starts with an underscore is left out, as from a legend.
    """
    panels, images = [], {}
    for axes in (axes for axes in fig.axes if axes.get_label() != "<colorbar>"):
        title = next(filter(None, map(axes.get_title, ("center", "left", "right"))), "")
        x_name, y_name = axes.get_xlabel() or "x", axes.get_ylabel() or "y"
        for image in axes.images:
            images.setdefault(image.get_array().shape[:2], []).append(title)
        for mesh in (drawn for drawn in axes.collections if isinstance(drawn, QuadMesh)):
            corners = mesh.get_coordinates()
            x, y = ((corners[:-1, :-1] + corners[1:, 1:]) / 2).reshape(-1, 2).T
            cells = {0: _categories(axes.xaxis, x), 1: _categories(axes.yaxis, y), 2: mesh.get_array().ravel()}
            panels.append((title, pd.DataFrame(cells).set_axis([x_name, y_name, "value"], axis=1)))
        if series := _series(axes, y_name):
            frame = pd.concat(series).set_axis(["series", x_name, y_name, "low", "high"], axis=1)
            panels.append((title, frame if frame.iloc[:, 3:].notna().any(axis=None) else frame.iloc[:, :3]))
    for (height, width), titles in images.items():
        named = f"; titles: {', '.join(titles)}" if any(titles) else ""
        panels.append((f"Images of {height} by {width} pixels: {len(titles)}{named}.", pd.DataFrame()))
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
    """A NumPy array of a tensor (on any device, with or without gradient), an array or a list."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


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


def _series(axes, y_name):
    """What is drawn in the axes: one DataFrame a series, with its label, x, y, and low and high around y."""
    found, around, references = [], [], []
    legend = axes.get_legend()
    handles = zip(legend.legend_handles, legend.get_texts(), strict=True) if legend else ()
    labels = {_color(handle): text.get_text() for handle, text in handles}

    def add(artist, label, x, y, low=np.nan, high=np.nan):
        if label.startswith(("_child", "_container")):  # matplotlib's names for "no label"
            label = labels.get(_color(artist), "")  # seaborn labels its series only in the legend, by colour
        if not label.startswith("_") and len(x):
            found.append((pd.DataFrame({"series": label, "x": x, "y": y, "low": low, "high": high}), _color(artist)))

    for box in axes.containers:
        if isinstance(box, BarContainer) and len(box):
            x, y, width, height = np.array([bar.get_bbox().bounds for bar in box]).T
            point = (width, y + height / 2) if box.orientation == "horizontal" else (x + width / 2, height)
            add(box[0], box.get_label(), *point, *_ends(box.errorbar))
        elif isinstance(box, ErrorbarContainer) and box[0]:
            add(box[0], box.get_label(), *box[0].get_data(orig=False), *_ends(box))
    for line in axes.lines:
        x, y = line.get_data(orig=False)
        if line.get_label() == "_replicate":
            around.append((line, x, y, y))
        elif line.get_transform() == axes.transData:
            add(line, line.get_label(), x, y)
        else:  # axvline has an x, axhline a y, axline neither
            x = x[0] if line.get_transform() == axes.get_xaxis_transform("grid") else np.nan
            y = y[0] if line.get_transform() == axes.get_yaxis_transform("grid") else np.nan
            label = "reference line" if line.get_label().startswith("_") else line.get_label()
            references.append(pd.DataFrame({"series": [label], "x": x, "y": y, "low": np.nan, "high": np.nan}))
    for drawn in axes.collections:
        if isinstance(drawn, PathCollection):
            add(drawn, drawn.get_label(), *np.ma.filled(drawn.get_offsets(), np.nan).T)
        elif isinstance(drawn, PolyCollection) and len(drawn.get_paths()) == 1:
            # fill_between: a start, there along one edge, an end, back along the other, and the start again
            corners = drawn.get_paths()[0].vertices
            there, back = corners[1 : len(corners) // 2], corners[len(corners) // 2 + 1 : -1][::-1]
            if np.array_equal(there[:, 0], back[:, 0]):
                around.append((drawn, there[:, 0], *np.sort([there[:, 1], back[:, 1]], axis=0)))
    for drawn, x, low, high in around:  # belongs to the line of its colour over the same x, or stands alone
        line = next((f for f, color in found if color == _color(drawn) and np.array_equal(f["x"], x)), None)
        if line is None:
            add(drawn, drawn.get_label(), x, np.nan, low, high)
        else:
            line["low"], line["high"] = np.fmin(line["low"], low), np.fmax(line["high"], high)

    frames = [frame for frame, _ in found]
    for i, frame in enumerate((frame for frame in frames if frame["series"].iloc[0] == ""), 1):
        frame["series"] = y_name if len(frames) == 1 else f"series {i}"
    for frame in frames:
        frame["x"], frame["y"] = _categories(axes.xaxis, frame["x"]), _categories(axes.yaxis, frame["y"])
    return frames + references


def _color(artist):
    """The colour of a line, bar or collection as a hex text; None where it has none."""
    colors = mpl.colors.to_rgba_array(artist.get_color() if hasattr(artist, "get_color") else artist.get_facecolor())
    return mpl.colors.to_hex(colors[0]) if len(colors) else None


def _ends(bars):
    """Low and high of error bars (of y, where x has some too); NaN without any."""
    if bars is None:
        return np.nan, np.nan
    ends = np.array([path.vertices for path in bars[2][-1].get_paths()])  # [n, two ends, xy]
    return np.sort(ends[..., 1 if bars.has_yerr else 0], axis=1).T


def _categories(axis, positions):
    """Positions on an axis of categories (named ticks one apart) as those names; on any other axis unchanged."""
    names, ticks = [label.get_text() for label in axis.get_majorticklabels()], np.asarray(axis.get_majorticklocs())
    named = isinstance(axis.get_major_locator(), FixedLocator | StrCategoryLocator) and len(ticks) > 0
    if not named or not np.all(np.diff(ticks) == 1):
        return positions
    nearest = np.round(np.asarray(positions) - ticks[:1])
    inside = len(names) and np.isin(nearest, range(len(names))).all()
    return [names[int(i)] for i in nearest] if inside and all(names) else positions


def _tables(panels):
    """The panels as HTML tables of about MAX_ROWS rows in all, thinned evenly within each series."""
    share, tables = MAX_ROWS / max(MAX_ROWS, sum(len(frame) for _, frame in panels)), []
    for title, frame in panels:
        series, kept = np.zeros(len(frame)), []
        if list(frame.columns[:1]) == ["series"]:
            series = frame.iloc[:, 0].to_numpy(dtype=object)
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
    if isinstance(value, int | float | np.number) and not isinstance(value, bool) and np.isfinite(value):
        text = f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.4g}"
    else:
        text = "" if value is None or value != value else escape(str(value))
    return f"<td>{text}</td>"
