"""labkit.figures: the palette under measure, the numbers that come along, alt text that survives."""

import base64
import io
import itertools
import json
import re
from fractions import Fraction
from html import unescape
from html.parser import HTMLParser

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
import torch
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from PIL import Image
from sanitize import sanitized
from scipy import stats

from labkit import figures


@pytest.fixture(autouse=True)
def house_style():
    """Each test in the house style, matplotlib as it was afterwards."""
    plt.switch_backend("agg")
    with mpl.rc_context():
        figures.style()
        yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch):
    """The HTML of each figure shown; few pixels, because drawing them is what takes time."""
    mpl.rcParams["savefig.dpi"] = 30
    pages = []
    monkeypatch.setattr(figures, "display", lambda output: pages.append(output.data))
    return pages


def line_figure(y=(1.0, 2.0, 3.0), label="trained"):
    fig, ax = plt.subplots()
    ax.plot(range(len(y)), y, label=label)
    ax.set(xlabel="layer", ylabel="accuracy")
    return fig


class Page(HTMLParser):
    """The images, captions and tables of an HTML page."""

    def __init__(self, text):
        super().__init__()
        self.images, self.tables, self.captions, self.tags, self.inside = [], [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag in ("caption", "figcaption"):
            self.captions.append("")
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside in ("td", "th"):
            self.tables[-1][-1][-1] += data
        elif self.inside in ("caption", "figcaption"):
            self.captions[-1] += data


# --- the palette --------------------------------------------------------------------------------------------------

# Machado, Oliveira and Fernandes 2009, table 1: severity 1.0, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear_rgb(colors):
    srgb = np.array([mpl.colors.to_rgb(color) for color in colors])
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(linear):
    """CIE 1976 L*a*b* (white point D65) of linear RGB."""
    xyz = linear @ XYZ.T / XYZ.sum(axis=1)
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def contrast_on_white(colors):
    return 1.05 / (linear_rgb(colors) @ XYZ[1] + 0.05)  # WCAG 2.2, "contrast ratio"


def distances(colors, vision):
    points = lab(np.clip(linear_rgb(colors) @ np.array(VISION[vision]).T, 0, 1))
    return [np.linalg.norm(p - q) for p, q in itertools.combinations(points, 2)]


def test_the_measures_know_the_textbook_cases():
    assert contrast_on_white(["black", "white", "#777777"]) == pytest.approx([21, 1, 4.48], abs=0.01)
    assert lab(linear_rgb(["red"]))[0] == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    assert min(distances(["#b00000", "#5c5c00"], "normal")) > 50  # red and olive: the colour-blind confuse them
    assert min(distances(["#b00000", "#5c5c00"], "deuteranopia")) < 20


@pytest.mark.parametrize("color", figures.PALETTE)
def test_each_color_stands_out_on_white(color):
    assert contrast_on_white([color])[0] >= 3


@pytest.mark.parametrize("vision", VISION)
def test_colors_are_told_apart_by_all_eyes(vision):
    assert min(distances(figures.PALETTE, vision)) >= 20


def test_colors_are_told_apart_in_grey():
    assert np.diff(np.sort(lab(linear_rgb(figures.PALETTE))[:, 0])).min() >= 5


def test_color_marker_and_linestyle_change_together():
    lines = [line for _ in figures.PALETTE for line in plt.plot([0, 1])]
    assert len(figures.PALETTE) <= 6
    assert [line.get_color() for line in lines] == figures.PALETTE
    assert len({line.get_marker() for line in lines}) == len({str(s) for s in figures.LINESTYLES}) == len(lines)


def test_style_sets_only_what_it_says():
    mpl.rcdefaults()
    before = dict(mpl.rcParams)
    figures.style()
    assert {key for key in before if before[key] != mpl.rcParams[key]} <= set(figures._STYLE)
    mpl.rcParams.update(before)


# --- show ---------------------------------------------------------------------------------------------------------


def test_show_gives_one_figure_with_alt_caption_and_numbers(shown):
    figures.style()
    fig = line_figure()
    alt = 'Accuracy "rises" with depth & <width>'
    figures.show(fig, alt=f"\n  {alt}\n", caption="5 < 6 replicates & more")
    page = Page(*shown)
    (image,) = page.images
    assert image["alt"] == alt
    assert page.captions[0] == "5 < 6 replicates & more"
    assert page.tags[:2] == ["figure", "img"]
    assert page.tags.index("details") < page.tags.index("table")
    assert page.tables == [[["series", "layer", "accuracy"], *([["trained", str(i), str(i + 1)] for i in range(3)])]]
    picture = Image.open(io.BytesIO(base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))))
    assert picture.size == tuple(round(side * figures._STYLE["savefig.dpi"]) for side in (7.5, 3.6))
    assert int(image["width"]) == 7.5 * 96
    assert not plt.fignum_exists(fig.number)


