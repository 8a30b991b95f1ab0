"""Renew what is derived from other files: parts of the README (badges, picture, tables of notebooks and labs, a line on
the claims), the page of all claims data/results/claims.md, and CITATION.cff.

python tools/derive.py            write
python tools/derive.py --check    only compare; exit status 1 where something is out of date
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which PYTHONSAFEPATH leaves out
    import fresh

    fresh.start()

import base64
import re

import claims
import curriculum
import nbformat

import labs

README = curriculum.ROOT / "README.md"
CITATION = curriculum.ROOT / "CITATION.cff"
CLAIMS = curriculum.ROOT / "data" / "results" / "claims.md"
PICTURE = curriculum.ROOT / "data" / "results" / "readme.png"
PICTURE_TAG = "readme-picture"  # on the cell of a notebook whose figure the README shows


def badges(url):
    """Links that need the repository's address; nothing while it has none."""
    if not url:
        return ""
    binder, colab = curriculum.launch(url, f"notebooks/{curriculum.sources()[0].stem}")
    return "\n".join(
        [
            f"[![test]({url}/actions/workflows/test.yml/badge.svg)]({url}/actions/workflows/test.yml)",
            f"[![Binder](https://mybinder.org/badge_logo.svg)]({binder})",
            f"[![Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})",
        ]
    )


def notebook_row(source):
    """A row of the table of notebooks: its question, what it measures, minutes to read, seconds to run."""
    text = source.read_text(encoding="utf-8")
    question = re.search(r"^# # (.+)$", text, re.M)[1]
    executed = (curriculum.NOTEBOOKS / f"{source.stem}.ipynb").read_text(encoding="utf-8")
    claims = executed.count("<strong>HOLDS</strong>")  # each line that `claim` showed; a call may stand in a loop
    reading, running = re.search(r"\*\*Reading:\*\* (.+?)\. \*\*Running:\*\* (.+?) on one", text).groups()
    link = f"[{source.stem}](notebooks/{source.stem}.ipynb)"
    return f"| {link} | {question} | {claims} | {reading} | {running} |"


def notebook_table():
    head = "| notebook | question | claims checked | to read | to run |\n|---|---|---|---|---|"
    return "\n".join([head, *map(notebook_row, curriculum.sources())])


def lab_row(source):
    """A row of the table of labs: its question, exercises, minutes, solutions."""
    found, file = labs.exercises(source), f"{source.stem}.ipynb"
    core = [exercise for exercise in found if not exercise.optional]
    minutes = f"{sum(exercise.minutes for exercise in core)} minutes"
    if more := sum(exercise.minutes for exercise in found if exercise.optional):
        minutes += f", {more} more for what is optional"
    cells = [f"[{source.stem}](labs/{file})", labs.lab_title(labs.read(source))]
    cells += [f"{len(core)} + {len(found) - len(core)}", minutes, f"[solutions](labs/solutions/{file})"]
    return f"| {' | '.join(cells)} |"


def lab_table():
    head = "| lab | question | exercises, core + optional | time | |\n|---|---|---|---|---|"
    return "\n".join([head, *map(lab_row, labs.sources())])


def claims_line():
    """What is known of all claims at once, from `make claims`; while it has not run, from the pilot."""
    table = claims.CLAIMS.read()
    if table.empty:
        return (
            "How many claims hold, and how far their thresholds are from what was measured on other replicates, is in\n"
            "[data/results/claims_pilot.csv](data/results/claims_pilot.csv)."
        )
    return f"{claims.line(table)} [All of them, with source, threshold and spread](data/results/claims.md)."


def fill(text, name, content):
    """`text` with `content` between the comments <!-- name --> and <!-- /name -->."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
    if not pattern.search(text):
        sys.exit(f"README.md has lost its comments <!-- {name} --> and <!-- /{name} -->: put them back.")
    return pattern.sub(lambda match: f"{match[1]}{content}\n{match[2]}" if content else match[1] + match[2], text)


def readme():
    text = README.read_text(encoding="utf-8")
    text = fill(text, "badges", badges(curriculum.repository_url()))
    text = fill(text, "notebooks", notebook_table())
    text = fill(text, "labs", lab_table())
    return fill(text, "claims", claims_line())


def citation():
    """CITATION.cff from pyproject.toml; without an address while the repository has none."""
    project = curriculum.project()
    lines = [
        "# Derived from pyproject.toml by tools/derive.py.",
        "cff-version: 1.2.0",
        "message: If you teach or write with this curriculum, please cite it as below.",
        f'title: "{project["description"].split(". ")[0]}"',
        "type: software",
        f"version: {project['version']}",
        f"license: [{', '.join(project['license'].split(' AND '))}]",
        "authors:",
        *[f'  - name: "{author["name"]}"' for author in project["authors"]],
    ]
    if url := curriculum.repository_url():
        lines.append(f"repository-code: {url}")
    return "\n".join(lines) + "\n"


def picture():
    """The PNG of the figure in the cell tagged `readme-picture` of a committed notebook."""
    for source in curriculum.sources():
        notebook = nbformat.read(curriculum.NOTEBOOKS / f"{source.stem}.ipynb", as_version=4)
        for cell in notebook.cells:
            if PICTURE_TAG in cell.metadata.get("tags", []):
                page = "".join(output["data"].get("text/html", "") for output in cell.outputs if "data" in output)
                return base64.b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', page)[1])
    sys.exit(f"No notebook has a cell tagged {PICTURE_TAG}: the README needs one.")


def main(arguments):
    derived = {README: readme().encode(), CITATION: citation().encode(), PICTURE: picture()}
    if len(table := claims.CLAIMS.read()):
        derived[CLAIMS] = claims.page(table).encode()
    old = [path for path, content in derived.items() if not path.exists() or path.read_bytes() != content]
    if "--check" in arguments:
        for path in old:
            print(f"{path.relative_to(curriculum.ROOT)} is out of date: run `make notebooks`.")
        if sentence := claims.stale():
            print(sentence)
        return 1 if old else 0
    for path in old:
        with curriculum.replaced(path) as partial:
            partial.write_bytes(derived[path])
        print(f"{path.relative_to(curriculum.ROOT)}: renewed.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
