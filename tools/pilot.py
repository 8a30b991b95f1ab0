"""The pilot: each claim on replicates that no notebook uses. How far is the threshold, how often would it miss?

    python tools/pilot.py                      all notebooks and labs, 20 replicates
    python tools/pilot.py --replicates 40 00   one of them

Thresholds are chosen by the pilot. `tools/claims.py` measures them, once chosen, on replicates that nobody has looked
at, by the same means: a notebook runs whole, with other values for two of its parameters (BASE_SEED, REPLICATES), and
its claims are recorded instead of enforced. Notebooks run side by side, LABKIT_JOBS at a time (by default one a core),
each on one thread. The table is in data/results/; it grows notebook by notebook, so an interrupted run goes on where it
stopped, and a notebook whose code and labkit have not changed is not run again. The notebooks as they ran are in
outputs/pilot/: look at the figures there, before you see those of the replicates that a notebook is published with.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which PYTHONSAFEPATH leaves out
    import fresh

    fresh.start()

import argparse
import datetime
import hashlib
import json
import platform
import tempfile
from pathlib import Path
from typing import NamedTuple

import curriculum
import joblib
import jupytext
import nbformat
import numpy as np
import pandas as pd
from scipy import stats
from tqdm import tqdm

import labs
from labkit.ledger import Ledger, outputs_dir

TRANSFORMS = {"linear": np.asarray, "yes/no": np.asarray, "log": np.log, "logit": lambda p: np.log(p / (1 - p))}


SEVERE = 0.4  # of the effect: what a claim must demand


def sources(numbers=()):
    """The sources of notebooks, then of labs; of those numbers, such as "00" and "lab01", where any are given."""
    of_labs = [number for number in numbers if number.startswith("lab")]
    of_notebooks = [number for number in numbers if not number.startswith("lab")]
    notebooks = curriculum.sources(of_notebooks) if of_notebooks or not numbers else []
    return notebooks + (labs.sources([name[3:] for name in of_labs]) if of_labs or not numbers else [])


def code_sha256(source):
    """The hash of the code cells that run: what a measurement depends on, whatever the text around it says."""
    cells = [cell for cell in jupytext.read(source).cells if cell.cell_type == "code"]
    code = [cell.source for cell in cells if not labs.NOT_SHOWN & cell.metadata.keys()]
    return hashlib.sha256("\n\n".join(code).encode()).hexdigest()


def parameter_value(notebook, name):
    """The value that the notebook's cell tagged `parameters` gives to a name."""
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    values = {}
    exec(cell.source, values)
    return values[name]


def with_parameters(notebook, **parameters):
    """The notebook with a cell after its `parameters` cell that sets other values (papermill's convention)."""
    position = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    override = nbformat.v4.new_code_cell("\n".join(f"{name} = {value!r}" for name, value in parameters.items()))
    notebook.cells.insert(position + 1, override)
    return notebook


def on_scale(claim, column):
    """The claim's values, or its control's, on the scale on which it is tested, as `claim` puts them there."""
    values, trials = np.array(json.loads(claim[column]), dtype=float), claim["trials"]
    return TRANSFORMS[claim["scale"]]((values * trials + 0.5) / (trials + 1) if pd.notna(trials) else values)


def limits(claim):
    """The lowest and the highest mean that the threshold allows, on the claim's scale."""
    low = claim["within_low"] if pd.isna(claim["at_least"]) else claim["at_least"]
    high = claim["within_high"] if pd.isna(claim["at_most"]) else claim["at_most"]
    transform = TRANSFORMS[claim["scale"]]
    return transform(low) if pd.notna(low) else -np.inf, transform(high) if pd.notna(high) else np.inf


def distances(values, low, high):
    """From the mean up from the lower limit and down from the upper one, in standard deviations; negative beyond."""
    spread, gaps = values.std(ddof=1), np.array([values.mean() - low, high - values.mean()])
    return gaps / spread if spread > 0 else np.copysign(np.inf, gaps)