def test_the_picture_keeps_the_palette(shown):
    fig, ax = plt.subplots()
    ax.bar(range(6), range(1, 7), color=figures.PALETTE)
    figures.style()
    figures.show(fig, alt="Bars", caption="Bars")
    source = Page(*shown).images[0]["src"].split(",")[1]
    picture = Image.open(io.BytesIO(base64.b64decode(source))).convert("RGB")
    drawn = np.array([color for _, color in picture.getcolors(256)])
    for color in figures.PALETTE:
        wanted = np.array(mpl.colors.to_rgb(color)) * 255
        assert np.abs(drawn - wanted).max(axis=1).min() <= 2


@pytest.mark.parametrize("text", ["", "   \n", None])
def test_empty_alt_or_caption_is_refused(shown, text):
    for name in ("alt", "caption"):
        with pytest.raises(ValueError, match=rf"^show\(\) needs {name}=\.\.\.: [^.]+\.$"):
            figures.show(line_figure(), **{"alt": "A line", "caption": "A line", name: text})
    assert not shown


@pytest.mark.parametrize("text", ["reaches 0.97 at the end", "falls to .5", "12.5 %"])
def test_measured_digits_are_refused(shown, text):
    for name in ("alt", "caption"):
        with pytest.raises(ValueError, match=f"no measured digits in {name}"):
            figures.show(line_figure(), **{"alt": "A line", "caption": "A line", name: text})
    assert not shown


def test_whole_numbers_and_full_stops_are_no_measured_digits(shown):
    figures.show(line_figure(), alt="MNIST-1D, 10 classes. 64 pixels.", caption="Fig. 2 of Papyan et al. 2020.")
    assert len(shown) == 1


def test_other_numbers_give_the_same_page_once_blanked(shown):
    rng = np.random.default_rng(0)
    for n in (3, 1000):  # the number of points may differ too: a run can stop early
        fig, (left, right) = plt.subplots(1, 2)
        figures.lines_with_spread(left, range(n), rng.normal(size=(5, n)), "loss")
        right.imshow(rng.normal(size=(n, 4)))
        figures.show(fig, alt="Loss", caption="Loss")
    assert shown[0] != shown[1]
    assert sanitized(shown[0]) == sanitized(shown[1])


def test_table_is_thinned_evenly_and_says_so(shown):
    fig, ax = plt.subplots()
    for label in ("first", "second"):
        ax.plot(np.arange(5000), np.arange(5000) / 7, label=label)
    ax.plot([0, 1, 2], [5, 6, 7], label="short")
    figures.show(fig, alt="Lines", caption="Lines")
    page = Page(*shown)
    (_, *rows) = page.tables[0]
    assert f"{len(rows)} of 10003 rows, evenly spaced." in page.captions[1]
    assert 190 <= len(rows) <= 200
    first = np.array([int(x) for series, x, _ in rows if series == "first"])
    assert first[0] == 0
    assert set(np.diff(first)) == {51}
    assert [row[1] for row in rows if row[0] == "short"] == ["0"]  # no series is left out


def test_data_replaces_the_plotted_numbers(shown):
    data = pd.DataFrame({"n": [5, 123456], "value": [0.123456, np.nan]}, index=pd.Index(["a<b", "c"], name="model"))
    figures.show(line_figure(), alt="A line", caption="A line", data=data)
    figures.show(line_figure(), alt="A line", caption="A line", data=data.reset_index(drop=True))
    assert Page(shown[0]).tables == [[["model", "n", "value"], ["a<b", "5", "0.1235"], ["c", "123456", ""]]]
    assert Page(shown[1]).tables == [[["n", "value"], ["5", "0.1235"], ["123456", ""]]]


