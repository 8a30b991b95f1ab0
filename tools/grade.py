"""Grade a folder of submitted labs: a gradebook, and a page of feedback a submission.

    python tools/grade.py FOLDER                 all notebooks in it, the inputs of the checks drawn afresh
    python tools/grade.py FOLDER --seed 4711     with the inputs of an earlier grading, as its gradebook names them

What is read: `*.ipynb` in FOLDER and in its sub-folders, one level deep. A sub-folder's name is the student's name;
without one it is what the file's name says besides the lab's (`ada_lab01.ipynb`: ada). The lab is the one that the
notebook's `check.lab("…")` names, else the one in the file's name, else the one whose exercises it answers; where these
leave a doubt, the notebook is reported and not graded.

What is written to outputs/grades/ (`--out` chooses another folder): gradebook.csv; feedback/<student>_<lab>.html; where
the grader itself failed on a submission, log/<student>_<lab>.txt, and the exit status is 1. labs/INSTRUCTORS.md tells
more, also what this protects from and what not; tools/grade_one.py does the grading.
"""

import argparse
import contextlib
import csv
import html
import json
import os
import queue
import re
import secrets
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import grade_one
import psutil

from labkit import check
from labkit.ledger import outputs_dir

ROOT = Path(__file__).resolve().parent.parent
PRIVATE = ROOT / "labs" / "private"
NOTEBOOK_BYTES = 50 << 20  # a lab with all its figures has under 1 MB
LAB_CALL = re.compile(r"""\bcheck\.lab\(\s*["'](\w+)["']""")
GRADED, NOT_GRADED, FAILED = "graded", "not graded", "grader failed"

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>body {{ font: 1rem/1.5 sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
.check {{ margin: 1.5rem 0 }} .check > div:first-child {{ font-weight: bold }} pre {{ white-space: pre-wrap }}</style>
<h1>{title}</h1>
<p>{summary}</p>
{body}
</html>
"""


class Refused(ValueError):
    """A sentence for whoever called: what is wrong with the call."""


class NotGradable(ValueError):
    """A sentence for the gradebook: why a file is not graded."""


@dataclass
class Submission:
    """A file, whose it is, and what came of it."""

    path: Path
    student: str
    lab: str = ""
    cells: list = field(default_factory=list)  # [number, source] of each code cell that is run
    status: str = NOT_GRADED
    note: str = ""
    result: dict = field(default_factory=dict)  # of grade_one.py
    log: str = ""  # of the grader, where it failed
    name: str = ""  # of its feedback and log

    def points(self, exercise):
        return self.result["exercises"][exercise.name]["points"] if self.result else 0.0


# Reading submissions --------------------------------------------------------------------------------------------------


def find(folder, labs, lab=None):
    """All submissions in a folder, in order, those that cannot be graded with a note that says why.

    `labs` are all labs by name; `lab` is the one that all notebooks answer, where the caller knows.
    """
    folder = Path(folder)
    paths = [*folder.glob("*.ipynb"), *folder.glob("*/*.ipynb")]
    submissions = []
    for path in sorted(path for path in paths if not path.parent.name.startswith(".")):
        submission = Submission(path, student_of(path, folder, labs))
        try:
            cells = read_cells(path)
            submission.lab = lab or lab_of(path, cells, labs)
            submission.cells = [[number, source] for number, source, skip in cells if not skip]
        except NotGradable as reason:
            submission.note = str(reason)
        submissions.append(submission)
    name_files(submissions)
    return submissions


def student_of(path, folder, labs):
    """The sub-folder's name, or what the file's name says besides the lab's."""
    if path.parent != folder:
        return path.parent.name
    names = "|".join([*map(re.escape, sorted(labs, key=len, reverse=True)), r"lab\d\d"])
    return re.sub(names, "", path.stem).strip(" _-.") or path.stem


def name_files(submissions):
    """Names for the files of each, which differ and are safe whatever the students' names are."""
    taken = set()
    for submission in submissions:
        name = stem = re.sub(r"[^\w-]+", "_", f"{submission.student}_{submission.lab or 'unknown'}")[:100]
        number = 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.lower())
        submission.name = name


def read_cells(path):
    """The code cells of a notebook as (number, source, is an experiment), numbered from 1.

    Raises:
        NotGradable: this is no notebook in Python, in the format of today.
    """
    try:
        if not path.is_file() or path.stat().st_size > NOTEBOOK_BYTES:
            raise NotGradable(f"is no file, or one of more than {NOTEBOOK_BYTES >> 20} MB")
        notebook = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, NotGradable):
            raise
        raise NotGradable(f"is no notebook: {error or type(error).__name__}"[:200]) from error
    try:
        if notebook["nbformat"] != 4:
            raise NotGradable(f"has notebook format {notebook['nbformat']!r}, not 4: open it in JupyterLab and save it")
        if (language := language_of(notebook["metadata"])) != "python":
            raise NotGradable(f"is a notebook in {language}, not in Python"[:200])
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        return [(number, text_of(cell), is_experiment(cell)) for number, cell in enumerate(code, 1)]
    except (KeyError, TypeError, AttributeError) as error:
        raise NotGradable(f"is no notebook: {type(error).__name__} {error}"[:200]) from error


