"""Documents for a release decision, written from the ledger: facts that name their rows, the memo and the reasons to
refuse it, model card, datasheet, risk register. Built in notebook 09.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from labkit.ledger import Ledger, one_line, outputs_dir

FIELDS = {  # what only a person can write, and what is asked
    "purpose": "what it is for, and who may use it",
    "not_for": "what it must not be used for, and how it will be misused",
    "affected": "who bears its errors, also those who never asked for it",
    "data_fit": "why these data are right, or not, for this purpose",
    "tolerated_error": "the error, from 0 to 1, that you accept for the worst group and under the worst shift",
    "residual_risk": "what can still go wrong, and why that is acceptable or not",
    "oversight": "who can stop it, and how they would notice that they must",
    "monitoring": "what is watched after release, and which alarm stops it",
    "contest": "how a person who is harmed can challenge an answer: where, who decides, by when",
    "decision": "ship, ship with limits, or hold",
    "reasons": "why; with the limits, if there are any",
    "reviewer": "your name",
}
DECISIONS = ("ship", "ship with limits", "hold")
RED_TEAM = [  # what is tried; the risk behind it; a remedy; how an evaluation that tried it is recognised, in SQL
    ("another place or time", "accuracy falls where conditions differ", "train on more conditions; watch the inputs",
     "shift <> ''"),
    ("the worst group", "errors fall on a few", "collect more of them; report by group", "group_name <> ''"),
    ("confident errors", "nobody doubts a confident answer", "recalibrate; pass unsure cases to people",
     "metric LIKE '%confidence%' OR metric LIKE '%calibration%'"),
    ("small attacks on the input", "someone else chooses the answer", "adversarial training; guard the channel",
     "place || shift LIKE '%advers%' OR place || shift LIKE '%PGD%' OR place || shift LIKE '%FGSM%'"),
    ("inputs that are none, such as letters", "an answer where there is none", "refuse what is far from training",
     "place LIKE '%none of the classes%' OR place LIKE '%out of%distribution%'"),
    ("who was in the training data", "membership can be read off the loss", "memorise less; differential privacy",
     "metric LIKE '%member%'"),
    ("its own answers as its next data", "errors teach themselves", "keep a random slice that people label",
     "place || shift LIKE '%feedback%'"),
    ("a clerk who accepts everything", "oversight on paper only", "measure how often people overrule it", "0"),
]  # fmt: skip

_HOW = {"mean": np.mean, "sum": np.sum, "count": np.size}
_EVALUATIONS = """
SELECT evaluation.id, metric, group_name, coalesce(environment.name, '') || coalesce(conditions, '') AS place,
       coalesce(shift, '') AS shift, evaluation.value
FROM evaluation LEFT JOIN environment ON environment.id = environment_id LEFT JOIN split ON split.id = split_id
WHERE run_id IN (SELECT value FROM json_each(?)) AND coalesce(role, 'test') = 'test' AND evaluation.value IS NOT NULL
"""


def spans(ids: Iterable[int]) -> str:
    """Row ids in short: [1, 2, 3, 7] as "1-3, 7"; "none" where there is none."""
    ids = np.array(sorted(set(ids)), dtype=int)
    parts = np.split(ids, np.flatnonzero(np.diff(ids) > 1) + 1) if len(ids) else []
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts) or "none"


def cited(ledger: Ledger, how: str, column: str, ids: Iterable[int]) -> str:
    """A number from rows, with those rows: "0.9712 [mean evaluation.value 3-5]".

    `how` is "mean", "sum" or "count"; `column` is table.column. ValueError where the ledger lacks one of the rows.
    """
    ids = sorted({int(i) for i in ids})
    table, name = column.split(".")
    sql = f'SELECT "{name}" AS value FROM {table} WHERE id IN (SELECT value FROM json_each(?))'
    values = ledger.query(sql, [ids]).value.to_numpy()
    if len(values) != len(ids) or (how != "count" and not len(ids)):
        raise ValueError(f"{table} has {len(values)} of the {len(ids)} rows {spans(ids)}: cite rows that are there.")
    return f"{_HOW[how](values):.4g} [{how} {column} {spans(ids)}]"


def number(text: str) -> float:
    """The number in a text of `cited`."""
    return float(text.split(" [")[0])


def facts(ledger: Ledger, runs: Iterable[int]) -> dict[str, str]:
    """What the ledger says of a system, given the training runs of its replicates: name -> number with its rows.

    Means over all replicates, never the best one. Accuracies are on test data; the worst group (without a shift, where
    that was measured) and the worst shift are those with the lowest mean. What has no row is left out.
    """
    runs = [int(run) for run in runs]
    rows = ledger.query(_EVALUATIONS, [runs])
    rows = rows[rows.metric == "accuracy"]
    whole, groups = rows[rows.group_name == ""], rows[rows.group_name != ""]
    groups = groups[groups["shift"] == ""] if (groups["shift"] == "").any() else groups
    found = {}

    def add(name, how, column, ids):
        if how == "count" or len(ids):
            found[name] = cited(ledger, how, column, ids)

    add("accuracy on test data", "mean", "evaluation.value", whole[whole["shift"] == ""].id)
    for what, key, part in (("of the worst group", "group_name", groups), ("under the worst shift", "shift", whole)):
        means = part[part[key] != ""].groupby(key).value.mean()
        if len(means):
            worst = means.idxmin()
            add(f"accuracy {what} ({one_line(worst)})", "mean", "evaluation.value", part[part[key] == worst].id)

    def of_runs(table, condition="run_id IN {runs}", column="id"):
        sql = f"SELECT DISTINCT {column} AS id FROM {table} WHERE " + condition
        return ledger.query(sql.format(runs="(SELECT value FROM json_each(?))"), [runs]).id

    add("replicates", "count", "training_run.id", of_runs("training_run", "id IN {runs}"))
    add("parameters", "mean", "architecture.n_parameters", of_runs("training_run", "id IN {runs}", "architecture_id"))
    add("training examples", "mean", "split.n_examples", of_runs("training_run", "id IN {runs}", "split_id"))
    add("seconds of training", "sum", "compute.seconds", of_runs("compute"))
    add("claims that rest on it", "count", "claim.id", of_runs("claim_run", column="claim_id"))
    add("alarms in use", "count", "monitoring_event.id", of_runs("monitoring_event", "alarm AND run_id IN {runs}"))
    return found


def memo(system: str, found: dict[str, str], judgement: dict) -> str:
    """The release memo in Markdown: the facts, and a person's judgement field by field (`FIELDS`)."""
    lines = [f"# Release memo: {system}", "", "## Evidence", "", *(f"- {name}: {text}" for name, text in found.items())]
    lines += ["", "## Judgement", "", *(f"- {field}: {_said(judgement, field)}" for field in FIELDS), ""]
    return _page(lines)


