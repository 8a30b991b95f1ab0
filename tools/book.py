"""The book: a static site of the executed notebooks, the labs, the claims and the guides. It executes nothing.

    python tools/book.py              outputs/book/site/, from outputs/book/pages/

Pages are copies of committed files, at the paths that these have in the repository, so that links between them hold.
What a copy gets besides: a line of facts below its title, links from terms to the glossary, and places to link to.
Sphinx makes the site of them; book/ has its configuration, its style, the front page and the list of the terms.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which PYTHONSAFEPATH leaves out
    import fresh

    fresh.start()

import html
import re
import shutil
import tomllib
from pathlib import PurePosixPath
from typing import NamedTuple

import book_map
import claims
import curriculum
import derive
import nbformat

import labs
from labkit.ledger import outputs_dir

BOOK = curriculum.ROOT / "book"
GUIDES = ("labs/INSTRUCTORS.md", "CONTRIBUTING.md")
EVIDENCE = ("data/results/claims.md", "data/README.md", "benchmarks/README.md")
DATASHEETS = sorted(f"data/{path.name}" for path in (curriculum.ROOT / "data").glob("*.md") if path.name != "README.md")
WORDS_A_MINUTE = 200
TIMES = re.compile(r"\n*\*\*Reading:\*\* (?P<reading>.+?)\. \*\*Running:\*\* (?P<running>.+?)\.(?=\n|$)")
# What a glossary link never stands in: code, mathematics, a link, bold or quoted text, a tag, a heading, a table.
UNTOUCHED = re.compile(
    r"```.*?```|~~~.*?~~~|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|!?\[[^\]]*\]\([^)]*\)|\*\*[^*]*\*\*|<[^>]*>|^#.*?$|^\|.*?$",
    re.S | re.M,
)
# A sentence that begins like this says what the one before it means.
BACK = re.compile(r"(This|That|These|They|It|We|Here|Then|So|Such|Write|In between|What is left|From)\b|\$\\eta")
INTERACTIVE = "<p><em>Here the notebook has controls. They need a kernel: open the notebook to use them.</em></p>"


class Term(NamedTuple):
    """A term of the glossary: its name, the notebook that defines it, the sentence, whether its uses become links."""

    name: str
    notebook: str
    definition: str
    linked: bool

    @property
    def anchor(self):
        return f"term-{slug(self.name)}"


class NotDefined(LookupError):
    """A term that its notebook does not define: the message says which."""


def slug(text):
    """A name for an anchor: letters, digits and hyphens."""
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-")


def paragraphs(markdown):
    """The paragraphs and list items of a markdown cell, without its headings and code, each on one line."""
    text = re.sub(r"```.*?```|^#.*?$", "", markdown, flags=re.S | re.M)
    found = re.split(r"\n\s*\n|\n(?=- |\d+\. |\|)", text)
    return [re.sub(r"^(- |\d+\. )", "", " ".join(paragraph.split())) for paragraph in found]


def bold(name):
    """The pattern of a term in bold print, which may stand on two lines."""
    words = r"\s+".join(map(re.escape, name.split()))
    return re.compile(rf"\*\*{words}\*\*", re.I)


def definition(name, cells):
    """The sentence of a notebook's cells in which the term is printed bold; None where there is none.

    Where it points back ("This is ..."), the sentences before it in its paragraph stand before it.
    """
    for paragraph in [paragraph for cell in cells[1:] for paragraph in paragraphs(cell)]:
        said = []
        for sentence in re.split(r"(?<=[.!?])(?<!al\.) +(?=[A-Z*$`\[])", paragraph):
            said.append(sentence)
            if bold(name).search(sentence):
                while len(said) > 1 and not BACK.match(said[-1]):
                    said = said[-1:]
                text = " ".join(said)
                return text[0].upper() + text[1:].rstrip(",;:") + "." * (text[-1] not in ".!?")
    return None


def glossary_terms():
    """The terms of book/terms.toml with their definitions, by name. Raises NotDefined."""
    listed = tomllib.loads((BOOK / "terms.toml").read_text(encoding="utf-8"))
    everyday = set(listed.pop("everyday"))
    terms = []
    for notebook, names in listed.items():
        page = nbformat.read(curriculum.NOTEBOOKS / f"{notebook}.ipynb", as_version=4)
        cells = [cell.source for cell in page.cells if cell.cell_type == "markdown"]
        for name in names:
            sentence = definition(name, cells)
            if sentence is None:
                raise NotDefined(
                    f"{notebook} does not define **{name}**: print it bold there, or drop it from terms.toml."
                )
            terms.append(Term(name, notebook, sentence, linked=name not in everyday))
    return sorted(terms, key=lambda term: term.name.lower())


def with_anchors(text, terms):
    """`text` with a place to link to before the bold print of each of the terms."""
    for term in terms:
        if match := bold(term.name).search(text):
            text = f'{text[: match.start()]}<span id="{term.anchor}"></span>{text[match.start() :]}'
    return text


def with_links(text, terms, done):
    """`text` whose first use of each term becomes a link to the glossary; `done` holds the terms that have one."""
    kept = []

    def keep(match):
        kept.append(match[0])
        return f"\0{len(kept) - 1}\0"

    text = UNTOUCHED.sub(keep, text)
    for term in sorted(terms, key=lambda term: -len(term.name)):  # "linear probe" before "probe"
        if term.name in done:
            continue
        use = re.compile(rf"(?<![\w-]){re.escape(term.name)}s?(?![\w-])", re.I)
        if match := use.search(text):
            done.add(term.name)
            kept.append(f"{{term}}`{match[0]} <{term.name}>`")
            text = f"{text[: match.start()]}\0{len(kept) - 1}\0{text[match.end() :]}"
    while "\0" in text:
        text = re.sub("\0(\\d+)\0", lambda match: kept[int(match[1])], text)
    return text


def launch_links(path, edited):
    """Links to run and to edit a page, in HTML; none while the repository has no address."""
    url = curriculum.repository_url()
    if not url:
        return []
    found = [("Edit", f"{url}/edit/main/{edited}")]
    if path.endswith(".ipynb") and "solutions" not in path:
        binder, colab = curriculum.launch(url, path.removesuffix(".ipynb"))
        found = [("Open in Binder", binder), ("Open in Colab", colab), *found]
    return [f'<a href="{html.escape(target)}">{name}</a>' for name, target in found]


def facts(path, edited, **times):
    """The line below a page's title: how long it takes, where to run it, where to edit it."""
    said = [f"{name.capitalize()}: {html.escape(time)}" for name, time in times.items()]
    return f'<p class="facts">{" · ".join([*said, *launch_links(path, edited)])}</p>'


