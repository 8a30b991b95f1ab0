"""Measure each claim on replicates that its notebook does not use: how far is the threshold, how often would it fail?

    python tools/pilot.py                      all notebooks, 20 replicates
    python tools/pilot.py --replicates 40 00   one of them

A notebook runs whole, with other values for two of its parameters (BASE_SEED, REPLICATES), and its claims are recorded
instead of enforced. The table goes to data/results/claims_pilot.csv, notebook by notebook: an interrupted run goes on
where it stopped, and a notebook whose source and labkit have not changed is not run again. The notebook as it ran is in
outputs/pilot/: look at its figures there, before you see those of the replicates that it is published with.
"""

import argparse
import datetime
import json
import os
import platform
import sys
import tempfile

import curriculum
import nbformat
import numpy as np
import pandas as pd
from scipy import stats
from tqdm import tqdm

from labkit.ledger import Ledger, outputs_dir

TABLE = curriculum.ROOT / "data" / "results" / "claims_pilot.csv"
BASE_SEED = 1000
TRANSFORMS = {"linear": np.asarray, "yes/no": np.asarray, "log": np.log, "logit": lambda p: np.log(p / (1 - p))}


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


def distance_to_threshold(values, scale, at_least, at_most, within):
    """Pilot mean to threshold in pilot standard deviations, on the claim's scale; negative on the wrong side."""
    transform = TRANSFORMS[scale]
    x = transform(np.asarray(values, dtype=float))
    spread = x.std(ddof=1)
    gaps = [x.mean() - transform(bound) for bound in (at_least, within[0]) if pd.notna(bound)]
    gaps += [transform(bound) - x.mean() for bound in (at_most, within[1]) if pd.notna(bound)]
    return min(gaps) / spread if spread > 0 else np.copysign(np.inf, min(gaps))


def side_and_threshold(claim):
    """In words, such as ("at least", "0.9")."""
    if pd.notna(claim["at_least"]):
        return "at least", f"{claim['at_least']:g}"
    if pd.notna(claim["at_most"]):
        return "at most", f"{claim['at_most']:g}"
    return "within", f"{claim['within_low']:g} to {claim['within_high']:g}"


def summarise(claim, n):
    values = json.loads(claim["values"])
    bounds = claim[["at_least", "at_most", "within_low", "within_high"]].astype(float)
    limits = bounds["at_least"], bounds["at_most"], (bounds["within_low"], bounds["within_high"])
    distance = distance_to_threshold(values, claim["scale"], *limits)
    side, threshold = side_and_threshold(claim)
    if claim["scale"] == "yes/no":
        low, high = np.nanmax([limits[0], limits[2][0], 0]), np.nanmin([limits[1], limits[2][1], 1])
        rate = yes_no_failure_rate(np.mean(values), n, low, high)
    else:
        rate = failure_rate(distance, n)
    return {
        "statement": claim["statement"],
        "scale": claim["scale"],
        "side": side,
        "threshold": threshold,
        "pilot_replicates": len(values),
        "pilot_mean": np.mean(values),
        "pilot_sd": np.std(values, ddof=1),
        "distance_in_sd": distance,
        "control_mean": claim["control_mean"],
        "n_in_notebook": n,
        "predicted_failure_rate": rate,
    }


def pilot(source, replicates):
    """One row a claim of this notebook."""
    notebook, provenance = curriculum.build(source), curriculum.provenance(source)
    n, code = parameter_value(notebook, "REPLICATES"), curriculum.code_sha256(source)
    with_parameters(notebook, BASE_SEED=BASE_SEED, REPLICATES=replicates)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as outputs:
        curriculum.execute(notebook, source.stem, outputs, environment={"LABKIT_CLAIMS": "record"})
        curriculum.save(notebook, outputs_dir() / "pilot" / f"{source.stem}.ipynb")  # its figures, to look at
        path = os.path.join(outputs, "ledger.sqlite")
        claims = Ledger(path).query("SELECT * FROM claim WHERE NOT demonstration ORDER BY id")
        device = Ledger(path).query("SELECT device, threads, torch FROM session").iloc[0]
    made = {
        "code_sha256": code,
        "labkit_sha256": provenance["labkit_sha256"],
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {device.device}, "
        f"{device.threads} thread(s), torch {device.torch}",
        "command": f"python tools/pilot.py --replicates {replicates} {source.stem[:2]}",
    }
    return [{"notebook": source.stem, **summarise(claim, n), **made} for _, claim in claims.iterrows()]


def up_to_date(table, source, replicates):
    rows = table[table.notebook == source.stem] if len(table) else table
    return len(rows) and all(
        (rows.code_sha256 == curriculum.code_sha256(source))
        & (rows.labkit_sha256 == curriculum.provenance(source)["labkit_sha256"])
        & (rows.pilot_replicates == replicates)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("numbers", nargs="*", help="first digits of the notebooks, such as 00")
    arguments = parser.parse_args()
    table = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame()
    for source in tqdm(curriculum.sources(arguments.numbers), desc="pilot", unit="notebook"):
        if up_to_date(table, source, arguments.replicates):
            continue
        rows = pd.DataFrame(pilot(source, arguments.replicates))
        kept = table[table.notebook != source.stem] if len(table) else table
        table = pd.concat([kept, rows], ignore_index=True).sort_values("notebook", kind="stable")
        partial = TABLE.with_suffix(".partial")
        table.to_csv(partial, index=False, float_format="%.6g")
        partial.replace(TABLE)
    columns = ["statement", "threshold", "pilot_mean", "pilot_sd", "distance_in_sd", "predicted_failure_rate"]
    print(table[columns].to_string(index=False, float_format=lambda value: f"{value:.3g}"))


if __name__ == "__main__":
    sys.exit(main())