def refusals(ledger: Ledger, text: str, runs: Iterable[int]) -> list[str]:
    """Why a memo is refused, one sentence for each field; empty where it may be signed.

    Its evidence must be what `facts` finds now, each number with the same rows. No field of judgement may be empty, and
    the decision must not contradict the error that the memo tolerates.
    """
    evidence, _, judgement = text.partition("\n## Judgement")
    said, given = _bullets(evidence, str.rpartition), _bullets(judgement, str.partition)
    true, problems = facts(ledger, runs), []
    for name, value in true.items():
        figure, _, rows = said.get(name, "").partition(" [")
        if not figure:
            problems.append(f"{name}: left out. The record has it.")
        elif not rows:
            problems.append(f"{name}: the number names no row.")
        elif rows != value.partition(" [")[2]:
            problems.append(f"{name}: it rests on other rows than the record has: {value.partition(' [')[2][:-1]}.")
        elif figure != value.partition(" [")[0]:
            problems.append(f"{name}: the memo says {figure}, its rows say {value.partition(' [')[0]}.")
    problems += [f"{name}: the record has no such fact." for name in said if name not in true]
    problems += [f"{field}: empty. Write {asked}." for field, asked in FIELDS.items() if not given.get(field)]
    decision, tolerated = given.get("decision", ""), given.get("tolerated_error", "")
    if decision and decision not in DECISIONS:
        problems.append(f"decision: {decision!r} is none of: {', '.join(DECISIONS)}.")
    if tolerated and not re.fullmatch(r"0?\.\d+|[01](\.0*)?", tolerated):
        problems.append(f"tolerated_error: {tolerated!r} is no error from 0 to 1.")
    elif tolerated and decision == "ship":
        worst = 1 - min([number(value) for name, value in true.items() if name.startswith("accuracy")], default=0)
        if worst > float(tolerated) + 1e-9:
            problems.append("decision: shipping without limits contradicts tolerated_error: the worst error is larger.")
    return problems


def risk_register(ledger: Ledger, runs: Iterable[int]) -> pd.DataFrame:
    """One row a risk: what a red team tries, which evaluations of these runs did, a remedy, and columns for people."""
    rows = []
    for attack, risk, remedy, rule in RED_TEAM:
        ids = ledger.query(f"SELECT id FROM ({_EVALUATIONS}) WHERE {rule}", [[int(run) for run in runs]]).id
        tried = f"evaluation {spans(ids)}" if len(ids) else "NOT TRIED"
        rows.append({"risk": risk, "red_team_tries": attack, "tried_in": tried, "remedy": remedy})
    return pd.DataFrame(rows).assign(likelihood="", severity="", owner="")