def test_cells_have_four_significant_digits(shown):
    data = pd.DataFrame({"v": [0.00012345, 12.3456, 1234567.8, 2.0, float("inf")], "flag": [True] * 5})
    figures.show(line_figure(), alt="A line", caption="A line", data=data)
    column = [row[0] for row in Page(*shown).tables[0][1:]]
    assert column == ["0.0001234", "12.35", "1.235e+06", "2", "inf"]
    assert Page(*shown).tables[0][1][1] == "True"


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        ([pd.NA, None, pd.NaT, np.nan], ["", "", "", ""]),
        (pd.array([8, None], dtype="Int64"), ["8", ""]),
        ([np.arange(3), [1, 2], {"a": 1}], ["[0, 1, 2]", "[1, 2]", "{'a': 1}"]),
        ([10**400, -np.inf], ["1" + "0" * 400, "-inf"]),
        ([Fraction(1, 3), np.float16(0.5), 1 + 2j, True], ["1/3", "0.5", "(1+2j)", "True"]),
        (pd.to_datetime(["2026-01-02", "2026-01-03"]), ["2026-01-02", "2026-01-03"]),
    ],
)
def test_any_value_fits_a_cell(shown, values, cells):
    figures.show(line_figure(), alt="A line", caption="A line", data=pd.DataFrame({"v": values}))
    column = [row[0] for row in Page(*shown).tables[0][1:]]
    assert all(text.startswith(cell) for text, cell in zip(column, cells, strict=True))
    assert "cannot be listed" not in shown[0]


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (pd.Series([1, 2], name="v"), 2),
        ({"v": [1]}, 1),
        (np.ones((2, 2)), 2),
        (pd.DataFrame({"series": [pd.NA, np.nan, "x"], "v": 1}), 3),
        (pd.DataFrame({"series": [[1], [2]]}), 2),
        (pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="a")), 1),
        (pd.crosstab(pd.Categorical(["a", "b"]), pd.Categorical(["c", "d"])), 2),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), 1),
        (pd.DataFrame(), 0),
    ],
)
def test_any_table_can_be_listed(shown, data, rows):
    figures.show(line_figure(), alt="A line", caption="A line", data=data)
    assert len(Page(*shown).tables[0]) == rows + 1
    assert "cannot be listed" not in shown[0]


def test_no_table_stops_a_figure(shown, monkeypatch):
    figures.show(line_figure(), alt="A line", caption="A line", data=object())
    monkeypatch.setattr(figures, "numbers", lambda fig: 1 / 0)
    figures.show(line_figure(), alt="A line", caption="A line")
    assert [Page(page).captions[1].split(" (")[0] for page in shown] == ["The numbers cannot be listed"] * 2


# --- numbers ------------------------------------------------------------------------------------------------------


def only(fig):
    ((_, frame),) = figures.numbers(fig)
    return frame


def test_series_without_label_are_numbered_and_hidden_ones_left_out():
    fig = line_figure(label=None)
    fig.axes[0].plot([1, 2])
    fig.axes[0].plot([3, 4], label="named")
    fig.axes[0].plot([5, 6], label="_hidden")
    assert list(only(fig)["series"].unique()) == ["series 1", "series 2", "named"]


def test_error_bars_bring_low_and_high():
    fig, ax = plt.subplots()
    ax.errorbar([1, 2], [10, 20], yerr=[[1, 2], [3, np.nan]], capsize=3, label="a")
    frame = only(fig)
    assert frame.columns.tolist() == ["series", "x", "y", "low", "high"]
    np.testing.assert_allclose(frame.iloc[:, 1:], [[1, 10, 9, 13], [2, 20, 18, np.nan]])


def test_bars_upright_and_lying():
    fig, (left, right) = plt.subplots(1, 2)
    left.bar(["pixels", "layer"], [0.5, -0.25], yerr=0.1, label="probe")
    left.set_title("upright")
    right.barh([3, 4], [7, 8])
    (title, upright), (_, lying) = figures.numbers(fig)
    assert title == "upright"
    assert upright["x"].tolist() == ["pixels", "layer"]
    np.testing.assert_allclose(upright[["y", "low", "high"]], [[0.5, 0.4, 0.6], [-0.25, -0.35, -0.15]])
    np.testing.assert_allclose(lying[["x", "y"]], [[7, 3], [8, 4]])


def test_a_band_has_its_edges_and_no_middle():
    x, y = np.arange(4), np.arange(4) ** 2.0
    fig, ax = plt.subplots()
    ax.plot(x, y, label="line")
    ax.fill_between(x, y + 2, y - 1, alpha=0.2, label="band")
    frame = only(fig)
    band = frame[frame["series"] == "band"]
    np.testing.assert_allclose(band[["x", "low", "high"]], np.stack([x, y - 1, y + 2], axis=1))
    assert band["y"].isna().all()


