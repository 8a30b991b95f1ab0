"""Open JupyterLab on your own copies of the notebooks and labs, without outputs: predictions come before answers.

    python tools/lab.py              copy what is new into workspace/, then open JupyterLab
    python tools/lab.py --prepare    only copy

Your work is never overwritten without asking. Where a notebook has changed since you copied it and you have worked in
your copy, you choose; when nobody can be asked, your copy stays and the new one is put beside it.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import curriculum
import nbformat

import labs

WORKSPACE = curriculum.ROOT / "workspace"
COPIED = WORKSPACE / ".copied.json"


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def ask_to_replace(name):
    """True to replace the learner's copy (a backup is kept). False, the safe answer, when nobody is there to ask."""
    if not (sys.stdin and sys.stdin.isatty()):
        return False
    question = f"{name} has a newer version, and you have worked in your copy. Replace yours (a backup is kept)? [y/N] "
    return input(question).strip().lower() in ("y", "yes")


def notebooks():
    """What a learner works in: (folder, name, notebook)."""
    for source in curriculum.sources():
        yield "notebooks", source.stem, curriculum.build(source)
    for source in labs.sources():
        yield "labs", source.stem, labs.build(source, "student")


def copy(folder, name, notebook, copied, ask=ask_to_replace):
    """Bring one notebook into the workspace; returns a sentence on what was done, or None when nothing was."""
    text = nbformat.writes(notebook) + "\n"
    target = WORKSPACE / folder / f"{name}.ipynb"
    previous, copied[name] = copied.get(name), sha256(text)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return f"{target.name}: copied."
    current = sha256(target.read_text(encoding="utf-8"))
    if current == sha256(text) or previous == sha256(text):
        return None
    if current == previous:
        target.write_text(text, encoding="utf-8")
        return f"{target.name}: renewed (you had not changed it)."
    if ask(target.name):
        backup = next(p for i in range(1, 1000) if not (p := target.with_suffix(f".backup{i}.ipynb")).exists())
        shutil.copy2(target, backup)
        target.write_text(text, encoding="utf-8")
        return f"{target.name}: replaced; yours is kept as {backup.name}."
    target.with_suffix(".new.ipynb").write_text(text, encoding="utf-8")
    return f"{target.name}: yours is kept; the new version is {target.stem}.new.ipynb."


def prepare():
    WORKSPACE.mkdir(exist_ok=True)
    copied = json.loads(COPIED.read_text()) if COPIED.exists() else {}
    for folder, name, notebook in notebooks():
        if sentence := copy(folder, name, notebook, copied):
            print(sentence)
    COPIED.write_text(json.dumps(copied, indent=1))


def main(arguments):
    prepare()
    if "--prepare" in arguments:
        return 0
    first = f"/lab/tree/notebooks/{curriculum.sources()[0].stem}.ipynb"
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={WORKSPACE}", f"--LabApp.default_url={first}"]
    try:
        return subprocess.call([*command, *arguments], env={**os.environ})
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