def failure_rate(distance, n):
    """How often a one-sided 95 % t bound from n values misses a threshold `distance` standard deviations away."""
    if not np.isfinite(distance):
        return 0.0 if distance > 0 else 1.0
    distance = min(distance, 15)  # scipy has NaN far out, where the rate is below 1e-100
    return float(stats.nct.cdf(stats.t.ppf(0.95, n - 1), n - 1, distance * np.sqrt(n)))


def yes_no_failure_rate(proportion, n, low, high):
    """How often the exact 95 % bounds from n yes/no outcomes of this true proportion leave low to high."""
    rate = 0.0
    for yes in range(n + 1):
        bounds = stats.binomtest(yes, n).proportion_ci(0.90, "exact")  # its ends are the one-sided 95 % bounds
        if not (bounds.low >= low and bounds.high <= high):
            rate += float(stats.binom.pmf(yes, n, proportion))
    return rate


def empty_rate(control, n, low, high, yes_no):
    """How often the mean of n such values of the control meets the threshold, so that the claim is empty."""
    if yes_no:
        meets = [yes for yes in range(n + 1) if low <= yes / n <= high]
        return float(stats.binom.pmf(meets, n, control.mean()).sum())
    below, above = distances(control, low, high) * np.sqrt(n)
    return float(stats.norm.cdf(above) - stats.norm.cdf(-below))


def severity(mean, control, low, high):
    """How much of the effect a threshold demands: (threshold - control) / (mean - control), on the claim's scale.

    1 would be all that was measured, 0 nothing: the control meets the threshold.
    """
    limit = low if control < low else high
    return 0.0 if low <= control <= high else float((limit - control) / (mean - control))


def side_and_threshold(claim):
    """In words, such as ("at least", "0.9")."""
    if pd.notna(claim["at_least"]):
        return "at least", f"{claim['at_least']:g}"
    if pd.notna(claim["at_most"]):
        return "at most", f"{claim['at_most']:g}"
    return "within", f"{claim['within_low']:g} to {claim['within_high']:g}"


def summarise(claim, n):
    values, (low, high), yes_no = on_scale(claim, "values"), limits(claim), claim["scale"] == "yes/no"
    misses = [failure_rate(distance, n) for distance in distances(values, low, high)]
    fails = yes_no_failure_rate(values.mean(), n, low, high) if yes_no else min(1.0, sum(misses))
    empty, demands = 0.0, np.nan
    if pd.notna(claim["control"]):
        control = on_scale(claim, "control")
        empty = empty_rate(control, n, low, high, yes_no)
        demands = severity(values.mean(), control.mean(), low, high)
    side, threshold = side_and_threshold(claim)
    measured = json.loads(claim["values"])
    return {
        "statement": claim["statement"],
        "scale": claim["scale"],
        "side": side,
        "threshold": threshold,
        "replicates": len(measured),
        "mean": np.mean(measured),
        "sd": np.std(measured, ddof=1),
        "distance_in_sd": distances(values, low, high).min(),
        "control_mean": claim["control_mean"],
        "control_is": claim["control_is"],
        "severity": demands,
        "n_in_notebook": n,
        "predicted_failure_rate": 1 - (1 - fails) * (1 - empty),
    }


class Target(NamedTuple):
    """A set of replicates, and where what is measured on them goes."""

    tool: str  # tools/<tool>.py; in outputs/<tool>/ are the notebooks as they ran
    base_seed: int
    table: Path
    prefix: str = ""  # of three columns in the file

    def read(self):
        """The table, without the prefix; empty where there is none yet."""
        if not self.table.exists():
            return pd.DataFrame(columns=["notebook"])
        table = pd.read_csv(self.table).rename(columns=lambda name: name.removeprefix(self.prefix))
        later = [name for name in ("control_is", "severity") if name not in table]  # than an older table
        return table.reindex(columns=[*table, *later])

    def write(self, rows):
        """Store the table, whole or not at all."""
        rows = rows.rename(columns={name: self.prefix + name for name in ("replicates", "mean", "sd")})
        curriculum.write(self.table, rows.to_csv(index=False, float_format="%.6g"))

    def is_up_to_date(self, source, replicates=None):
        """Whether the rows of a notebook are of its code, of this labkit, and of as many replicates."""
        table = self.read()
        rows = table[table.notebook == source.stem]
        return len(rows) > 0 and all(
            (rows.code_sha256 == code_sha256(source))
            & (rows.labkit_sha256 == curriculum.provenance(source)["labkit_sha256"])
            & (rows.replicates == (replicates or rows.replicates))
        )