def test_points_reference_lines_and_tick_numbers():
    fig, ax = plt.subplots()
    ax.scatter([0.1, 1.2], [3, 4], label="points")
    ax.axhline(0.1, label="chance")
    ax.axvline(7)
    ax.axline((0, 0), slope=1, label="equal")
    ((title, frame),) = figures.numbers(fig)
    assert title == "Drawn but not listed: lines (1)."
    assert frame["series"].tolist() == ["chance", "reference line", "points", "points"]
    nan = np.nan
    np.testing.assert_allclose(frame[["x", "y"]], [[nan, 0.1], [7, nan], [0.1, 3], [1.2, 4]])


X = np.arange(6.0)


def drawn(draw, **options):
    """The numbers of a figure of one panel, as lists: (title, columns)."""
    fig, ax = plt.subplots(**options)
    draw(ax)
    ((title, frame),) = figures.numbers(fig)
    return title, frame.astype(object).where(frame.notna(), None).to_dict("list")


@pytest.mark.parametrize(
    ("options", "low", "high"),
    [
        ({}, None, None),
        ({"yerr": 1.0, "errorevery": 2}, [-1, None, 1], [1, None, 3]),
        ({"yerr": 1.0, "errorevery": (1, 2)}, [None, 0, None], [None, 2, None]),
        ({"yerr": [0, np.nan, 1]}, [0, None, 1], [0, None, 3]),
        ({"yerr": 1.0, "uplims": True}, [-1, 0, 1], [0, 1, 2]),
    ],
)
def test_error_bars_belong_to_their_points(options, low, high):
    title, found = drawn(lambda ax: ax.errorbar(range(3), range(3), label="a", **options))
    assert (title, found["y"], found.get("low"), found.get("high")) == ("", [0, 1, 2], low, high)


def test_error_bars_alone_are_a_series():
    def draw(ax):
        ax.scatter([0, 1], [2, 3])
        ax.errorbar([0, 1], [2, 3], yerr=[[0.5, 0.25], [1, 2]], fmt="none", label="error")

    _, found = drawn(draw)
    assert found["series"] == ["error"] * 2 + ["series 2"] * 2
    assert (found["x"][:2], found["low"][:2], found["high"][:2]) == ([0, 1], [1.5, 2.75], [3, 5])
    _, found = drawn(lambda ax: ax.errorbar([0, 1], [2, 3], xerr=1, fmt="none"))
    assert (found["y"], found["low x"], found["high x"]) == ([2, 3], [-1, 0], [1, 2])


def test_error_bars_both_ways():
    for options in ({}, {"fmt": "none"}):
        _, found = drawn(lambda ax, options=options: ax.errorbar([0, 1], [2, 3], xerr=1, yerr=[0.5, 2], **options))
        assert (found["x"], found["low x"], found["high x"]) == ([0, 1], [-1, 0], [1, 2])
        assert (found["y"], found["low"], found["high"]) == ([2, 3], [1.5, 1], [2.5, 5])


def test_error_bars_that_could_be_of_another_point_are_named():
    title, _ = drawn(lambda ax: ax.errorbar([0, 0, 1], [2, 3, 4], yerr=1, errorevery=2))
    assert title == "Drawn but not listed: sets of error bars (1)."


def test_bars_end_where_they_are_drawn_to():
    def upright(ax):
        ax.bar([0, 1], [1, 2], label="a")
        ax.bar([0, 1], [3, -4], bottom=[1, 2], label="b")
        ax.bar([0, 1], [1, 1], bottom=[4, -2], yerr=0.5, label="c")

    _, found = drawn(upright)
    assert found["y"] == [1, 2, 4, -2, 5, -1]
    assert found["low"] == [None] * 4 + [4.5, -1.5]
    assert found["high"] == [None] * 4 + [5.5, -0.5]
    _, found = drawn(lambda ax: (ax.bar([0, 1], [1, 2]), ax.bar([0, 1], [1.25, 2.25], yerr=0.5)))
    assert found["low"] == [None, None, 0.75, 1.75]  # the bars behind have none, though they end within
    _, found = drawn(lambda ax: ax.barh(["p", "q"], [3, 4], left=[1, 2], xerr=0.5))
    ends = {"low x": [3.5, 5.5], "high x": [4.5, 6.5]}
    assert found == {"series": ["series 1"] * 2, "x": [4, 6], "y": ["p", "q"], **ends}