def below_title(text, line):
    """`text` with `line` below its first heading."""
    title, _, rest = text.partition("\n")
    return f"{title}\n\n{line}\n{rest}"


def reading_time(text):
    minutes = max(1, round(len(text.split()) / WORDS_A_MINUTE))
    return f"about {minutes} minute{'s' * (minutes > 1)}"


def book_link(path, pages):
    """A function for re.sub that mends the links of the page `path`: what is no page is on the repository's site."""
    url, version = curriculum.repository_url(), curriculum.project()["version"]

    def mended(match):
        text, target = match[1], match[2]
        place = PurePosixPath(os.path.normpath(PurePosixPath(path).parent / target.split("#")[0])).as_posix()
        if place == "README.md":
            return f"[{text}]({os.path.relpath('index.md', PurePosixPath(path).parent)})"
        if place in pages or target.startswith("#"):
            return match[0]
        return f"[{text}]({url}/blob/v{version}/{place})" if url else text

    return mended


LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|mailto:)([^)\s]+)\)")


def claim_anchor(notebook, statement):
    return f"claim-{notebook[:2] if notebook[0].isdigit() else notebook[:5]}-{slug(statement)[:80]}"


def prepared_outputs(cell, notebook):
    """The outputs of a code cell as a page without a kernel shows them."""
    outputs = []
    for output in cell.outputs:
        shown = output.get("data", {})
        if curriculum.WIDGET_VIEW in shown:
            output = nbformat.v4.new_output("display_data", {"text/html": INTERACTIVE, "text/plain": "controls"})
        elif match := re.search(r"<strong>HOLDS</strong>: (.+?) Threshold: ", shown.get("text/html", "")):
            anchor = claim_anchor(notebook, html.unescape(match[1]).removesuffix("."))
            shown["text/html"] = f'<div id="{anchor}">{shown["text/html"]}</div>'
        elif "<table" in shown.get("text/html", ""):
            shown["text/html"] = f'<div class="wide" tabindex="0">{shown["text/html"]}</div>'
        outputs.append(output)
    return outputs