def model_card(ledger: Ledger, system: str, runs: Iterable[int], found: dict[str, str], judgement: dict) -> str:
    """A model card (Mitchell et al. 2019) in Markdown, with the YAML header that Hugging Face's hub reads.

    Its values are JSON, which is YAML too; names are on one line. The licence stays undecided: that of the data does
    not settle it.
    """
    used = ledger.query(
        "SELECT DISTINCT dataset.name, licence, dataset.sha256 FROM training_run JOIN split ON split.id = split_id "
        "JOIN dataset ON dataset.id = dataset_id WHERE training_run.id IN (SELECT value FROM json_each(?)) "
        "ORDER BY dataset.id",
        [[int(run) for run in runs]],
    )
    scores = [{"type": "accuracy", "name": name, "value": number(found[name])} for name in found if "accuracy" in name]
    system, names = one_line(system), [one_line(name) for name in used.name]
    name, sha256 = (names[0], used.sha256.iloc[0]) if names else ("unknown", "unknown")
    result = {"task": {"type": "other", "name": system}, "dataset": {"type": name, "name": name, "revision": sha256}}
    header = {
        "license": "other",
        "license_name": "not-decided",
        "library_name": "pytorch",
        "tags": ["deep-learning-systems", judgement.get("decision") or "draft"],
        "datasets": sorted(set(names)),
        "metrics": ["accuracy"],
        "model-index": [{"name": system, "results": [result | {"metrics": scores}]}],
    }
    lines = ["---", *(f"{key}: {_yaml(value)}" for key, value in header.items()), "---", "", f"# {system}", ""]
    for title, field in (("Intended use", "purpose"), ("Out of scope", "not_for"), ("Who is affected", "affected")):
        lines += [f"## {title}", "", _said(judgement, field) or "(empty)", ""]
    lines += ["## Evaluation and training", "", *(f"- {name}: {text}" for name, text in found.items()), ""]
    sets = dict.fromkeys(zip(used.name, used.licence, strict=True))
    lines += ["## Training data", "", *(f"- {name}, {licence or 'licence unknown'}" for name, licence in sets)]
    return _page([*lines, "", "## Limits", "", _said(judgement, "residual_risk") or "(empty)", ""])


def datasheet(ledger: Ledger, name: str) -> str:
    """What the ledger knows of a data set, in Markdown. Its page in `data/` answers the questions of Gebru et al."""
    sets = ledger.query("SELECT * FROM dataset WHERE name = ? ORDER BY id", [name])
    uses = ledger.query(
        "SELECT transform, COUNT(*) AS runs, group_concat(DISTINCT notebook) AS notebooks, "
        "json_group_array(training_run.id) AS ids FROM training_run JOIN session ON session.id = session_id "
        "JOIN split ON split.id = split_id JOIN dataset ON dataset.id = dataset_id "
        "WHERE dataset.name = ? GROUP BY transform ORDER BY runs DESC",
        [name],
    )
    if sets.empty:
        raise ValueError(f"The ledger has no data set {name!r}: train on it first.")
    first = sets.iloc[0]
    lines = [f"# Datasheet: {name}", "", f"Questions and answers: {first.datasheet or '(no page)'}.", ""]
    lines += [f"- source: {first.source or '(unknown)'}", f"- licence: {first.licence or '(unknown)'}"]
    lines += [f"- versions: {cited(ledger, 'count', 'dataset.id', sets.id)}; fingerprint of the first: {first.sha256}"]
    lines += [
        f"- examples in a version: {cited(ledger, 'mean', 'dataset.n_examples', sets.id)}",
        "",
        "## Trained on it",
        "",
    ]
    for use in uses.itertuples():
        count = cited(ledger, "count", "training_run.id", json.loads(use.ids))
        lines.append(f"- {use.transform or 'as collected'}, {use.notebooks}: {count}")
    return _page([*lines, ""])


def write(place: str, text: str, *, signed: bool) -> Path:
    """Write a document to `place` in the outputs folder and return its path; a draft says so below its title."""
    header, title, body = re.match(r"(?s)(---\n.*?\n---\n\n)?(# [^\n]*\n)(.*)", text).groups()
    path = outputs_dir() / place
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    mark = "" if signed else "\n**DRAFT - NOT SIGNED**\n"
    partial.write_text((header or "") + title + mark + body, encoding="utf-8", errors="backslashreplace")
    partial.replace(path)
    return path


def _page(lines) -> str:
    """The lines as a text. A name from the ledger may hold a break of a line: here it would be a line of its own."""
    return "\n".join(map(one_line, lines))


def _said(judgement: dict, field: str) -> str:
    """A judgement as one line of the memo."""
    text = judgement.get(field)
    return "" if text is None else one_line(text)


def _yaml(value) -> str:
    """JSON as YAML reads it: an emoji as it is, for JSON would make it two escapes, which YAML does not join."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() or c > "\uffff" else f"\\u{ord(c):04x}" for c in text)


def _bullets(text: str, cut) -> dict[str, str]:
    """The lines "- name: value" of a text; a name may hold ": " where a number follows (cut = str.rpartition)."""
    lines = (line[2:] + " " for line in text.splitlines() if line.startswith("- "))
    return {name: value.strip() for name, _, value in (cut(line, ": ") for line in lines)}