def language_of(metadata):
    """The language of a notebook's kernel, in small letters; Python where it says nothing."""
    kernel, info = metadata.get("kernelspec", {}), metadata.get("language_info", {})
    return str(kernel.get("language") or info.get("name") or ("r" if kernel.get("name") == "ir" else "python")).lower()


def text_of(cell):
    """A cell's source; files have it as a text or as a list of lines."""
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def is_experiment(cell):
    return "experiment" in (cell.get("metadata", {}).get("tags") or [])


def lab_of(path, cells, labs):
    """The name of the lab that a notebook answers.

    Raises:
        NotGradable: it names none or several, or another than its file does.
    """
    text = "\n".join(source for _, source, _ in cells)
    called = sorted(set(LAB_CALL.findall(text)))
    named = [name for name in labs if name in path.stem] or [
        name for name in labs if re.search(rf"(?<![a-z]){name[:5]}(?!\d)", path.stem)
    ]
    if len(called) > 1 or (called and called[0] not in labs):
        raise NotGradable(f"calls check.lab of {', '.join(called)}; there is {', '.join(labs)}"[:300])
    if called and named and called[0] not in named:
        raise NotGradable(f"is named for {named[0]} but calls check.lab of {called[0]}: rename one")
    found = called or named or most_answered(text, labs)
    if len(found) != 1:
        raise NotGradable("names no lab, neither in its name nor by `check.lab`: add it to the file's name")
    return found[0]


def most_answered(text, labs):
    """The labs most of whose exercises are defined in a text: one, several, or none."""
    defined = set(re.findall(r"^(?:def|class) (\w+)", text, re.MULTILINE))
    counts = {name: len(defined & lab.exercises.keys()) for name, lab in labs.items()}
    most = max(counts.values(), default=0)
    return [name for name, count in counts.items() if count == most and most]


# Grading --------------------------------------------------------------------------------------------------------------