@pytest.mark.parametrize("gap", [{"where": X != 2}, {"y2": np.where(X == 2, np.nan, X + 1)}])
def test_a_band_with_a_gap_is_listed_around_it(gap):
    _, found = drawn(lambda ax: ax.fill_between(**{"x": X, "y1": X - 1, "y2": X + 1} | gap))
    assert found["x"] == [0, 1, 3, 4, 5]
    assert found["low"] == [-1, 0, 2, 3, 4]
    assert found["high"] == [1, 2, 4, 5, 6]


def test_equal_replicates_lie_around_their_mean():
    _, found = drawn(lambda ax: figures.lines_with_spread(ax, [0, 1], [[0.1, 0.7]] * 3, "r"))
    assert all(low <= y <= high for y, low, high in zip(found["y"], found["low"], found["high"], strict=True))


def test_three_dimensions_are_named():
    def draw(ax):
        ax.plot([1, 2], [3, 4], [5, 6], label="line")
        ax.scatter([1, 2], [3, 4], [7, 8], label="points")
        ax.plot_surface(*np.mgrid[:2, :2], np.ones((2, 2)))

    title, found = drawn(draw, subplot_kw={"projection": "3d"})
    assert found == {}
    assert title == "Drawn but not listed: lines (1), sets of points (1), other shapes (1)."


def test_what_is_drawn_beside_the_scales_is_named():
    def draw(ax):
        ax.plot([0, 1], [0.5, 0.5], transform=ax.transAxes)
        ax.scatter([0.5], [0.5], transform=ax.transAxes)
        ax.fill_between([3, 4], 0, 1, transform=ax.get_xaxis_transform())

    title, found = drawn(draw)
    assert found == {}
    assert title == "Drawn but not listed: lines (1), sets of points (1), other shapes (1)."


def test_names_of_ticks_are_those_of_categories_only():
    def rows(ax):
        ax.set_yticks([0, 1, 2], labels=["a", "b", "c"])
        ax.errorbar([1, 2, 3], np.arange(3) + 0.22, xerr=0.1, label="t")

    assert drawn(rows)[1]["y"] == ["a", "b", "c"]

    def fractions(ax):
        ax.set_yticks([0, 1], labels=["no", "yes"])
        ax.plot([0.1, 0.5, 0.9])

    assert drawn(fractions)[1]["y"] == [0.1, 0.5, 0.9]

    def scale(ax):
        ax.set_xticks(range(4))
        ax.plot([0.2, 1.1, 2.2], [1, 2, 3])

    assert drawn(scale)[1]["x"] == [0.2, 1.1, 2.2]


@pytest.mark.parametrize(
    ("draw", "named"),
    [
        (lambda ax: ax.pie([1, 2]), "other shapes (2)"),
        (lambda ax: ax.contour(np.arange(16.0).reshape(4, 4)), "sets of contours (1)"),
        (lambda ax: ax.quiver([0], [0], [1], [1]), "sets of arrows (1)"),
        (lambda ax: ax.hlines([1, 2], 0, 1), "sets of lines (1)"),
        (lambda ax: ax.axvspan(0, 1), "other shapes (1)"),
        (lambda ax: ax.hexbin(X, X, gridsize=3), "other shapes (1)"),
        (lambda ax: ax.add_patch(mpl.patches.Polygon([[0, 0], [1, 1], [0, 1]])), "other shapes (1)"),
        (lambda ax: ax.fill_betweenx(X, X, X + 1), "other shapes (1)"),
        (lambda ax: ax.pcolormesh(np.ones((3, 3)), shading="gouraud"), "other shapes (1)"),
        (lambda ax: ax.stem([1, 2], [3, 4]), "other shapes (1)"),
        (lambda ax: ax.stairs([1, 2]), "other shapes (1)"),
        (lambda ax: ax.inset_axes([0.5, 0.5, 0.4, 0.4]).plot([5, 6]), "inset figures (1)"),
    ],
)
def test_what_is_not_read_is_named(draw, named, shown):
    fig, ax = plt.subplots()
    draw(ax)
    ((title, frame),) = figures.numbers(fig)
    assert title.startswith(f"Drawn but not listed: {named}")
    assert frame.empty
    ax.plot(X, X)
    ((title, frame),) = figures.numbers(fig)
    assert title.startswith(f"Drawn but not listed: {named}")
    assert len(frame) == len(X)
    figures.show(fig, alt="A line", caption="A line")
    assert Page(*shown).captions[1].startswith(f"Drawn but not listed: {named}")
    assert '<th scope="col">x</th>' in str(shown)


