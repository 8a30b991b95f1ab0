"""Sphinx's configuration of the book. `make book` writes its pages first: see tools/book.py."""

import re
import tomllib
from pathlib import Path

import latex2mathml.converter
import ziamath
from docutils import nodes

HERE = Path(__file__).parent
PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "Deep Learning Systems"
author = ", ".join(person["name"] for person in PROJECT["authors"])
version = release = PROJECT["version"]
language = "en"

extensions = ["myst_nb", "sphinx_copybutton"]
nb_execution_mode = "off"  # the pages have the outputs that are committed
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = project
html_static_path = ["static", str(Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf")]
html_favicon = str(HERE / "static" / "favicon.svg")
html_css_files = ["book.css"]
html_math_renderer = "mathml"
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_show_search_summary = False  # it reads pages by requests, which a page that was opened as a file may not make
copybutton_exclude = ".linenos, .gp, .go"


def mathml(node, display):
    """A formula as MathML, which browsers draw and screen readers read without a script."""
    return latex2mathml.converter.convert(node.astext(), display=display)


def inline_formula(writer, node):
    writer.body.append(mathml(node, "inline"))
    raise nodes.SkipNode


def block_formula(writer, node):
    writer.body.append(f'<div class="formula" tabindex="0">{mathml(node, "block")}</div>')
    raise nodes.SkipNode


def accessible(app, pagename, templatename, context, doctree):
    """Whatever scrolls sideways can be reached by the keyboard; the headings in the list of pages have a level."""
    if body := context.get("body"):
        body = re.sub(r"<pre(?=[ >])(?![^>]*tabindex)", '<pre tabindex="0"', body)
        context["body"] = body.replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper')
    if tree := context.get("furo_navigation_tree"):
        context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def setup(app):
    app.add_html_math_renderer("mathml", (inline_formula, None), (block_formula, None))
    app.connect("html-page-context", accessible, priority=900)
