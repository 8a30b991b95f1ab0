"""The rooms of this house: which package may import which, and how large each may be.

    python tools/rooms.py     a table of files, and a sentence for each breach; the exit status is 1 where there is one

- Arrows run one way: labkit <- labcheck, audit <- notebooks, labs <- tools. labcheck and audit do not know each other.
- No circle of imports between the files of a package; imports inside functions count.
- No file of a package has more than 320 lines of code (without blank lines, comments and docstrings); labkit has at
  most 1,800 in all.
- labkit has at most 60 public names: what its files bind at their top level without an underscore. Those of gate.py and
  record.py are not counted: they are plumbing, which nobody but labkit's own files may import.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which PYTHONSAFEPATH leaves out
    import fresh

    fresh.start()

import ast
import graphlib
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("labkit", "labcheck", "audit")
FOLDERS = {room: room for room in (*PACKAGES, "tools")} | {"notebooks": "notebooks/source", "labs": "labs/source"}
MAY_IMPORT = {"labkit": set(), "labcheck": {"labkit"}, "audit": {"labkit"}}  # all others: the packages
PLUMBING = ("gate", "record")
FILE_LINES, LABKIT_LINES, LABKIT_NAMES = 320, 1800, 60
NO_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def read(root):
    """{room: {name of a file without .py: its text}}."""
    files = {room: sorted((Path(root) / folder).glob("*.py")) for room, folder in FOLDERS.items()}
    return {room: {path.stem: path.read_text(encoding="utf-8") for path in paths} for room, paths in files.items()}


def code_lines(text):
    """The number of lines that hold code: no blank lines, comments, docstrings."""
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in NO_CODE]
    lines = {number for token in tokens for number in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, *DEFINITIONS)) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def public_names(text):
    """What a file binds at its top level, but imports and what begins with an underscore."""
    names = []
    for node in ast.parse(text).body:
        if isinstance(node, DEFINITIONS):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names += [one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
    return [name for name in names if not name.startswith("_")]


def imported(text, room):
    """The full names of all that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = [room] * bool(node.level) + [node.module] * bool(node.module)
            yield from (".".join([*module, alias.name]) for alias in node.names)


def wrong_arrows(house):
    room_of = {name: name for name in (*PACKAGES, "tools")} | dict.fromkeys(house["tools"], "tools")
    for room, files in house.items():
        for file, text in files.items():
            others = {room_of.get(name.split(".")[0], room) for name in imported(text, room)}
            for other in sorted(others - MAY_IMPORT.get(room, set(PACKAGES)) - {room}):
                yield f"{FOLDERS[room]}/{file}.py imports {other}: no file of {room} may."
            for name in imported(text, room):
                if room != "labkit" and name.startswith(tuple(f"labkit.{part}" for part in PLUMBING)):
                    yield f"{FOLDERS[room]}/{file}.py imports {name}, which is plumbing of labkit's own files."


def circles(house):
    for package in PACKAGES:
        graph = {}
        for file, text in house[package].items():
            names = [name.split(".") for name in imported(text, package)]
            graph[file] = {name[1] for name in names if name[0] == package and name[1:]} & house[package].keys()
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            yield f"{package} has a circle of imports: {' <- '.join(error.args[1])}."


def too_large(house):
    for package in PACKAGES:
        for file, text in house[package].items():
            if (lines := code_lines(text)) > FILE_LINES:
                yield f"{package}/{file}.py has {lines} lines of code, more than {FILE_LINES}: split it or simplify it."
    labkit = house["labkit"]
    if (lines := sum(map(code_lines, labkit.values()))) > LABKIT_LINES:
        yield f"labkit has {lines} lines of code, more than {LABKIT_LINES}."
    if (names := sum(len(public_names(text)) for file, text in labkit.items() if file not in PLUMBING)) > LABKIT_NAMES:
        yield f"labkit has {names} public names, more than {LABKIT_NAMES}."


def main():
    house = read(ROOT)
    for package in PACKAGES:
        for file, text in house[package].items():
            print(f"{f'{package}/{file}.py':28}{code_lines(text):5} lines{len(public_names(text)):4} public names")
    found = [*wrong_arrows(house), *circles(house), *too_large(house)]
    print(*found or ["All rooms keep their rules."], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