class Worker:
    """A process of tools/grade_one.py, which grades one submission after another."""

    def __init__(self, settings, folder):
        self.patience = settings["limits"]["total_seconds"] + 180  # the rest: starting, comparing, cleaning up
        self.log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, grade_one.__file__, json.dumps(settings)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.log, text=True, encoding="utf-8",
            env=os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), folder),
        )  # fmt: skip

    def grade(self, job):
        """The result of a job; where the grader failed, a dict with its `log`, and `lost` where this process ended."""
        timer = threading.Timer(self.patience, self.process.kill)
        timer.start()
        try:
            print(json.dumps(job), file=self.process.stdin, flush=True)
            return json.loads(self.process.stdout.readline())
        except (OSError, ValueError):
            self.process.kill()
            code = self.process.wait()
            self.log.seek(0)
            log = f"The grader's process ended (exit status {code}): a submission can do that.\n{self.log.read()}"
            return {"log": log, "lost": True}
        finally:
            timer.cancel()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Grader:
    """Grades submissions side by side, each worker one at a time. What ends a worker costs no other submission."""

    def __init__(self, seeds, jobs, settings):
        self.seeds, self.jobs, self.settings, self.interrupted = seeds, jobs, settings, False
        self.idle, self.workers, self.lock = queue.SimpleQueue(), set(), threading.Lock()
        # What a lost worker leaves is deleted with it. Another user's processes must get through to their own folders.
        self.folder = tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True)
        os.chmod(self.folder.name, 0o711)
        self.before = {process.pid for process in psutil.Process().children()}
        grade_one.adopt_orphans()

    def grade_all(self, submissions, report):
        """Fill in the results. `report(submission)` is called after each."""
        with self.folder, ThreadPoolExecutor(self.jobs) as pool:
            waiting = [pool.submit(self.grade, submission) for submission in submissions]
            try:
                for future in as_completed(waiting):
                    report(future.result())
            except KeyboardInterrupt:  # the workers get it too, and end what they have started
                self.interrupted = True
                pool.shutdown(cancel_futures=True)
                raise
            for worker in self.workers:
                worker.close()

    def grade(self, submission):
        if submission.lab:
            job = {"lab": submission.lab, "cells": submission.cells, "seed": self.seeds[submission.lab]}
            result = self._run(job)
            if "lost" in result and not self.interrupted:  # it may have been the submission beside this one
                result = self._run(job)
            if "log" in result:
                submission.status, submission.log = FAILED, result["log"]
                submission.note = "was not graded, since the grader failed on it; its log says how"
            else:
                submission.status, submission.note, submission.result = GRADED, note_on(result), result
        return submission

    def _run(self, job):
        worker = self._take_worker()
        result = worker.grade(job)
        if worker.process.poll() is None:
            self.idle.put(worker)
        else:
            with self.lock:
                self.workers.discard(worker)
                self._end_orphans()
        return result

    def _take_worker(self):
        with self.lock, contextlib.suppress(queue.Empty):
            return self.idle.get_nowait()
        with self.lock:  # so that `_end_orphans` never meets a process that is not in `workers` yet
            worker = Worker(self.settings, self.folder.name)
            self.workers.add(worker)
        return worker

    def _end_orphans(self):
        """End what a lost worker leaves behind."""

        def find():
            known = self.before | {worker.process.pid for worker in self.workers}
            left = [child for child in psutil.Process().children() if child.pid not in known]
            return grade_one.alive(left + [each for child in left for each in grade_one.descendants(child.pid)])

        grade_one.end(find)


# What is written ------------------------------------------------------------------------------------------------------


def note_on(result):
    """What the gradebook says besides the points."""
    notes = list(result["incidents"])
    if stopped := len(result["cells"]):
        notes.append(f"{stopped} cell{'s' if stopped > 1 else ''} stopped with an error")
    return "; ".join(notes)[:500]


def possible(lab):
    """The points of the core; what is optional has columns and is not in the sums."""
    return sum(exercise.points for exercise in lab.exercises.values() if not exercise.optional)


def earned(submission, lab):
    return sum(submission.points(exercise) for exercise in lab.exercises.values() if not exercise.optional)


def column(lab, exercise):
    return f"{lab.name[:5]} {exercise.name}" + (" (optional)" if exercise.optional else "")


def safe(value):
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def write_gradebook(submissions, labs, seeds, path):
    used = [lab for name, lab in labs.items() if any(submission.lab == name for submission in submissions)]
    exercises = [column(lab, exercise) for lab in used for exercise in lab.exercises.values()]
    head = ["student", "lab", "points", "points_possible", *exercises, "status", "note", "seed", "file", "feedback"]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, head)
        table.writeheader()
        for submission in submissions:
            row = {
                "student": submission.student, "lab": submission.lab, "points": 0, "status": submission.status,
                "note": submission.note, "seed": seeds.get(submission.lab, ""), "file": str(submission.path),
                "feedback": f"feedback/{submission.name}.html",
            }  # fmt: skip
            if lab := labs.get(submission.lab):
                row |= {"points": f"{earned(submission, lab):.4g}", "points_possible": f"{possible(lab):g}"}
                row |= {column(lab, each): f"{submission.points(each):.4g}" for each in lab.exercises.values()}
            table.writerow({key: safe(value) for key, value in row.items()})


