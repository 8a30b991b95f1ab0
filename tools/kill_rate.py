"""How good are the labs' checks? Each mutant of a solution, a small change that a tool made, should be refused by them.

    python tools/kill_rate.py          all labs
    python tools/kill_rate.py 01       one of them

Mutants are made by cosmic-ray (the extra `instructor`) within the solution marks. A survivor is a mutant that all
checks accept: either the checks have a gap, or the mutant is no mistake. Then a cell `survivors="exercise"` of the
source says why, in a line `- ``mutated line``: why`. The exit status is 1 where fewer than 95 % of a lab's mutants are
refused, or a survivor is not explained. The table goes to outputs/tables/kill_rate.csv.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which PYTHONSAFEPATH leaves out
    import fresh

    fresh.start()

import difflib
import re

import pandas as pd
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from tqdm import tqdm

import labs
from labcheck.time_limit import TimeUp
from labkit.ledger import save_table

SEEDS = range(3)  # of the inputs that a mutant is tried on
SECONDS = 2.0  # that a call of a mutant may take; many of them never end
NEED_SETTINGS = {"core/VariableReplacer", "core/VariableInserter"}  # operators that ask which variable
LEAST = 0.95  # of the mutants of a lab that must be refused


def mutants(code):
    """The mutants of what stands between the solution marks: [(changed lines, mutated code)], none twice."""
    inside, found = solution_lines(code), {}
    for name in sorted(set(operator_names()) - NEED_SETTINGS):
        operator = get_operator(name)()
        for occurrence in range(10_000):
            mutant = mutate_code(code, operator, occurrence)
            if mutant is None:
                break
            if (changed := changes(code, mutant)) and changed[0] <= inside:
                found[mutant] = changed[1]
    return [(lines, text) for text, lines in found.items()]


def solution_lines(code):
    """The numbers of the lines between the marks."""
    inside, numbers = False, set()
    for number, line in enumerate(code.splitlines()):
        inside = (inside or labs.BEGIN in line) and labs.END not in line
        numbers |= {number} if inside else set()
    return numbers


def changes(code, mutant):
    """Which lines a mutant changes, and what it makes of them; None where it changes nothing."""
    old, new = code.splitlines(), mutant.splitlines()
    blocks = [block for block in difflib.SequenceMatcher(None, old, new, False).get_opcodes() if block[0] != "equal"]
    numbers = {number for _, i1, i2, _, _ in blocks for number in range(i1, max(i2, i1 + 1))}
    lines = " / ".join(line.strip() for _, _, _, j1, j2 in blocks for line in new[j1:j2])
    return (numbers, lines or "(line removed)") if blocks else None


def survives(lab, exercise, code, namespace):
    """Whether the checks accept a mutant."""
    for seed in SEEDS:
        try:
            found = labs.outcomes(lab, exercise, code, namespace, seed, SECONDS)
        except (Exception, TimeUp, SystemExit):  # the cell itself fails: the learner sees that
            return False
        if any(outcome.status != "ok" for outcome in found):
            return False
    return True


def explanations(source):
    """{(exercise, mutated line): why it is no mistake}."""
    found = {}
    for cell in labs.read(source):
        if name := cell.metadata.get("survivors"):
            for line, why in re.findall(r"^- ``(.+?)``: (.+)$", cell.source, re.MULTILINE):
                found[name, line.strip()] = why
    return found


def measure(source):
    """A row an exercise, and a row a survivor."""
    lab, why, rows, survivors = labs.checks_of(source), explanations(source), [], []
    for answer in labs.answers(source):
        if answer.kind != "solution":
            continue
        namespace, made = labs.given(source, answer.exercise), mutants(answer.code)
        alive = [
            lines
            for lines, code in tqdm(made, desc=answer.exercise, unit="mutant", disable=None, leave=False)
            if survives(lab, answer.exercise, code, namespace)
        ]
        row = {"lab": source.stem, "exercise": answer.exercise, "mutants": len(made), "refused": len(made) - len(alive)}
        rows.append(row | {"rate": row["refused"] / max(1, len(made))})
        survivors += [(answer.exercise, line, why.get((answer.exercise, line), "")) for line in alive]
    return rows, survivors


def main(numbers):
    rows, survivors = [], []
    for source in labs.sources(numbers):
        more_rows, more_survivors = measure(source)
        rows, survivors = rows + more_rows, survivors + more_survivors
    table = pd.DataFrame(rows)
    save_table(table, "kill_rate")
    print(table.to_string(index=False, formatters={"rate": "{:.1%}".format}))
    print(
        f"\n{table.refused.sum()} of {table.mutants.sum()} mutants refused. Survivors:"
        if survivors
        else "\nNone survives."
    )
    for exercise, line, why in survivors:
        print(f"  {exercise}: {line}\n      {why or 'NOT EXPLAINED'}")
    unexplained = sum(not why for _, _, why in survivors)
    of_a_lab = table.groupby("lab")[["refused", "mutants"]].sum()
    return int(unexplained > 0 or (of_a_lab.refused < LEAST * of_a_lab.mutants).any())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
