"""audit.governance, and the audit, p-values and clauses that notebook 09 builds in front of the learner."""

import itertools
import re
import sqlite3

import numpy as np
import pytest
import yaml
from notebook_parts import parts
from scipy import stats

from audit import governance
from labkit.evidence import claim
from labkit.ledger import Ledger

RUNS = [1, 2, 3, 4, 5]
COMPLETE = dict.fromkeys(governance.FIELDS, "said") | {"decision": "hold", "tolerated_error": "0.1"}


@pytest.fixture
def ledger(tmp_path):
    """Five replicates of a system, by group and under two shifts, and a sixth run that belongs to another one."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    session = ledger.session()
    data = {"name": "digits", "sha256": "a" * 64, "n_examples": 1797, "licence": "CC BY 4.0", "datasheet": "data/x.md"}
    dataset = ledger.dataset(data | {"source": "someone"})
    rows = {"dataset_id": dataset, "name": "rows", "seed": 0, "sha256": "b" * 64}
    splits = [ledger.split(rows | {"role": role, "n_examples": n}) for role, n in (("train", 1097), ("test", 500))]
    architecture = ledger.architecture({"name": "MLP", "config": {"sizes": [64, 10]}, "n_parameters": 650})
    run = {"session_id": session, "experiment": "reader", "architecture_id": architecture, "split_id": splits[0]}
    run |= {"objective": "cross_entropy", "optimizer": "adam", "learning_rate": 0.01, "batch_size": 10}
    ledger.record("training_run", [run | {"seed": k, "steps_planned": 1, "replicate": k} for k in range(6)])
    places = [ledger.environment({"name": name, "shift": shift}) for name, shift in PLACES]
    rows = [
        {"run_id": k, "environment_id": places[where], "split_id": splits[1], "metric": "accuracy", "group_name": group,
         "value": value - 0.01 * k, "n_examples": 500}
        for k in (*RUNS, 6)
        for where, group, value in ((0, "", 0.97), (0, "left", 0.99), (0, "right", 0.91), (1, "", 0.8), (2, "", 0.6))
    ]  # fmt: skip
    rows.append(
        {"run_id": 1, "metric": "accuracy", "value": 1.0, "split_id": splits[0]}
    )  # on training data: no evidence
    ledger.record("evaluation", rows)
    ledger.record("compute", [{"run_id": k, "device": "cpu", "seconds": 0.5} for k in (*RUNS, 6)])
    return ledger


PLACES = [("held-out", ""), ("another scanner", "noise"), ("PGD, eps 0.1", "attack: pixel by pixel")]


def spoil(text, name, new):
    return re.sub(rf"- {re.escape(name)}: [^\n]*", f"- {name}: {new}", text)


@pytest.mark.parametrize("ids", [[], [4], [1, 2, 3], [9, 1, 2, 7, 3], [5, 5, 6]])
def test_spans_name_each_id_once(ids):
    text = governance.spans(ids)
    ends = [[int(end) for end in part.split("-")] for part in text.split(", ")] if text != "none" else []
    assert sorted(itertools.chain(*(range(e[0], e[-1] + 1) for e in ends))) == sorted(set(ids))


def test_a_cited_number_is_what_sqlite_computes(ledger):
    text = governance.cited(ledger, "mean", "evaluation.value", [1, 6, 11])
    (mean,) = (
        sqlite3.connect(ledger.path).execute("SELECT AVG(value) FROM evaluation WHERE id IN (1, 6, 11)").fetchone()
    )
    assert text == f"{mean:.4g} [mean evaluation.value 1, 6, 11]"
    assert governance.number(text) == float(f"{mean:.4g}")
    assert governance.cited(ledger, "count", "incident.id", []) == "0 [count incident.id none]"
    with pytest.raises(ValueError, match="cite rows that are there"):
        governance.cited(ledger, "mean", "evaluation.value", [1, 999])


def test_facts_are_means_over_all_replicates_on_test_data(ledger):
    found = governance.facts(ledger, RUNS)
    values = {name: governance.number(text) for name, text in found.items()}
    assert values["accuracy on test data"] == 0.94
    assert values["accuracy of the worst group (right)"] == 0.88
    assert values["accuracy under the worst shift (attack: pixel by pixel)"] == 0.57
    assert (values["replicates"], values["parameters"], values["training examples"]) == (5, 650, 1097)
    assert values["seconds of training"] == 2.5
    assert "accuracy of the worst group (right)" not in governance.facts(Ledger(ledger.path.with_name("none")), RUNS)


def test_an_honest_complete_memo_is_accepted(ledger):
    assert governance.refusals(ledger, governance.memo("reader", governance.facts(ledger, RUNS), COMPLETE), RUNS) == []


@pytest.mark.parametrize("field", governance.FIELDS)
@pytest.mark.parametrize("nothing", ["", "   ", None])
def test_each_empty_field_is_named(ledger, field, nothing):
    text = governance.memo("reader", governance.facts(ledger, RUNS), COMPLETE | {field: nothing})
    (sentence,) = governance.refusals(ledger, text, RUNS)
    assert sentence == f"{field}: empty. Write {governance.FIELDS[field]}."


def test_each_number_that_disagrees_with_its_rows_is_named(ledger):
    found = governance.facts(ledger, RUNS)
    honest = governance.memo("reader", found, COMPLETE)
    for name, text in found.items():
        figure, rows = text.split(" [")
        (sentence,) = governance.refusals(ledger, spoil(honest, name, f"{figure}1 [{rows}"), RUNS)
        assert sentence.startswith(f"{name}: the memo says {figure}1, its rows say {figure}")
        (sentence,) = governance.refusals(ledger, spoil(honest, name, figure), RUNS)
        assert sentence == f"{name}: the number names no row."
        (sentence,) = governance.refusals(ledger, spoil(honest, name, text[:-1] + ", 7777]"), RUNS)
        assert "other rows" in sentence
        (sentence,) = governance.refusals(ledger, honest.replace(f"- {name}: {text}\n", ""), RUNS)
        assert sentence == f"{name}: left out. The record has it."
    (sentence,) = governance.refusals(ledger, honest.replace("\n## J", "- in our brochure: 1\n\n## J"), RUNS)
    assert sentence == "in our brochure: the record has no such fact."


def test_a_memo_grows_stale(ledger):
    text = governance.memo("reader", governance.facts(ledger, RUNS), COMPLETE)
    shifted = {"run_id": 1, "environment_id": 3, "metric": "accuracy", "group_name": "", "value": 0.1}
    ledger.record("evaluation", shifted)
    assert governance.refusals(ledger, text, RUNS)


@pytest.mark.parametrize(
    ("judgement", "begins"),
    [
        ({"decision": "maybe"}, "decision: 'maybe'"),
        ({"decision": "ship"}, "decision: shipping without limits contradicts"),
        ({"tolerated_error": "5 %"}, "tolerated_error: '5 %'"),
        ({"tolerated_error": "1.5"}, "tolerated_error: '1.5'"),
    ],
)
def test_judgements_that_cannot_be_are_refused(ledger, judgement, begins):
    text = governance.memo("reader", governance.facts(ledger, RUNS), COMPLETE | judgement)
    (sentence,) = governance.refusals(ledger, text, RUNS)
    assert sentence.startswith(begins)


@pytest.mark.parametrize(
    "judgement",
    [
        {"decision": "ship", "tolerated_error": 0.43},
        {"decision": "ship", "tolerated_error": "1"},
        {"decision": "ship with limits", "tolerated_error": 0.05},
        {"purpose": "several\n- lines\nof text: with a colon"},
    ],
)
def test_judgements_that_can_be_are_accepted(ledger, judgement):
    text = governance.memo("reader", governance.facts(ledger, RUNS), COMPLETE | judgement)
    assert governance.refusals(ledger, text, RUNS) == []


def test_the_cards_header_is_yaml_as_the_hub_reads_it(ledger):
    found = governance.facts(ledger, RUNS)
    card = governance.model_card(ledger, 'a "reader": of digits', RUNS, found, dict.fromkeys(governance.FIELDS, ""))
    _, header, body = card.split("---\n", 2)
    header = yaml.safe_load(header)
    assert header["datasets"] == ["digits"]
    (model,) = header["model-index"]
    (result,) = model["results"]
    assert model["name"] == 'a "reader": of digits'
    assert result["task"]["type"]
    assert (result["dataset"]["name"], result["dataset"]["type"]) == ("digits", "digits")
    assert [metric["value"] for metric in result["metrics"]] == [0.94, 0.88, 0.57]
    assert all(metric["type"] == "accuracy" for metric in result["metrics"])
    assert header["license"] == "other"
    assert "draft" in header["tags"]
    assert all(f"- {name}: {text}" in body for name, text in found.items())


BREAKS = ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("end", BREAKS)
def test_names_of_two_lines_are_written_and_read_on_one(ledger, end):
    assert len(f"a{end}b".splitlines()) == 2
    rows = {"metric": "accuracy", "split_id": 2, "value": 0.5}
    ledger.record("evaluation", [rows | {"run_id": k, "group_name": f"North{end}- of: [the]{end}"} for k in RUNS])
    dataset = ledger.dataset({"name": f"two{end}lines", "sha256": "c" * 64, "n_examples": 9, "licence": f"CC{end}BY"})
    split = ledger.split({"dataset_id": dataset, "role": "train", "n_examples": 9, "sha256": "c" * 64})
    ledger.update("training_run", 1, split_id=split)
    found = governance.facts(ledger, RUNS)
    assert "accuracy of the worst group (North - of: [the])" in found
    said = COMPLETE | {"purpose": f"one{end}## Judgement{end}- decision: ship"}
    text = governance.memo(f"a{end}# reader", found, said)
    assert text.startswith("# Release memo: a # reader\n")
    assert len(text.split("\n")) == len(text.splitlines()) + 1 == 8 + len(found) + len(said)
    assert governance.refusals(ledger, text, RUNS) == []
    card = governance.model_card(ledger, f"a{end}# reader", RUNS, found, said)
    _, header, body = card.split("---\n", 2)
    assert len(card.split("\n")) == len(card.splitlines()) + 1
    header = yaml.safe_load(header)
    assert header["datasets"] == ["digits", "two lines"]
    assert header["model-index"][0]["name"] == "a # reader"
    assert "\n# a # reader\n" in body
    assert "- two lines, CC BY\n" in body
    assert "- licence: CC BY\n" in governance.datasheet(ledger, f"two{end}lines")
    assert governance.write("card.md", card, signed=False).read_text(encoding="utf-8").count("DRAFT") == 1


@pytest.mark.parametrize(
    "name", ["\U0001f642", "\U0001f469\u200d\U0001f52c \U0001f1e8\U0001f1ed", "é\u00a0\x7f\x9f", "\ufeff Θ \\ "]
)
def test_the_header_holds_every_letter(ledger, name):
    text = governance.model_card(ledger, name, RUNS, {}, {"decision": f"x{name}"})
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["tags"][1] == f"x{name}"
    assert header["model-index"][0]["name"] == " ".join(name.split())


def test_a_data_set_that_is_not_there_has_no_sheet(ledger):
    with pytest.raises(ValueError, match="The ledger has no data set 'letters': train on it first"):
        governance.datasheet(ledger, "letters")


def test_the_register_says_what_was_tried_and_what_not(ledger):
    register = governance.risk_register(ledger, RUNS).set_index("red_team_tries")
    assert register.tried_in["the worst group"] == "evaluation 2-3, 7-8, 12-13, 17-18, 22-23"
    assert register.tried_in["small attacks on the input"] == "evaluation 5, 10, 15, 20, 25"
    assert (register.tried_in == "NOT TRIED").sum() == 5
    assert (register[["likelihood", "severity", "owner"]] == "").all(axis=None)


def test_a_datasheet_tells_terms_versions_and_uses(ledger):
    text = governance.datasheet(ledger, "digits")
    for part in (
        "# Datasheet: digits",
        "data/x.md",
        "CC BY 4.0",
        "a" * 64,
        "as collected",
        "6 [count training_run.id 1-6]",
    ):
        assert part in text


def test_drafts_say_so_below_their_title():
    card = "---\ntags: []\n---\n\n# A card\n\nText.\n"
    draft = governance.write("model_cards/a.md", card, signed=False)
    assert draft.read_text(encoding="utf-8") == "---\ntags: []\n---\n\n# A card\n\n**DRAFT - NOT SIGNED**\n\nText.\n"
    assert governance.write("model_cards/a.md", card, signed=True).read_text(encoding="utf-8") == card
    assert [path.name for path in draft.parent.iterdir()] == ["a.md"]


# What the notebook builds -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def notebook():
    names = [
        "p_value",
        "holm",
        "closed_bonferroni",
        "RUNS",
        "AREAS",
        "ITEMS",
        "NO_TABLE",
        "audit",
        "coverage",
        "examples_needed",
    ]
    return parts("09", *names)


def random_claims(rng):
    """Keyword arguments of claims on every scale and side, near their thresholds."""
    for n, kind in itertools.product((5, 9), ("linear", "log", "logit", "rates", "yes/no")):
        x = rng.normal(0.3, 0.5, n)
        if kind == "linear":
            yield x, [{"at_least": 0.0}, {"at_most": 0.4}, {"within": (-0.3, 0.9)}], {}
        elif kind == "log":
            yield np.exp(x), [{"at_least": 1.1}, {"at_most": 2.0}, {"within": (0.8, 2.5)}], {"scale": "log"}
        elif kind == "logit":
            yield (
                1 / (1 + np.exp(-x)),
                [{"at_least": 0.5}, {"at_most": 0.7}, {"within": (0.4, 0.8)}],
                {"scale": "logit"},
            )
        elif kind == "rates":
            rates = rng.binomial(20, 0.8, n) / 20
            yield rates, [{"at_least": 0.7}, {"at_most": 0.9}], {"scale": "logit", "trials": 20}
        else:
            yield rng.random(n) < 0.8, [{"at_least": 0.5}, {"at_most": 0.9}, {"within": (0.3, 0.99)}], {}


def test_p_values_agree_with_the_verdicts_of_claim(notebook, monkeypatch):
    monkeypatch.setenv("LABKIT_CLAIMS", "record")
    rng, verdicts = np.random.default_rng(0), []
    for _ in range(15):
        for values, thresholds, options in random_claims(rng):
            for threshold in thresholds:
                claim("x", values, **threshold, **options, no_control="a test", source="a test")
    for _, row in Ledger().query("SELECT * FROM claim").iterrows():
        assert (notebook["p_value"](row) <= 0.05) == (row.verdict == "holds"), row
        verdicts.append(row.verdict)
    assert 0.2 < np.mean([verdict == "holds" for verdict in verdicts]) < 0.8  # both happen


def test_p_values_agree_with_scipys_tests(notebook, monkeypatch):
    monkeypatch.setenv("LABKIT_CLAIMS", "record")
    x, yes = np.random.default_rng(1).normal(1, 1, 7), np.array([True] * 6 + [False] * 2)
    rest = {"no_control": "a test", "source": "a test"}
    claim("t", x, at_least=0.5, **rest)
    claim("t", np.exp(x), at_most=np.exp(1.5), scale="log", **rest)
    claim("b", yes, at_least=0.4, **rest)
    claim("b", yes, at_most=0.9, **rest)
    claim("equal", np.ones(5), at_least=0.5, **rest)
    claim("equal", np.ones(5), at_least=1.5, **rest)
    expected = [
        stats.ttest_1samp(x, 0.5, alternative="greater").pvalue,
        stats.ttest_1samp(x, 1.5, alternative="less").pvalue,
        stats.binomtest(6, 8, 0.4, alternative="greater").pvalue,
        stats.binomtest(6, 8, 0.9, alternative="less").pvalue,
        0.0,
        1.0,
    ]
    found = [notebook["p_value"](row) for _, row in Ledger().query("SELECT * FROM claim ORDER BY id").iterrows()]
    assert np.allclose(found, expected)


def test_holm_steps_down_as_its_paper_says(notebook):
    """Holm 1979: test the smallest at alpha/m, the next at alpha/(m-1), and stop at the first that is not rejected."""
    rng = np.random.default_rng(2)
    for m in (1, 2, 5, 30):
        for _ in range(50):
            p = rng.choice([rng.random(m) ** 4, np.round(rng.random(m), 1)])
            alpha, rejected = rng.uniform(0.01, 0.3), np.zeros(m, dtype=bool)
            for step, i in enumerate(np.argsort(p)):
                if p[i] > alpha / (m - step):
                    break
                rejected[i] = True
            assert ((notebook["holm"](p) <= alpha) == rejected).all()
    table = rng.random((3, 4, 6))
    assert np.allclose(notebook["holm"](table)[1, 2], notebook["holm"](table[1, 2]))


def test_the_audit_of_the_made_ledger(notebook, ledger):
    found = notebook["audit"](ledger.query)
    have = {item for item in notebook["ITEMS"] if found[item].all()}
    record = {
        "datasheet",
        "licence",
        "lineage",
        "as collected",
        "architecture",
        "objective",
        "compute",
        "code of today",
    }
    assert have == record | {"held-out", "by group", "under shift"}
    assert not found[sorted(set(notebook["ITEMS"]) - have)].any(axis=None)
    assert notebook["coverage"](found).round(2).to_dict() == {
        "Data provenance": 0.8,
        "Training record": 0.5,
        "Evaluation coverage": 0.75,
        "Infrastructure accountability": 0.5,
        "Contestability": 0,
        "Post-deployment monitoring": 0,
    }


def test_every_clause_can_be_asked_and_an_empty_ledger_answers_none(notebook, tmp_path):
    space = parts("09", "HOLDS", "DATA", "IN", "ATTACKS", "INCIDENTS", "NIST", "AI_ACT")
    empty, asked = Ledger(tmp_path / "none.sqlite"), 0
    for clause, _, where, rule in space["NIST"] + space["AI_ACT"]:
        assert re.fullmatch(r"(GOVERN|MAP|MEASURE|MANAGE) \d\.\d+|Article (9|1[0-5])", clause)
        if where == "field":
            assert rule in governance.FIELDS
        else:
            sql = f"SELECT id FROM {where} WHERE {rule}".format(r="(SELECT value FROM json_each(:runs))")
            assert empty.query(sql, {"runs": RUNS}).empty
            asked += 1
    assert asked > 15
    for function in ("GOVERN", "MAP", "MEASURE", "MANAGE"):
        assert any(clause.startswith(function) for clause, *_ in space["NIST"])
    assert {clause for clause, *_ in space["AI_ACT"]} == {f"Article {n}" for n in range(9, 16)}


def test_the_rule_of_three(notebook):
    for decisions, errors in ((1000, 1), (1e5, 20)):
        n = notebook["examples_needed"](decisions, errors)
        assert (
            stats.binom.pmf(0, int(np.ceil(n)), errors / decisions)
            <= 0.05
            < stats.binom.pmf(0, int(n), errors / decisions)
        )