def feedback(submission, labs):
    """A page for the student, in HTML. All that comes from the student is escaped: in `check.Report` or here."""
    lab = labs.get(submission.lab)
    title = f"{submission.student}: {lab.title if lab else submission.path.name}"
    if not submission.result:
        return page(title, f"{submission.status}: this file {submission.note}.", "")
    parts = []
    for exercise in lab.exercises.values():
        parts.append(report_on(exercise, submission.result["exercises"][exercise.name])._repr_html_())
    cells = dict(submission.cells)
    stopped = [
        f"Code cell {number} (`{first_line(cells[int(number)])}`) {sentence}"
        for number, sentence in submission.result["cells"].items()
    ]
    parts += section("Cells that stopped with an error", stopped)
    parts += section("Limits and lost processes", submission.result["incidents"])
    if printed := submission.result["printed"].strip():
        parts.append(f"<details><summary>What the cells printed</summary><pre>{html.escape(printed)}</pre></details>")
    return page(title, f"{earned(submission, lab):.3g} of {possible(lab):g} points.", "\n".join(parts))


def report_on(exercise, result):
    """The lines of an exercise's checks, as in the learner's notebook."""
    passed = sum(each["status"] == "ok" for each in result["outcomes"])
    points = f"{result['points']:.3g} of {exercise.points:g} points"
    heading = f"Exercise {exercise.number} · {exercise.title}: {passed} of {len(result['outcomes'])} checks, {points}"
    lines = [
        (each["status"], f"{each['check']}: {each['message']}".rstrip(": "), each["printed"])
        for each in result["outcomes"]
    ]
    return check.Report(heading, lines)


def page(title, summary, body):
    return PAGE.format(title=html.escape(title), summary=html.escape(summary), body=body)


def section(heading, sentences):
    return (
        [check.Report(heading, [("failed", sentence, "") for sentence in sentences])._repr_html_()] if sentences else []
    )


def first_line(source):
    return next((line.strip() for line in source.splitlines() if line.strip()), "")[:60]


def write_all(submissions, labs, seeds, out):
    (out / "feedback").mkdir(exist_ok=True)
    for submission in submissions:
        (out / "feedback" / f"{submission.name}.html").write_text(feedback(submission, labs), encoding="utf-8")
        if submission.log:
            (out / "log").mkdir(exist_ok=True)
            (out / "log" / f"{submission.name}.txt").write_text(submission.log, encoding="utf-8")
    write_gradebook(submissions, labs, seeds, out / "gradebook.csv")


# The command ----------------------------------------------------------------------------------------------------------


def load_labs(checks, private, only):
    """{name: lab}, with the private checks in, and {name: seed that the private checks set}.

    Raises:
        Refused: there is no such lab, or the checks of one cannot be loaded.
    """
    names = grade_one.lab_names(checks)
    if not names:
        raise Refused("There is no lab: `make labs` builds them.")
    if only and only not in names:
        raise Refused(f"There is no lab {only!r}: choose from {', '.join(names)}.")
    strangers = [path.name for path in sorted(Path(private).glob("*.py")) if path.stem not in names]
    if strangers:
        raise Refused(f"{private} has {', '.join(strangers)}, which is named for no lab: {', '.join(names)}.")
    labs, seeds = {}, {}
    for name in [only] if only else names:
        try:
            labs[name], seeds[name] = grade_one.load_lab(name, checks, private)
        except Exception as error:
            raise Refused(f"The checks of {name} cannot be loaded. {type(error).__name__}: {error}") from error
    return labs, seeds


