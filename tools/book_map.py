"""The map of the curriculum: what each notebook and lab needs, and a picture of it (SVG) for the book."""

import re

import curriculum

import labs

WIDTH, HEIGHT, STEP_X, STEP_Y, MARGIN = (
    172,
    46,
    226,
    58,
    8,
)  # of boxes, from one to the next, around all
BOX = '<a href="{page}"><rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>'
BOX += '<text x="{left}" y="{upper}">{name}</text><text x="{left}" y="{lower}" class="small">{topic}</text></a>'


def folder(name):
    """Where the page of a notebook or lab is."""
    return "labs" if name.startswith("lab") else "notebooks"


def needs():
    """The numbers of the notebooks that each notebook and lab needs: from the sentence "You need" at its top."""
    found, numbers = {}, [source.stem[:2] for source in curriculum.sources()]
    for source in [*curriculum.sources(), *labs.sources()]:
        text = " ".join(re.sub(r"^# ?", "", source.read_text(encoding="utf-8"), flags=re.M).split())
        sentence = re.search(r"\*\*You need\*\*(.+?)(\*\*|$)", text)[1]
        needed = set()
        for first, word, last in re.findall(r"notebooks? (\d\d)(?:,? (to|and) (\d\d))?", sentence):
            between = {number for number in numbers if first <= number <= (last or first)}
            needed |= {first, last} if word == "and" else between
        found[source.stem] = sorted(needed - {source.stem[:2]})
    return found


def direct(needed):
    """Of what each page needs only what none of its other needs asks for already."""
    of_number = {name[:2]: set(numbers) for name, numbers in needed.items() if folder(name) == "notebooks"}

    def all_of(number):
        return of_number[number].union(*(all_of(other) for other in of_number[number]))

    shown = {}
    for name, numbers in needed.items():
        implied = set().union(*(all_of(number) for number in numbers))
        shown[name] = [number for number in numbers if number not in implied]
    return shown


def places(shown, name_of):
    """The upper left corner of each box: a column is one step further from notebook 00."""
    column, used, found = {}, {}, {}
    for name, numbers in shown.items():  # in order: what a page needs comes before it
        column[name] = 1 + max((column[name_of[number]] for number in numbers), default=-1)
    for name in sorted(shown, key=lambda name: (folder(name) == "labs", name)):
        row = used.get(column[name], 0)
        used[column[name]] = row + 1
        found[name] = MARGIN + column[name] * STEP_X, MARGIN + row * STEP_Y
    return found


def line(start, end):
    """A curve from the right side of one box to the left side of another."""
    across, down, bend = end[0] - start[0] - WIDTH, end[1] - start[1], (STEP_X - WIDTH) / 2
    curve = f"{bend},0 {across - bend},{down} {across},{down}"
    return f'<path d="M{start[0] + WIDTH},{start[1] + HEIGHT / 2} c{curve}"/>'


def box(name, place):
    """A box with a notebook's or lab's number and topic, which is a link to its page."""
    x, y = place
    said = f"Lab {int(name[3:5])}" if folder(name) == "labs" else f"Notebook {name[:2]}"
    size = {"x": x, "y": y, "width": WIDTH, "height": HEIGHT, "left": x + 9, "upper": y + 20, "lower": y + 40}
    topic = name.split("_", 1)[1].replace("_", " ")
    return BOX.format(**size, page=f"{folder(name)}/{name}.html", name=said, topic=topic)


def picture(needed):
    """The map as SVG."""
    shown, name_of = direct(needed), {name[:2]: name for name in needed if folder(name) == "notebooks"}
    place = places(shown, name_of)
    parts = [line(place[name_of[number]], place[name]) for name, numbers in shown.items() for number in numbers]
    parts += [box(name, place[name]) for name in shown]
    width = max(x for x, _ in place.values()) + WIDTH + MARGIN
    height = max(y for _, y in place.values()) + HEIGHT + MARGIN
    head = f'<svg class="map" viewBox="0 0 {width} {height}" role="group" aria-labelledby="map-title">'
    return f'{head}<title id="map-title">What comes before what, from left to right.</title>{"".join(parts)}</svg>'
