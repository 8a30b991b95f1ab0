"""The table of all claims: each experiment once on fresh replicates, which neither its notebook nor the pilot has used.

    python tools/claims.py                      all notebooks and labs, 20 replicates
    python tools/claims.py --replicates 40 00   one of them

The pilot (tools/pilot.py, which says how this works) chose the thresholds; here they are put to the test. The table is
data/results/claims.csv. From it tools/derive.py makes data/results/claims.md, for readers, and a line of the README.
Printed is how often a run of all notebooks on a new machine would have every claim hold.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which PYTHONSAFEPATH leaves out
    import fresh

    fresh.start()


import curriculum
import pandas as pd
import pilot

from audit.report import number

CLAIMS = pilot.Target("claims", 2000, curriculum.ROOT / "data" / "results" / "claims.csv")
HEAD = """\
# All claims

{line}

Each notebook ran once on {replicates} fresh replicates (seeds from {seed} on), which neither it has used nor the pilot
that chose the thresholds. *Measured* is their mean ± standard deviation; *distance* is from the mean to the threshold,
in such deviations and on the scale on which the claim is tested (the logarithm for ratios, the logit for rates).
*Severity* is how much of the effect the threshold demands, on the same scale: (threshold − control) / (mean − control),
so 0 demands nothing and 1 all that was measured; its median over all claims is {severity}. *n* is the number of
replicates in the notebook; *fails* is how often its test with that n would miss, or its control meet the threshold,
were their values normal with these means and deviations: an estimate from {replicates} values.
"""


def all_green(table):
    """The probability that all claims hold in one run of their notebooks, if they are independent."""
    return float((1 - table.predicted_failure_rate).prod())


def percent(probability):
    """As one may say it: never more than is known."""
    return "more than 99.999 %" if probability > 0.99999 else f"{100 * probability:.3f} %"


def line(table):
    """What the table comes to, in a paragraph."""
    missing = [short(source.stem) for source in pilot.sources() if source.stem not in set(table.notebook)]
    which = "all notebooks and labs" + (f" but {', '.join(missing)}" if missing else "")
    at_least = max(0.0, 1 - table.predicted_failure_rate.sum())
    return (
        f"The {len(table)} claims of {which}, measured on {table.replicates.min()} fresh replicates: in a run on a new "
        f"machine all of them hold with probability {percent(all_green(table))} (if they are independent; at least "
        f"{percent(at_least).removeprefix('more than ')} whatever their dependence)."
    )


def short(name):
    """The number of a notebook or lab, such as "notebook 00" or "lab 01"."""
    return f"lab {name[3:5]}" if name.startswith("lab") else f"notebook {name[:2]}"


def measured(claim):
    return f"{number(claim.mean)} ± {claim.sd:.2g}" if claim.scale != "yes/no" else f"{claim.mean:.0%} yes"


def page(table):
    """The table in Markdown, a section a notebook."""
    median = f"{table.severity.median():.2f}" if table.severity.notna().any() else "not measured yet"
    text = HEAD.format(line=line(table), replicates=table.replicates.min(), seed=CLAIMS.base_seed, severity=median)
    for notebook, claims in table.groupby("notebook"):
        first = claims.iloc[0]
        text += f"\n## {notebook}\n\n{first.date}, {first.machine}\n\n"
        text += "| claim | control | source | threshold | measured | distance | severity | n | fails |\n"
        text += "|---|---|---|---|---|---|---|---|---|\n"
        for claim in claims.itertuples():
            rate = claim.predicted_failure_rate
            rate = f"{rate:.0e}" if rate > 1e-9 else "< 1e-9"
            nothing = "none" if pd.isna(claim.control_mean) else "–"  # in older tables it has no words
            control = claim.control_is if pd.notna(claim.control_is) else nothing
            demands = f"{claim.severity:.2f}" if pd.notna(claim.severity) else "–"
            cells = [claim.statement, control, claim.source, f"{claim.side} {claim.threshold}", measured(claim)]
            cells += [f"{claim.distance_in_sd:.1f}", demands, claim.n_in_notebook, rate]
            cells = [str(cell).replace("|", "\\|") for cell in cells]
            text += f"| {' | '.join(cells)} |\n"
    return text


def stale():
    """A sentence that names the notebooks whose rows are of other code; None where there are none, or no table."""
    others = [source.stem.split("_")[0] for source in pilot.sources() if not CLAIMS.is_up_to_date(source)]
    if CLAIMS.table.exists() and others:
        return f"claims.csv is stale or empty for {', '.join(others)}: `make claims` renews it."
    return None


def main():
    chosen = pilot.arguments(__doc__)
    problems = pilot.renew(CLAIMS, pilot.sources(chosen.numbers), chosen.replicates)
    table = CLAIMS.read()
    if len(table):
        worst = table.nlargest(5, "predicted_failure_rate")
        columns = ["notebook", "statement", "threshold", "mean", "sd", "distance_in_sd", "predicted_failure_rate"]
        print("The five claims most likely to fail:")
        print(worst[columns].to_string(index=False, max_colwidth=70, float_format=lambda value: f"{value:.3g}"))
        print(line(table))
    return "\n".join(problems) or None


if __name__ == "__main__":
    sys.exit(main())
