"""tools/rooms.py finds each kind of breach, and the rooms of this house have none."""

import tomllib

import pytest
import rooms

WHOLE = {
    "labkit/__init__.py": '"""Docstring."""\n',
    "labkit/data.py": "import numpy\n\nSIZE = 1\n",
    "labkit/train.py": "from labkit import data\nfrom labkit.data import SIZE\n\n\ndef fit():\n    pass\n",
    "labkit/gate.py": "import labs_of_another\n",
    "labcheck/check.py": "import labkit\nfrom labcheck import compare\ndef lab():\n    from labkit.train import fit\n",
    "labcheck/compare.py": "from . import perform\n",
    "labcheck/perform.py": "",
    "audit/report.py": "from labkit.train import fit\n",
    "notebooks/source/00_start.py": "# %% [markdown]\n# # Why?\n\n# %%\nfrom audit import report\n",
    "labs/source/lab01_first.py": "# %%\nfrom labcheck import check\n",
    "tools/run.py": "import setup\nfrom audit.report import x\nfrom labcheck.check import lab\n",
    "tools/setup.py": "",
}
LONG = "\n".join(f"_x{i} = {i}" for i in range(321))
TOO_LONG = "labkit/data.py has 321 lines of code, more than 320: split it or simplify it."
BREACHES = {
    "labkit imports labcheck": ("labkit/data.py", "import labcheck.check", "labkit/data.py imports labcheck"),
    "labkit imports audit": ("labkit/data.py", "from audit import report", "labkit/data.py imports audit"),
    "in a function": ("labkit/data.py", "def f():\n    import audit", "labkit/data.py imports audit"),
    "labcheck imports audit": ("labcheck/perform.py", "import audit", "labcheck/perform.py imports audit"),
    "audit imports labcheck": ("audit/report.py", "import labcheck", "audit/report.py imports labcheck"),
    "a package imports tools": ("audit/report.py", "from tools import run", "audit/report.py imports tools"),
    "by a bare name": ("labcheck/perform.py", "import setup", "labcheck/perform.py imports tools"),
    "a notebook imports tools": ("notebooks/source/00_start.py", "import run", "source/00_start.py imports tools"),
    "a lab imports tools": ("labs/source/lab01_first.py", "import run", "source/lab01_first.py imports tools"),
    "a circle": ("labkit/data.py", "from labkit.train import fit", "labkit has a circle of imports: "),
    "a circle of three": ("labcheck/perform.py", "from labcheck.check import lab", "labcheck has a circle"),
    "a circle through a function": ("labkit/data.py", "def f():\n    from . import train", "labkit has a circle"),
    "plumbing": ("audit/report.py", "from labkit.gate import whole", "imports labkit.gate.whole, which is plumbing"),
    "plumbing, whole": ("labs/source/lab01_first.py", "from labkit import gate", "imports labkit.gate, which is"),
    "itself": ("audit/report.py", "from audit import report", "report <- report"),
    "a long file": ("labkit/data.py", LONG, TOO_LONG),
    "a long file of another package": ("audit/report.py", LONG, "audit/report.py has 321 lines"),
    "many names": ("labkit/data.py", "\n".join(f"x{i} = y{i} = {i}" for i in range(30)), "labkit has 61 public names"),
}


def breaches(root):
    house = rooms.read(root)
    return [*rooms.wrong_arrows(house), *rooms.circles(house), *rooms.too_large(house)]


@pytest.fixture
def house(tmp_path):
    for name, text in WHOLE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_house_that_keeps_its_rules(house):
    assert breaches(house) == []


@pytest.mark.parametrize("kind", BREACHES)
def test_a_breach_is_one_sentence(house, kind):
    name, text, sentence = BREACHES[kind]
    (house / name).write_text(text)
    (found,) = breaches(house)
    assert sentence in found


def test_all_of_labkit_is_too_long(house):
    for i in range(6):
        (house / "labkit" / f"part{i}.py").write_text("\n".join(LONG.splitlines()[:300]))
    (sentence,) = breaches(house)
    assert sentence == "labkit has 1807 lines of code, more than 1800."


def test_plumbing_has_no_public_names(house):
    (house / "labkit" / "gate.py").write_text("\n".join(f"x{i} = {i}" for i in range(100)))
    assert breaches(house) == []


def test_what_counts_as_a_line_and_as_a_name():
    text = '"""Docstring\n\nof three lines."""\n\n# comment\nA: int = 1  # comment\nB, _C = (\n    2,\n    3,\n)\n\n\n'
    text += 'class D:\n    """Docstring."""\n\n    e = """of\n    two lines"""\n\n\nasync def f(g=1):\n    h = 2\n'
    assert rooms.code_lines(text) == 1 + 4 + 3 + 2
    assert rooms.public_names(text) == ["A", "B", "D", "f"]


def test_all_packages_are_installed():
    setuptools = tomllib.loads((rooms.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert set(rooms.PACKAGES) < set(setuptools["packages"])
    assert set(setuptools["package-dir"]) < set(setuptools["packages"])


def test_the_rooms_keep_their_rules(capsys):
    assert rooms.main() == 0, capsys.readouterr().out