def notebook_page(path, pages, terms, **times):
    """A notebook or lab as a page: nbformat's notebook."""
    notebook, name = nbformat.read(curriculum.ROOT / path, as_version=4), PurePosixPath(path).stem
    own, edited = [term for term in terms if term.notebook == name], path
    if PurePosixPath(path).parts[0] in ("notebooks", "labs"):
        edited = f"{PurePosixPath(path).parts[0]}/source/{name}.py"
    others = [term for term in terms if term.linked and term.notebook != name]
    done = set()
    start = next(i for i, cell in enumerate(notebook.cells) if cell.source.startswith("# "))
    notebook.cells = notebook.cells[start:]  # without the badge and the cell that Colab needs
    first = notebook.cells[0]
    if match := TIMES.search(first.source):
        times = match.groupdict()
        first.source = TIMES.sub("", first.source)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(book_link(path, pages), cell.source)
            cell.source = cell.source if cell is first else with_anchors(cell.source, own)
            cell.source = with_links(cell.source, others, done)
        else:
            cell.outputs = prepared_outputs(cell, name)
    first.source = below_title(first.source, facts(path, edited, **times))
    return notebook


def text_page(path, pages, terms):
    """A guide or datasheet as a page: its Markdown."""
    text = (curriculum.ROOT / path).read_text(encoding="utf-8")
    times = {"reading": reading_time(text)}
    text = LINK.sub(book_link(path, pages), text)
    return below_title(text, facts(path, path, **times))


def claims_page(notebooks):
    """The table of all claims, each linked to the cell of `notebooks` (their texts, by path) that shows it.

    A claim that no cell shows any more has no link: `make check` lists its notebook as stale.
    """
    table = claims.CLAIMS.read()
    text = claims.page(table)
    times = {"reading": reading_time(claims.HEAD)}
    for row in table.itertuples():
        statement, anchor = row.statement.replace("|", "\\|"), claim_anchor(row.notebook, row.statement)
        folder = "labs/solutions" if row.notebook.startswith("lab") else "notebooks"
        if anchor not in notebooks[f"{folder}/{row.notebook}.ipynb"]:
            continue
        target = f"../../{folder}/{row.notebook}.html#{anchor}"
        link = f'<a href="{html.escape(target)}">{html.escape(statement)}</a>'
        text = text.replace(f"\n| {statement} |", f"\n| {link} |")
    return below_title(text, facts("data/results/claims.md", "tools/claims.py", **times))


def filled(name, path=None, **parts):
    """The page book/NAME.md with each {part} filled in, and its line of facts."""
    text = (BOOK / f"{name}.md").read_text(encoding="utf-8")
    for part, content in parts.items():
        text = text.replace(f"{{{part}}}", content)
    return below_title(text, facts(path or f"{name}.md", f"book/{name}.md", reading=reading_time(text)))


def glossary_page(terms):
    """All terms with the sentence that defines each, and a link to it."""
    lines = ["```{glossary}"]
    for term in terms:
        place = f'<a href="notebooks/{term.notebook}.html#{term.anchor}">notebook {term.notebook[:2]}</a>'
        sentence = LINK.sub(r"\1", term.definition).replace("**", "")
        lines += [term.name, f"  {sentence} ({place})", ""]
    return filled("glossary", terms="\n".join([*lines, "```"]))


def cite_page():
    """How to cite: a sentence, BibTeX, the CFF file."""
    project = curriculum.project()
    fields = {"title": project["description"].split(". ")[0]}
    fields["author"] = " and ".join(f"{{{author['name']}}}" for author in project["authors"])
    fields["version"] = project["version"]
    if url := curriculum.repository_url():
        fields["url"] = url
    listed = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    bibtex = f"@software{{deep_learning_systems,\n{listed}\n}}"
    return filled("cite", bibtex=bibtex, citation=derive.citation().strip())


def map_page():
    """The map of prerequisites, as a picture and as a table."""
    needed, lines = book_map.needs(), ["| | asks | after |", "|---|---|---|"]
    for name, numbers in needed.items():
        path = f"{book_map.folder(name)}/{name}.ipynb"
        lines.append(f"| [{name}]({path}) | {question(path)} | {', '.join(numbers) or 'nothing'} |")
    return filled("map", picture=book_map.picture(needed), table="\n".join(lines))


