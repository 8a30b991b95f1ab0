"""Open JupyterLab on your own copies of the notebooks and labs, without outputs: predictions come before answers.

    python tools/lab.py              copy what is new into workspace/, then open JupyterLab
    python tools/lab.py --prepare    only copy

Nothing that you may have touched is ever written over. Where a notebook has changed since you copied it and you have
worked in your copy, you choose; when nobody can be asked, your copy stays and the new one is put beside it.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which PYTHONSAFEPATH leaves out
    import fresh

    fresh.start()

import hashlib
import itertools
import json
import shlex

import curriculum
import fresh
import nbformat

import labs

WORKSPACE = curriculum.ROOT / "workspace"
COPIED = WORKSPACE / ".copied.json"


def sha256(data):
    """The hash of a file's bytes, the same with the line ends of any system."""
    return hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()


def ask_to_replace(name):
    """True to replace the learner's copy (a backup is kept). False, the safe answer, when nobody is there to ask."""
    if not (sys.stdin and sys.stdin.isatty()):
        return False
    question = f"{name} has a newer version, and you have worked in your copy. Replace yours (a backup is kept)? [y/N] "
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def notebooks():
    """What a learner works in: (folder, name, notebook)."""
    for source in curriculum.sources():
        yield "notebooks", source.stem, curriculum.build(source)
    for source in labs.sources():
        yield "labs", source.stem, labs.build(source, "student")


def copy(folder, name, notebook, copied, ask=ask_to_replace):
    """Bring one notebook into the workspace; returns a sentence on what was done, or None when nothing was.

    `copied` has, for each notebook, the hash of its version that was last brought; it is updated.
    """
    text = nbformat.writes(notebook) + "\n"
    target, new = WORKSPACE / folder / f"{name}.ipynb", sha256(text.encode())
    sentence = bring(text, target, new, copied.get(name), ask)
    copied[name] = new
    return sentence


def bring(text, target, new, previous, ask):
    """Write a text, whose hash is `new`, to `target` or beside it; `previous` that of the version before."""
    if not os.path.lexists(target):
        curriculum.write(target, text)
        return f"{target.name}: copied."
    current = hash_of(target)
    if new in (current, previous):
        return None
    if current == previous:
        curriculum.write(target, text)
        return f"{target.name}: renewed (you had not changed it)."
    if ask(target.name):
        backup = unused(target, "backup")
        target.rename(backup)
        curriculum.write(target, text)
        return f"{target.name}: replaced; yours is kept as {backup.name}."
    beside = unused(target, "new")
    curriculum.write(beside, text)
    return f"{target.name}: yours is kept; the new version is {beside.name}."


def hash_of(path):
    """The hash of a file, whatever is in it; a word that is no hash where it cannot be read, and so may be anything."""
    try:
        return sha256(path.read_bytes())
    except OSError:
        return "unreadable"


def unused(target, kind):
    """The first of X.new1.ipynb, X.new2.ipynb, ... that is not there: a learner may have worked in those that are."""
    names = (target.with_suffix(f".{kind}{number}.ipynb") for number in itertools.count(1))
    return next(path for path in names if not os.path.lexists(path))


def copied_before():
    """What the state file holds. One that is broken (the disk was full) holds nothing: then all count as touched."""
    try:
        state = json.loads(COPIED.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def prepare():
    copied = copied_before()
    try:
        for folder, name, notebook in notebooks():
            if sentence := copy(folder, name, notebook, copied):
                print(sentence)
    finally:
        curriculum.write(COPIED, json.dumps(copied, indent=1))


def main(arguments):
    prepare()
    if "--prepare" in arguments:
        return
    if hasattr(os, "geteuid") and os.geteuid() == 0 and "--allow-root" not in arguments:
        command = shlex.join([os.path.relpath(sys.executable), os.path.relpath(__file__), "--allow-root"])
        print(f"JupyterLab does not like to run as root. In a container, where that is meant: {command}")
    first = f"/lab/tree/notebooks/{curriculum.sources()[0].stem}.ipynb"
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={WORKSPACE}", f"--LabApp.default_url={first}"]
    # The kernel that is called Python 3 is the one of .venv, whatever kernels there are elsewhere.
    environment = fresh.without("JUPYTER_PATH") | {"JUPYTER_PREFER_ENV_PATH": "1"}
    fresh.become([*command, *arguments], environment)


if __name__ == "__main__":
    main(sys.argv[1:])
