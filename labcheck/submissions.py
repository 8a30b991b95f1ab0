"""Find and read the submissions in a folder, for grade.py.

Nothing in the folder is passed over in silence: each file is a submission, graded or with a reason why not, and so is
a folder that holds none. Only what operating systems, JupyterLab and nbgrader leave behind does not count.
"""

import json
import os
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

NOTEBOOK_BYTES = 50 << 20  # a lab with all its figures has under 1 MB
FILES = 200  # that are listed for one folder of a student; more are an environment or a data set that came along
DEPTH = 12  # folders in folders that are looked into
NAME_BYTES = 120  # of a page's name; a file's name can have 255, on some encrypted disks 143
LAB_CALL = re.compile(r"""\bcheck\.lab\(\s*["'](\w+)["']""")
DEFINITION = re.compile(r"^(?:(?:async +)?def|class) +(\w+)|^(\w+) *(?::[^=\n]+)?=(?!=)", re.MULTILINE)
LEFT_BEHIND = {
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "system volume information",
    "lost+found", "__pycache__", "timestamp.txt",
}  # fmt: skip
MOODLE = re.compile(r"_assignsubmission_(?:file|onlinetext)(?:_.*)?$", re.DOTALL)  # what it appends to a student's name
ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")  # how they begin

NO_FILE = "holds no file (hidden ones and what systems leave behind do not count)"
ONLINE_TEXT = "is a text typed into Moodle: read it there"
NOTHING = (NO_FILE, ONLINE_TEXT)
TOO_MUCH = "holds too many files, or folders in folders, to list: only the notebooks among them are read"
NOT_REACHED = "was not graded, since the grading ended before"
GRADER_FAILED = "was not graded, since the grader failed on it; its log says how"
GRADED, NOT_GRADED, FAILED = "graded", "not graded", "grader failed"


class NotGradable(ValueError):
    """A sentence for the gradebook: why a file is not graded."""


@dataclass
class Submission:
    """What a student handed in, and what came of it."""

    path: Path
    student: str
    lab: str = ""
    cells: list = field(default_factory=list)  # [number, source, is an experiment] of each code cell
    reason: str = ""  # why it cannot be graded
    remarks: list = field(default_factory=list)  # what the instructor should know besides
    result: dict = field(default_factory=dict)  # of grade_one.py; where the grader failed, only its `log`
    name: str = ""  # of its page and log
    page: str = ""  # where its page is, once it is written
    trouble: str = ""  # why it could not be written

    @property
    def status(self):
        if "log" in self.result:
            return FAILED
        return GRADED if self.result else NOT_GRADED

    @property
    def note(self):
        """What the gradebook says besides the points."""
        notes = list(self.remarks)
        if self.status == GRADED:
            notes += self.result["incidents"]
            if stopped := len(self.result["cells"]):
                notes.append(f"{stopped} cell{'s' if stopped > 1 else ''} stopped with an error")
        else:
            notes.insert(0, GRADER_FAILED if self.result else self.reason or NOT_REACHED)
        if self.trouble:
            notes.append(f"its page could not be written: {self.trouble}")
        return "; ".join(notes)[:500]

    def points(self, exercise):
        return self.result["exercises"][exercise.name]["points"] if self.status == GRADED else 0.0


def find(folder, labs, lab=None):
    """All submissions in a folder, in order, those that cannot be graded with the reason.

    Args:
        folder: of all students, or a course folder of nbgrader.
        labs: all labs by name.
        lab: the name of the one that all notebooks answer, where the caller knows.

    Raises:
        OSError: the folder cannot be read.
    """
    folder = course(folder)
    submissions = [read(path, folder, labs, lab) for top in inside(folder) for path in listed(top)]
    # An empty folder matters only where it is all that a student handed in.
    handed_in = {one.student for one in submissions if one.reason not in NOTHING}
    submissions = [one for one in submissions if one.reason not in NOTHING or one.student not in handed_in]
    remark_on_doubles(submissions, folder)
    name_files(submissions)
    return submissions


def asked(lab):
    """The names that a lab's checks ask for: what a table names, else the exercise's own."""
    exercises = lab.exercises.values()
    targets = [(exercise.name, getattr(check, "target", None)) for exercise in exercises for check in exercise.checks]
    return {target if isinstance(target, str) else name for name, target in targets}