def test_what_holds_nothing_stops_nothing():
    fig, ax = plt.subplots()
    ax.bar([], [])
    ax.errorbar([], [], yerr=[])
    ax.errorbar([], [], fmt="none")
    ax.scatter([], [])
    ax.plot([], [])
    assert figures.numbers(fig) == []


def test_masked_heat_maps():
    _, found = drawn(lambda ax: ax.pcolormesh(np.ma.masked_less([[1, 2], [3, 4]], 2)))
    assert found["value"] == [None, 2, 3, 4]


def test_images_are_counted_and_heat_maps_a_table():
    ((sentence, frame),) = figures.numbers(figures.digit_grid(np.zeros((3, 64)), ["a", "b", "c"]))
    assert sentence == "Drawn but not listed: images (3)."
    assert frame.empty
    fig, ax = plt.subplots()
    sns.heatmap(pd.DataFrame([[1, 2], [3, 4]], index=["p", "q"], columns=["r", "s"]), ax=ax)
    frame = only(fig)  # the colour bar is not a panel
    assert frame.to_numpy()[:, 1:].tolist() == [["r", "p", 1], ["s", "p", 2], ["r", "q", 3], ["s", "q", 4]]


def test_seaborns_lines_and_intervals():
    data = pd.DataFrame({"depth": [1, 1, 2, 2] * 2, "loss": np.arange(8.0), "model": ["a"] * 4 + ["b"] * 4})
    fig, ax = plt.subplots()
    sns.lineplot(data=data, x="depth", y="loss", hue="model", errorbar=("pi", 100), ax=ax)
    frame = only(fig)
    assert frame.columns.tolist() == ["series", "depth", "loss", "low", "high"]
    assert frame["loss"].dropna().tolist() == [0.5, 2.5, 4.5, 6.5]
    assert frame["low"].dropna().tolist() == [0, 2, 4, 6]


# --- helpers ------------------------------------------------------------------------------------------------------


def test_lines_with_spread_lists_mean_lowest_and_highest():
    values = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    fig, ax = plt.subplots()
    first = figures.lines_with_spread(ax, range(5), values, "first")
    second = figures.lines_with_spread(ax, range(5), values + 10, "second", linewidth=3)
    assert [first.get_color(), second.get_color()] == figures.PALETTE[:2]  # replicates use up no colours
    assert [first.get_marker(), second.get_marker()] == figures.MARKERS[:2]
    assert len(ax.lines) == 2 * 9
    assert ax.get_legend_handles_labels()[1] == ["first", "second"]
    plain = values.detach().numpy()
    expected = np.stack([plain.mean(0), plain.min(0), plain.max(0)], axis=1)
    frame = only(fig)
    np.testing.assert_allclose(frame[["y", "low", "high"]], np.concatenate([expected, expected + 10]), rtol=1e-5)
    with pytest.raises(ValueError, match="must have same first dimension"):
        figures.lines_with_spread(ax, range(5), plain.T, "turned")


def test_dots_with_spread_lists_each_replicate_and_the_interval():
    values = {"pixels": [0.90, 0.92, 0.91], "untrained": [0.93, 0.96, 0.94], "trained": [0.97, 0.99, 0.98]}
    fig, ax = plt.subplots()
    figures.dots_with_spread(ax, values)
    frame = only(fig)
    means = frame[frame["series"] == "mean, 90 % interval"].set_index("x")
    dots = frame[frame["series"] == "one replicate"]
    for category, numbers in values.items():
        assert sorted(dots.loc[dots["x"] == category, "y"]) == sorted(numbers)
        ends = stats.ttest_1samp(numbers, 0).confidence_interval(0.90)
        np.testing.assert_allclose(means.loc[category, ["y", "low", "high"]].astype(float), [np.mean(numbers), *ends])
    assert len(ax.lines) == 3 + 3  # a grey line a replicate; the means' marker and two caps
    fig, ax = plt.subplots()
    figures.dots_with_spread(ax, pd.DataFrame(values), paired=False)
    assert len(ax.lines) == 3
    with pytest.raises(ValueError, match="same shape"):
        figures.dots_with_spread(ax, {"a": [1.0, 2.0], "b": [1.0, 2.0, 3.0]})