PILOT = Target("pilot", 1000, curriculum.ROOT / "data" / "results" / "claims_pilot.csv", "pilot_")


def measure(target, source, replicates):
    """Run a notebook on the target's replicates. Returns a row a claim, and what went wrong or None."""
    try:
        return rows_of(target, source, replicates), None
    except Exception as error:
        return [], f"{source.stem} stopped, and nothing of it is stored. {curriculum.reason(error)}"


def rows_of(target, source, replicates):
    """A row a claim of a notebook, run on the target's replicates. Raises whatever goes wrong on the way."""
    notebook, provenance = labs.executable(source), curriculum.provenance(source)
    n, code = parameter_value(notebook, "REPLICATES"), code_sha256(source)
    with_parameters(notebook, BASE_SEED=target.base_seed, REPLICATES=replicates)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as outputs:
        settings = {"LABKIT_CLAIMS": "record", "LABKIT_JOBS": "1"}
        try:
            curriculum.execute(notebook, source.stem, outputs, environment=settings)
        finally:
            curriculum.save(notebook, outputs_dir() / target.tool / f"{source.stem}.ipynb")  # its figures, to look at
        ledger = Ledger(os.path.join(outputs, "ledger.sqlite"))
        claims = ledger.query("SELECT * FROM claim ORDER BY id")
        device = ledger.query("SELECT device, threads, torch FROM session").iloc[0]
    if curriculum.shown_claims(notebook) > len(claims):
        raise OSError("Its ledger does not hold all claims: is the disk full?")
    made = {
        "code_sha256": code,
        "labkit_sha256": provenance["labkit_sha256"],
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {device.device}, "
        f"{device.threads} thread(s), torch {device.torch}",
        "command": f"python tools/{target.tool}.py --replicates {replicates} {source.stem.split('_')[0]}",
    }
    return [
        {"notebook": source.stem, **summarise(claim, n), **made, "source": claim["source"]}
        for _, claim in claims[claims.demonstration == 0].iterrows()
    ]


def renew(target, sources, replicates):
    """Measure the notebooks whose rows are out of date, side by side. Returns a sentence for each that failed."""
    due = [source for source in sources if not target.is_up_to_date(source, replicates)]
    problems, calls = [], (joblib.delayed(measure)(target, source, replicates) for source in due)
    jobs = min(int(os.environ.get("LABKIT_JOBS") or joblib.cpu_count()), len(due) or 1)
    with joblib.parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1):
        finished = joblib.Parallel(return_as="generator_unordered", batch_size=1)(calls)
        for rows, problem in tqdm(finished, desc=target.tool, total=len(due), unit="notebook", disable=None):
            problems += [problem] if problem else []
            if rows:
                table = target.read()
                table = pd.concat([table[table.notebook != rows[0]["notebook"]], pd.DataFrame(rows)], ignore_index=True)
                target.write(table.sort_values("notebook", kind="stable"))
    return problems


def arguments(description):
    """What both tools take: how many replicates, which notebooks."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("numbers", nargs="*", help="of notebooks and labs, such as 00 and lab01")
    chosen = parser.parse_args()
    if chosen.replicates < 5:
        parser.error(f"a claim needs 5 replicates or more, not {chosen.replicates}.")
    return chosen


def main():
    chosen = arguments(__doc__)
    problems = renew(PILOT, sources(chosen.numbers), chosen.replicates)
    columns = ["statement", "threshold", "mean", "sd", "distance_in_sd", "severity", "predicted_failure_rate"]
    table = PILOT.read().reindex(columns=columns)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    print(f"Median severity: {table.severity.median():.2f}.")
    return "\n".join(problems) or None


if __name__ == "__main__":
    sys.exit(main())
