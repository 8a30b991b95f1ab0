"""The pages of the book: what tools/book.py makes of committed files. The site itself is tested in test_site.py."""

import book_map
import nbformat
import pytest

import book
import labs


@pytest.fixture(scope="module")
def pages():
    return book.pages()


def test_every_term_is_defined_where_the_list_says():
    terms = book.glossary_terms()
    assert len(terms) > 100
    assert all(term.definition.endswith((".", "!", "?")) for term in terms)


def test_a_term_that_nobody_defines_is_named(monkeypatch, tmp_path):
    (tmp_path / "terms.toml").write_text('everyday = []\n"00_start_here" = ["phlogiston"]\n')
    monkeypatch.setattr(book, "BOOK", tmp_path)
    with pytest.raises(book.NotDefined, match=r"00_start_here does not define \*\*phlogiston\*\*"):
        book.glossary_terms()


def test_a_sentence_that_points_back_brings_the_one_before():
    cells = ["# Title", "## 1. Fold\n\nFold the line. This is the **tent map**. It is steep."]
    assert book.definition("tent map", cells) == "Fold the line. This is the **tent map**."


def test_first_use_becomes_a_link_outside_code_and_mathematics():
    term = book.Term("replicate", "00_start_here", "One repetition is a **replicate**.", linked=True)
    done = set()
    text = book.with_links(
        "`replicate` and $replicate$: [replicate](x.md), then two replicates, one replicate.", [term], done
    )
    assert (
        text
        == "`replicate` and $replicate$: [replicate](x.md), then two {term}`replicates <replicate>`, one replicate."
    )
    assert done == {"replicate"}
    assert book.with_links("a replicate", [term], done) == "a replicate"


def test_every_notebook_lab_solution_datasheet_and_guide_is_a_page(pages):
    for source in book.curriculum.sources():
        assert f"notebooks/{source.stem}.ipynb" in pages
    for source in labs.sources():
        assert {f"labs/{source.stem}.ipynb", f"labs/solutions/{source.stem}.ipynb"} <= set(pages)
    assert set(book.DATASHEETS) | {*book.GUIDES, *book.EVIDENCE} <= set(pages)


def test_every_page_says_how_long_it_takes(pages):
    for path, text in pages.items():
        first = nbformat.reads(text, as_version=4).cells[0].source if path.endswith(".ipynb") else text
        assert '<p class="facts">' in first.split("\n\n")[1], path


def test_every_claim_of_an_up_to_date_table_is_linked_to_its_cell(pages):
    table = book.claims.CLAIMS.read()
    code = {source.stem: book.claims.pilot.code_sha256(source) for source in book.claims.pilot.sources()}
    measured = table[table.code_sha256 == table.notebook.map(code)]
    assert len(measured)
    for row in measured.itertuples():
        folder = "labs/solutions" if row.notebook.startswith("lab") else "notebooks"
        anchor = book.claim_anchor(row.notebook, row.statement)
        assert f"#{anchor}" in pages["data/results/claims.md"], row.statement
        assert pages[f"{folder}/{row.notebook}.ipynb"].count(f'id=\\"{anchor}\\"') == 1, row.statement


def test_no_page_needs_a_kernel(pages):
    assert not any(book.curriculum.WIDGET_VIEW in text for text in pages.values())


def test_map_knows_what_comes_before_what():
    needed = book_map.needs()
    assert needed["00_start_here"] == []
    assert needed["02_depth"] == ["00", "01"]
    assert needed["lab01_perceptron_to_autodiff"] == ["00"]
    assert book_map.direct(needed)["02_depth"] == ["01"]
    for name, numbers in needed.items():
        assert all(number < name[:2] for number in numbers if name[0].isdigit()), name


def test_launch_and_edit_need_the_address(monkeypatch):
    assert book.launch_links("notebooks/00_start_here.ipynb", "notebooks/source/00_start_here.py") == []
    monkeypatch.setattr(book.curriculum, "repository_url", lambda: "https://github.com/someone/course")
    found = " ".join(book.launch_links("notebooks/00_start_here.ipynb", "notebooks/source/00_start_here.py"))
    assert "mybinder.org/v2/gh/someone/course" in found
    assert "urlpath=lab/tree/workspace/notebooks" in found
    assert "colab.research.google.com" in found
    assert "https://github.com/someone/course/edit/main/notebooks/source/00_start_here.py" in found
