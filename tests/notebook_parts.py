"""Functions and constants of a notebook's source, for tests of what no module holds."""

import ast

import curriculum
import jupytext


def assigned(node):
    """The names that a statement assigns to: `a` in `a = 1`, and in `a["b"] = 1`."""
    for target in getattr(node, "targets", []):
        if isinstance(target, ast.Subscript):
            target = target.value
        if isinstance(target, ast.Name):
            yield target.id


def parts(number, *names):
    """A namespace with the imports of a notebook and its definitions of these names, executed in their order.

    LookupError where the notebook does not define one of them at the top level of a cell.
    """
    (source,) = curriculum.sources([number])
    cells = [cell.source for cell in jupytext.read(source).cells if cell.cell_type == "code"]
    space, missing = {"__name__": source.stem}, set(names)
    for node in (node for cell in cells for node in ast.parse(cell).body):
        defined = {getattr(node, "name", None), *assigned(node)} & set(names)
        if defined or isinstance(node, (ast.Import, ast.ImportFrom)):
            exec(compile(ast.Module([node], []), source.name, "exec"), space)
            missing -= defined
    if missing:
        raise LookupError(f"{source.name} does not define {', '.join(sorted(missing))}.")
    return space