def read(path, folder, labs, lab=None):
    """The submission that is a file, or a folder where there is no file. See `find`."""
    submission = Submission(path, student_of(path, folder, labs))
    try:
        cells = read_cells(path)
        submission.lab = lab or lab_of(path.relative_to(folder), cells, labs)
    except NotGradable as reason:
        submission.reason = str(reason)
        return submission
    submission.cells = [list(cell) for cell in cells]
    for number, source, experiment in cells:
        if experiment and (names := defined(source) & asked(labs[submission.lab])):
            submission.remarks.append(
                f"code cell {number} answers {', '.join(sorted(names))} but is tagged `experiment`: "
                "only its functions, classes and imports run"
            )
    return submission


# Files ----------------------------------------------------------------------------------------------------------------


def course(folder):
    """The folder itself or, where it is a course folder of nbgrader, the one that nbgrader collects into."""
    submitted = Path(folder) / "submitted"
    return submitted if submitted.is_dir() else Path(folder)


def inside(folder):
    """What a folder holds, in order, without what is hidden or left behind by systems."""
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and path.name.lower() not in LEFT_BEHIND
    )


def listed(top):
    """The paths that get a row each: all files below, or of very many only the notebooks and `top` for the rest."""
    paths = leaves(top)
    return paths if len(paths) <= FILES else [top, *(path for path in paths if ".ipynb" in path.name.lower())]


def leaves(path, depth=DEPTH):
    """The files below a path, and the folders that hold none, are links or cannot be opened."""
    if not os.path.isdir(path) or os.path.islink(path) or not depth:
        return [path]
    try:
        return [leaf for each in inside(path) for leaf in leaves(each, depth - 1)] or [path]
    except OSError:
        return [path]


def read_file(path):
    """The bytes of a file.

    Raises:
        NotGradable: it cannot be read, or can be no notebook.
    """
    try:
        if path.is_symlink():
            raise NotGradable("is a symbolic link: put what it leads to in its place")
        if path.is_dir():
            raise NotGradable(TOO_MUCH if inside(path) else NO_FILE)
        if not path.is_file():
            raise NotGradable("is no regular file")
        with path.open("rb") as file:
            data = file.read(NOTEBOOK_BYTES + 1)
    except OSError as error:
        raise NotGradable(f"cannot be read: {error.strerror}") from error
    if not data:
        raise NotGradable("is an empty file")
    if data.startswith(ARCHIVES) or data[257:262] == b"ustar":
        raise NotGradable("is a zip or another packed file: unpack it")
    if len(data) > NOTEBOOK_BYTES:
        raise NotGradable(f"has more than {NOTEBOOK_BYTES >> 20} MB")
    return data


# Notebooks ------------------------------------------------------------------------------------------------------------


def read_cells(path):
    """The code cells of a notebook as (number, source, is an experiment), numbered from 1.

    What a notebook says of itself may be missing or null: only its cells must be there.

    Raises:
        NotGradable: this is no notebook in Python, in the format of today.
    """
    if re.search(r"onlinetext[^/]*\.html?$", path.name):
        raise NotGradable(ONLINE_TEXT)
    data = read_file(path)
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError) as error:
        hint = (str(error) or type(error).__name__) if ".ipynb" in path.name.lower() else "the lab's .ipynb is needed"
        raise NotGradable(f"is no notebook: {hint}"[:200]) from error
    if not isinstance(notebook, dict):
        raise NotGradable("is no notebook")
    version = str(notebook.get("nbformat") or 4)
    if version.split(".")[0] != "4":
        raise NotGradable(f"has notebook format {version}, not 4: open it in JupyterLab and save it"[:200])
    cells = notebook.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise NotGradable("is no notebook: it has no cells")
    if "python" not in (language := language_of(part(notebook, "metadata"))):
        raise NotGradable(f"is a notebook in {language}, not in Python"[:200])
    code = [cell for cell in cells if cell.get("cell_type") == "code"]
    return [(number, text_of(cell), is_experiment(cell)) for number, cell in enumerate(code, 1)]


def part(whole, key):
    """A dict in a dict; an empty one where it is missing, null or something else."""
    value = whole.get(key)
    return value if isinstance(value, dict) else {}