def test_digit_grid_draws_black_on_white_in_rows():
    images = torch.rand(12, 64)
    fig = figures.digit_grid(images, torch.arange(12), columns=5)
    assert len(fig.axes) == 15
    shown = [ax for ax in fig.axes if ax.images]
    assert [ax.get_title() for ax in shown] == [str(i) for i in range(12)]
    np.testing.assert_array_equal(shown[7].images[0].get_array(), images[7].reshape(8, 8))
    ink, paper = shown[0].images[0].cmap([1.0, 0.0])[:, 0]
    assert (ink, paper) == (0, 1)
    assert figures.digit_grid(images.reshape(12, 8, 8), columns=20, cmap="RdBu").axes[0].images[0].cmap.name == "RdBu"


# --- in a notebook ------------------------------------------------------------------------------------------------


def test_alt_text_survives_a_real_notebook_and_its_page():
    alt = 'Loss falls "fast" & stays low'
    cell = f"""import matplotlib.pyplot as plt
from labkit import figures
figures.style()
fig, ax = plt.subplots()
ax.plot([1, 2, 3], [4.5, 2.5, 1.25], label="loss")
figures.show(fig, alt={alt!r}, caption="Training loss.")"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs  # one output: the inline backend does not show the figure again
    assert output.output_type == "display_data"
    assert set(output.data) == {"text/html", "text/plain"}
    page, _ = HTMLExporter().from_notebook_node(notebook)
    for text in (output.data["text/html"], page):
        found = Page(text)
        assert [image["alt"] for image in found.images] == [alt]
        assert [row[2] for row in found.tables[0]] == ["y", "4.5", "2.5", "1.25"]
        assert "Training loss." in found.captions


def test_numbers_of_axes_without_ticks():
    fig = line_figure()
    fig.axes[0].set(xticks=[], yticks=[])
    ((_, table),) = figures.numbers(fig)
    assert table["accuracy"].tolist() == [1.0, 2.0, 3.0]


# The slider ---------------------------------------------------------------------------------------------------------


def frames(labels=(1, 2, 4), **figure):
    made = {}
    for label in labels:
        made[label], ax = plt.subplots(**figure)
        ax.plot([0, label])
    return made


def test_a_slider_shows_the_first_frame_and_holds_all(shown):
    figures.slider(frames(), alt="A rising line.", caption="Lines.", name="Width")
    assert plt.get_fignums() == []
    (page,) = shown
    assert page.count("<img") == 1
    held = json.loads(unescape(re.search(r'data-frames="([^"]*)"', page)[1]))
    assert [frame["label"] for frame in held] == ["1", "2", "4"]
    assert [frame["alt"] for frame in held] == [f"A rising line. Width: {label}." for label in (1, 2, 4)]
    assert len({frame["src"] for frame in held}) == 3
    (image,) = Page(page).images
    assert (image["src"], image["alt"]) == (held[0]["src"], held[0]["alt"])
    assert 'min="0" max="2"' in page
    assert Page(page).captions == ["Lines."]


def test_a_slider_takes_an_alt_text_for_each_frame(shown):
    alts = {1: "A flat line.", 2: "A rising line.", 4: "A steep line."}
    figures.slider(frames(), alt=alts, caption="Lines.")
    for alt in alts.values():
        assert alt in shown[0]


def test_the_regression_run_compares_labels_and_alt_texts_of_a_slider_and_no_pictures(shown):
    for width in (1, 2):
        made = frames()
        for fig in made.values():
            fig.axes[0].plot([width, 0])
        figures.slider(made, alt="A line.", caption="Lines.")
    figures.slider(frames((1, 2, 5)), alt="A line.", caption="Lines.")
    assert shown[0] != shown[1]
    one, two, other = map(sanitized, shown)
    assert one == two != other


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"alt": {1: "A line."}}, KeyError, "2"),
        ({"alt": ""}, ValueError, "alt"),
        ({"alt": "A loss of 0.25."}, ValueError, "digits"),
        ({"caption": " "}, ValueError, "caption"),
    ],
)
def test_sliders_that_make_no_sense(change, kind, message):
    call = {"frames": frames(), "alt": "A line.", "caption": "Lines."} | change
    with pytest.raises(kind, match=message):
        figures.slider(call.pop("frames"), **call)