def user_ids(name):
    """The numbers of the user that learners' code runs as: only the superuser can choose one."""
    if not name:
        return None
    try:
        import pwd

        user = pwd.getpwnam(name)
    except (ImportError, KeyError) as error:
        raise Refused(f"There is no user {name!r} on this machine.") from error
    if os.geteuid() != 0:
        raise Refused("Only the superuser can run learners' code as another user.")
    return user.pw_uid, user.pw_gid


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default="", help="of the submissions")
    parser.add_argument("--seed", type=int, help="of the inputs of the checks; by default a new one")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="submissions side by side (default: a core each)"
    )
    parser.add_argument("--out", type=Path, default=outputs_dir() / "grades", help="folder to write to")
    parser.add_argument("--lab", help="name of the lab that all notebooks answer, where nothing in them says so")
    parser.add_argument("--user", help="run learners' code as this user (for the superuser, on Linux)")
    parser.add_argument("--checks", type=Path, help="folder with the checks of a course's own labs")
    parser.add_argument("--private", type=Path, default=PRIVATE, help="folder with private checks")
    return parser.parse_args(argv)


def prepare(chosen):
    """Look at everything that can be wrong with the call before the first submission runs."""
    if not chosen.folder:  # as `make grade` calls it
        raise Refused("Which folder? Say `make grade SUBMISSIONS=folder`.")
    if not Path(chosen.folder).is_dir():
        raise Refused(f"{chosen.folder} is no folder.")
    if chosen.jobs < 1 or (chosen.seed or 0) < 0:
        raise Refused("--jobs is at least 1, and --seed at least 0.")
    user = user_ids(chosen.user)
    labs, seeds = load_labs(chosen.checks, chosen.private, chosen.lab)
    drawn = secrets.randbits(32) if chosen.seed is None else chosen.seed
    seeds = {name: drawn if seed is None or chosen.seed is not None else seed for name, seed in seeds.items()}
    submissions = find(chosen.folder, labs, chosen.lab)
    if not submissions:
        raise Refused(f"There is no .ipynb in {chosen.folder}, nor one level below it.")
    try:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "gradebook.csv").open("a").close()
    except OSError as error:
        raise Refused(f"{chosen.out} cannot be written to: {error.strerror}.") from error
    return labs, seeds, submissions, user


def main(argv=None, **settings):
    """The command. `settings`: more of `grade_one.make_settings`, for tests, which have less patience."""
    chosen = arguments(argv)
    try:
        labs, seeds, submissions, user = prepare(chosen)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 2
    done = []

    def report(submission):
        done.append(submission)
        lab = labs.get(submission.lab)
        points = f"{earned(submission, lab):.3g} of {possible(lab):g} points" if lab else submission.status
        note = f" ({submission.note})" if submission.note else ""
        print(
            f"[{len(done)}/{len(submissions)}] {submission.student}, {submission.path.name}: {points}{note}", flush=True
        )

    for name in sorted({submission.lab for submission in submissions} - {""}):
        print(f"{name}: the inputs have the seed {seeds[name]}.")
    settings = grade_one.make_settings(chosen.checks, chosen.private, user=user, **settings)
    try:
        Grader(seeds, chosen.jobs, settings).grade_all(submissions, report)
    except KeyboardInterrupt:
        for submission in submissions:
            if submission.status == NOT_GRADED and not submission.note:
                submission.note = "was not graded, since the grading was interrupted"
        write_all(submissions, labs, seeds, chosen.out)
        print(f"Interrupted. What was graded is in {chosen.out / 'gradebook.csv'}.", file=sys.stderr)
        return 130
    write_all(submissions, labs, seeds, chosen.out)
    failed = sum(submission.status == FAILED for submission in submissions)
    graded = sum(submission.status == GRADED for submission in submissions)
    print(f"{graded} of {len(submissions)} graded: {chosen.out / 'gradebook.csv'}")
    if failed:
        print(f"The grader failed on {failed}: see {chosen.out / 'log'}.")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted. Nothing is written.")