def solutions_page():
    """The list of the labs' solutions."""
    names = "\n".join(source.stem for source in labs.sources())
    return filled("solutions", path="labs/solutions/index.md", labs=names)


def question(path):
    """A notebook's or lab's title: the question that it asks."""
    notebook = nbformat.read(curriculum.ROOT / path, as_version=4)
    first = next(cell.source for cell in notebook.cells if cell.source.startswith("# "))
    return first.partition("\n")[0].removeprefix("# ")


def numbered(path):
    """The title of a page with its number, as the list of pages shows it."""
    name = PurePosixPath(path).stem
    return f"{f'Lab {int(name[3:5])}' if name.startswith('lab') else name[:2]} · {question(path)}"


def part(text, name):
    """What stands in the README between the comments <!-- name --> and <!-- /name -->."""
    return re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.S)[1].strip()


def front_page():
    """The front page, filled with what the README says of the same."""
    readme = derive.README.read_text(encoding="utf-8")
    parts = {name: part(readme, name) for name in ("about", "notebooks", "labs", "claims")}
    links = launch_links(f"notebooks/{curriculum.sources()[0].stem}.ipynb", "book/index.md")
    parts["launch"] = " or ".join(links[:2]) or "Binder or Colab, as soon as this project has its address"
    for folder, found in {"notebooks": curriculum.sources(), "labs": labs.sources()}.items():
        entries = [f"{numbered(f'{folder}/{source.stem}.ipynb')} <{folder}/{source.stem}>" for source in found]
        parts[f"{folder} toctree"] = "\n".join(entries)
    parts["datasheets toctree"] = "\n".join(path.removesuffix(".md") for path in DATASHEETS)
    return filled("index", **parts)


def pages():
    """The text of each page, by its path in the book."""
    notebooks = [f"notebooks/{source.stem}.ipynb" for source in curriculum.sources()]
    of_labs = {f"labs/{source.stem}.ipynb": source for source in labs.sources()}
    solutions = {f"labs/solutions/{source.stem}.ipynb": source for source in labs.sources()}
    texts = [*GUIDES, *EVIDENCE[1:], *DATASHEETS]
    known = {*notebooks, *of_labs, *solutions, *texts, EVIDENCE[0], "index.md"}
    terms = glossary_terms()
    made = {path: notebook_page(path, known, terms) for path in notebooks}
    for path, source in (of_labs | solutions).items():
        minutes = sum(exercise.minutes for exercise in labs.exercises(source) if not exercise.optional)
        times = {"working": f"{minutes} minutes", "running": "less than a minute on one CPU core"}
        made[path] = notebook_page(path, known, terms, **times)
    made = {path: nbformat.writes(notebook) for path, notebook in made.items()}
    made |= {path: text_page(path, known, terms) for path in texts}
    made |= {"data/results/claims.md": claims_page(made), "glossary.md": glossary_page(terms), "cite.md": cite_page()}
    return made | {"map.md": map_page(), "labs/solutions/index.md": solutions_page(), "index.md": front_page()}


def write_pages(folder):
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in pages().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    shutil.copy(derive.PICTURE, folder / "data" / "results")


def main():
    try:
        from sphinx.cmd.build import build_main
    except ImportError:
        sys.exit("The book needs Sphinx: run `make book`, which installs it.")
    folder, site = outputs_dir() / "book" / "pages", outputs_dir() / "book" / "site"
    try:
        write_pages(folder)
    except NotDefined as error:
        sys.exit(str(error))
    shutil.rmtree(site, ignore_errors=True)
    doctrees = folder.parent / "doctrees"
    options = ["--fail-on-warning", "--keep-going", "--quiet", "--jobs", "2", "--fresh-env"]
    status = build_main([*options, "--conf-dir", str(BOOK), "--doctree-dir", str(doctrees), str(folder), str(site)])
    if status:
        sys.exit("The book was not built: each warning above is a fault.")
    found = list(site.rglob("*.html"))
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 2**20
    print(f"{len(found)} pages, {size:.0f} MB: open {site / 'index.html'}")


if __name__ == "__main__":
    main()