def language_of(metadata):
    """The language of a notebook's kernel, in small letters; Python where it says nothing."""
    kernel, info = part(metadata, "kernelspec"), part(metadata, "language_info")
    return str(kernel.get("language") or info.get("name") or ("r" if kernel.get("name") == "ir" else "python")).lower()


def text_of(cell):
    """A cell's source; files have it as a text or as a list of lines."""
    source = cell.get("source") or ""
    lines = [source] if isinstance(source, str) else source
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise NotGradable("is no notebook: the source of a cell is no text")
    return "".join(lines)


def is_experiment(cell):
    tags = part(cell, "metadata").get("tags")
    return isinstance(tags, (list, str)) and "experiment" in tags


def defined(text):
    """The names of functions, classes and variables that a text defines at its top level."""
    return {name for names in DEFINITION.findall(text) for name in names if name}


# Whose it is, and of which lab ----------------------------------------------------------------------------------------


def student_of(path, folder, labs):
    """The name of the first folder that is not named for a lab; else what the file's name says besides the lab's."""
    names = "|".join([*map(re.escape, sorted(labs, key=len, reverse=True)), r"lab\d\d"])
    copy = r"(?:\s*(?:\(\d+\)|-?\s?copy\s?\d*))?"  # what browsers, JupyterLab and systems append
    lab = re.compile(rf"(?:{names}){copy}", re.IGNORECASE)
    *folders, name = path.relative_to(folder).parts
    student = next((each for each in folders if not lab.fullmatch(each)), None)
    if student is None:
        title = name if os.path.isdir(path) else re.split(r"\.ipynb", path.name, flags=re.IGNORECASE)[0]
        title = path.stem if title == path.name and not os.path.isdir(path) else title
        student = lab.sub("", title).strip(" _-.") or title
    return unicodedata.normalize("NFC", MOODLE.sub("", student))  # macOS writes ö as o and two dots


def lab_of(path, cells, labs):
    """The name of the lab that a notebook answers; `path` is that in the folder of all submissions.

    Raises:
        NotGradable: it names none or several, or another than its file does.
    """
    text = "\n".join(source for _, source, _ in cells)
    called, named = sorted(set(LAB_CALL.findall(text))), labs_in(path.name, labs)
    if len(called) > 1 or (called and called[0] not in labs):
        raise NotGradable(f"calls check.lab of {', '.join(called)}; there is {', '.join(labs)}"[:300])
    if called and named and called[0] not in named:
        raise NotGradable(f"is named for {named[0]} but calls check.lab of {called[0]}: rename one")
    found = called or named or labs_in(str(path.parent), labs) or most_answered(text, labs)
    if len(found) != 1:
        raise NotGradable("names no lab, neither in its name nor by `check.lab`: add it to the file's name")
    return found[0]


def labs_in(name, labs):
    """The labs that a name names, in full or as lab01."""
    return [lab for lab in labs if lab.lower() in name.lower()] or [
        lab for lab in labs if re.search(rf"(?<![a-z]){lab[:5]}(?!\d)", name, re.IGNORECASE)
    ]


def most_answered(text, labs):
    """The labs most of whose exercises are defined in a text: one, several, or none."""
    counts = {name: len(defined(text) & lab.exercises.keys()) for name, lab in labs.items()}
    most = max(counts.values(), default=0)
    return [name for name, count in counts.items() if count == most and most]


def remark_on_doubles(submissions, folder):
    """Say it where a student handed in several files for a lab: no rule of ours would be every course's."""
    of_one = defaultdict(list)
    for submission in submissions:
        if submission.lab:
            of_one[submission.student.casefold(), submission.lab].append(submission)
    for several in of_one.values():
        for submission in several:
            others = [str(other.path.relative_to(folder)) for other in several if other is not submission]
            if others:
                more = f" and {len(others) - 2} more" if len(others) > 2 else ""
                submission.remarks.append(
                    f"{submission.student} also handed in {', '.join(others[:2])}{more} for this lab: "
                    "each is graded, and the course decides which one counts"
                )


def name_files(submissions):
    """Names for the files of each, which differ and are safe whatever the students' names are."""
    taken = set()
    for submission in submissions:
        name = re.sub(r"[^\w-]+", "_", f"{submission.student}_{submission.lab or 'unknown'}")
        name = stem = name.encode()[:NAME_BYTES].decode(errors="ignore")
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.casefold())
        submission.name = name
