"""Write what grade.py finds: the gradebook, a page of feedback a submission, and logs.

All of it is written as the grading goes, each file whole or not at all: whatever ends the grading, what was graded
before that is there.
"""

import contextlib
import csv
import html
import io
import itertools
import os
import re

from labcheck import check
from labcheck.exercise import Outcome
from labcheck.submissions import FAILED, GRADED

NOT_PLAIN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

NOT_ISOLATED = "no: a submission could change these points"

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


class Gradebook:
    """The files of one grading, in the folder `out`.

    Args:
        submissions: all of them, in the order of the rows.
        labs: {name: lab}.
        seeds: {name of a lab: seed of its inputs}.
        out: the folder.
        isolated: whether each submission runs in a sandbox.
    """

    def __init__(self, submissions, labs, seeds, out, isolated=True):
        self.submissions, self.labs, self.seeds, self.out, self.isolated = submissions, labs, seeds, out, isolated
        self.path, self.trouble = out / "gradebook.csv", ""  # `trouble`: why the file could not be written last time

    def begin(self):
        """Write it with nobody graded yet. Returns the folder that an earlier one was moved to, or None.

        Raises:
            OSError: the folder cannot be written to; an earlier gradebook stays where it is.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        new = self.out / "new.csv"
        write_whole(new, self.table(), bom=True)  # before anything is moved
        try:
            earlier = keep_earlier(self.out)
            new.replace(self.path)
        finally:
            new.unlink(missing_ok=True)
        return earlier

    def add(self, submission):
        """Write what a submission got: its page, and the gradebook."""
        try:
            for folder, suffix, text in self.pages(submission):
                (self.out / folder).mkdir(exist_ok=True)
                write_whole(self.out / folder / f"{submission.name}.{suffix}", text)
            submission.page, submission.trouble = f"feedback/{submission.name}.html", ""
        except Exception as error:  # one page is no reason to lose the points of all
            submission.trouble = getattr(error, "strerror", None) or f"{type(error).__name__} {error}"
        self.write()

    def finish(self):
        """Write what an interruption or a full disk has kept from being written, if it can be now."""
        for submission in self.submissions:
            if submission.trouble or (submission.result and not submission.page):
                self.add(submission)
        self.write()

    def write(self):
        """Write the gradebook; where that fails, the last one stays, and `trouble` says why."""
        try:
            write_whole(self.path, self.table(), bom=True)
            self.trouble = ""
        except OSError as error:
            self.trouble = error.strerror or str(error)

    def table(self):
        """The gradebook as CSV."""
        used = [lab for name, lab in self.labs.items() if any(one.lab == name for one in self.submissions)]
        exercises = [column(lab, exercise) for lab in used for exercise in lab.exercises.values()]
        head = ["student", "lab", "points", "points_possible", *exercises, "status", "note"]
        head += ["isolated", "seed", "file", "feedback"]
        text = io.StringIO()
        table = csv.DictWriter(text, head)
        table.writeheader()
        for submission in self.submissions:
            table.writerow({key: safe(value) for key, value in self.row(submission).items()})
        return text.getvalue()

    def row(self, submission):
        row = {
            "student": submission.student, "lab": submission.lab, "points": 0, "status": submission.status,
            "note": submission.note, "isolated": "yes" if self.isolated else NOT_ISOLATED,
            "seed": self.seeds.get(submission.lab, ""), "file": str(submission.path), "feedback": submission.page,
        }  # fmt: skip
        if lab := self.labs.get(submission.lab):
            row |= {"points": f"{earned(submission, lab):.4g}", "points_possible": f"{possible(lab):g}"}
            row |= {column(lab, each): f"{submission.points(each):.4g}" for each in lab.exercises.values()}
        return row

    def pages(self, submission):
        """What is written of a submission: (folder, suffix, text)."""
        if submission.status == FAILED:
            yield "log", "txt", submission.result["log"]
        yield "feedback", "html", feedback(submission, self.labs)


# Files ----------------------------------------------------------------------------------------------------------------


def write_whole(path, text, bom=False):
    """Write a file whole or not at all. `bom`: with the mark by which spreadsheet programs know UTF-8.

    Raises:
        OSError: it cannot be written; an earlier one is still there.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8-sig" if bom else "utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def keep_earlier(out):
    """Move an earlier grading in a folder into a folder of its own, which is returned; None where there is none."""
    found = [out / name for name in ("gradebook.csv", "feedback", "log") if (out / name).exists()]
    if not found:
        return None
    folder = next(folder for n in itertools.count(1) if not (folder := out / f"earlier_{n}").exists())
    folder.mkdir()
    for path in found:
        path.rename(folder / path.name)
    return folder


def plain(text):
    """A text as one line that can be written: line ends, control characters and broken letters become codes."""
    return NOT_PLAIN.sub(lambda match: ascii(match[0])[1:-1], text)


def safe(value):
    """A text that no spreadsheet takes for a formula or for several lines."""
    if not isinstance(value, str):
        return value
    return f"'{plain(value)}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else plain(value)


# Points ---------------------------------------------------------------------------------------------------------------


def possible(lab):
    """The points of the core; what is optional has columns and is not in the sums."""
    return sum(exercise.points for exercise in lab.exercises.values() if not exercise.optional)


def earned(submission, lab):
    return sum(submission.points(exercise) for exercise in lab.exercises.values() if not exercise.optional)


def column(lab, exercise):
    return f"{lab.name[:5]} {exercise.name}" + (" (optional)" if exercise.optional else "")


# Pages ----------------------------------------------------------------------------------------------------------------


def feedback(submission, labs):
    """A page for the student, in HTML. All that comes from the student is escaped: in `check.Report` or here."""
    lab = labs.get(submission.lab)
    title = plain(f"{submission.student}: {lab.title if lab else submission.path.name}")
    if submission.status != GRADED:
        return page(title, f"{submission.status}: {submission.path.name} {submission.note}.", "")
    parts = []
    for exercise in lab.exercises.values():
        parts.append(report_on(exercise, submission.result["exercises"][exercise.name])._repr_html_())
    cells = {number: source for number, source, _ in submission.cells}
    stopped = [
        f"Code cell {number} (`{first_line(cells[int(number)])}`) {sentence}"
        for number, sentence in submission.result["cells"].items()
    ]
    parts += section("Cells that stopped with an error", stopped)
    parts += section("Limits and lost processes", submission.result["incidents"])
    parts += section("Notes", submission.remarks, "to do")
    if printed := submission.result["printed"].strip():
        parts.append(f"<details><summary>What the cells printed</summary><pre>{html.escape(printed)}</pre></details>")
    return page(title, f"{earned(submission, lab):.3g} of {possible(lab):g} points.", "\n".join(parts))


def report_on(exercise, result):
    """The lines of an exercise's checks, as in the learner's notebook."""
    passed = sum(each["status"] == "ok" for each in result["outcomes"])
    points = f"{result['points']:.3g} of {exercise.points:g} points"
    heading = f"Exercise {exercise.number} · {exercise.title}: {passed} of {len(result['outcomes'])} checks, {points}"
    return check.Report(heading, list(check.lines([Outcome(**each) for each in result["outcomes"]])))


def page(title, summary, body):
    return PAGE.format(title=html.escape(title), summary=html.escape(summary), body=body)


def section(heading, sentences, status="failed"):
    lines = [(status, sentence, "") for sentence in sentences]
    return [check.Report(heading, lines)._repr_html_()] if lines else []


def first_line(source):
    return next((line.strip() for line in source.splitlines() if line.strip()), "")[:60]
