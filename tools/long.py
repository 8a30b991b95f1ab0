"""Run the experiments that are too long for a notebook; their tables go to data/results/, where it reads them.

    python tools/long.py [04 ...]     run what is new or has changed; what was stopped goes on where it stopped
    python tools/long.py --check      list the tables that other code made

The cells tagged `long` in a notebook's source make a module, outputs/long/NN_topic.py. They hold imports, functions and
constants, and take no time; the last of them names the long runs and gives each what labkit.sweep.run takes:

    LONG_RUNS = {"language_models": {"experiment": language_model, "grid": [...], "seeds": [...], "data": None}}

Beside <name>.csv lies <name>.json, which says what the table rests on: hashes, grid, seeds, machine, date, command.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which PYTHONSAFEPATH leaves out
    import fresh

    fresh.start()

import argparse
import datetime
import importlib.util
import json
import platform
import tempfile

import curriculum
import jupytext

from labkit import sweep
from labkit.ledger import Ledger, labkit_sha256, outputs_dir

RESULTS = curriculum.ROOT / "data" / "results"


def long_runs(source):
    """What the cells tagged `long` of a notebook's source set LONG_RUNS to; {} where there are none."""
    cells = [cell.source for cell in jupytext.read(source).cells if "long" in cell.metadata.get("tags", [])]
    if not cells:
        return {}
    path = outputs_dir() / "long" / f"{source.stem}.py"  # a file, because workers import it
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n\n".join(cells) + "\n", encoding="utf-8", newline="\n")
    sys.path[:] = [str(path.parent), *(folder for folder in sys.path if folder != str(path.parent))]
    spec = importlib.util.spec_from_file_location(source.stem, path)
    module = sys.modules[source.stem] = importlib.util.module_from_spec(spec)
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), vars(module))  # never from an old __pycache__
    if not hasattr(module, "LONG_RUNS"):
        sys.exit(f"{source.name}: the last cell tagged `long` must set LONG_RUNS, see tools/long.py.")
    return module.LONG_RUNS


def plain(value):
    """The same as JSON returns it."""
    return json.loads(json.dumps(value, default=lambda other: other.tolist()))


def plan(run):
    """What a table must rest on, as its record has it."""
    data = run.get("data")
    hashes = {"code_sha256": sweep.code_sha256(run["experiment"]), "data_sha256": getattr(data, "sha256", data)}
    return hashes | {"grid": plain(run["grid"]), "seeds": [int(seed) for seed in run["seeds"]]}


def changed(name, run):
    """The parts of the plan, and labkit, in which the committed table is of another time; all where there is none."""
    path = RESULTS / f"{name}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    now = plan(run) | {"labkit_sha256": labkit_sha256()}
    return [part.removesuffix("_sha256") for part in now if part not in record or record[part] != now[part]]


def command(source):
    return f"python tools/long.py {source.stem[:2]}"


def disagreements(source):
    """A sentence for each table of a notebook that other code than its cells made; another labkit alone is let pass."""
    return [
        f"{name}.csv was made with other {', '.join(parts)}: `{command(source)}` renews it."
        for name, run in long_runs(source).items()
        if (parts := changed(name, run)) not in ([], ["labkit"])
    ]


def readable(value):
    """A number with six digits; lists and dicts of such numbers as JSON."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [readable(item) for item in value]
    return {key: readable(item) for key, item in value.items()} if isinstance(value, dict) else value


def write(name, source, run, table):
    """Store the table and its record."""
    nested = [column for column in table if table[column].map(lambda value: isinstance(value, (list, dict))).any()]
    ledger = Ledger()
    session = ledger.query("SELECT processor FROM session WHERE id = ?", [ledger.session()])
    record = {
        "notebook": source.stem,
        **table.attrs,
        **plan(run),
        "rows": len(table),
        "json_columns": nested,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": session.processor[0],
        "date": datetime.date.today().isoformat(),
        "command": command(source),
    }
    table = table.map(readable)
    table[nested] = table[nested].map(json.dumps)
    curriculum.write(RESULTS / f"{name}.csv", table.to_csv(index=False))
    curriculum.write(RESULTS / f"{name}.json", json.dumps(record, indent=1) + "\n")


def run_all(source):
    """Make the tables of a notebook that are missing or of another time. Returns a sentence for each that failed."""
    problems = []
    for name, run in long_runs(source).items():
        if not changed(name, run):
            print(f"{name}: up to date.")
            continue
        tempfile.TemporaryFile(dir=RESULTS).close()  # better now than after hours: can the table be written?
        table = sweep.run(run["experiment"], run["grid"], run["seeds"], name=name, data=run.get("data"))
        failed = table[table.status == "failed"]
        if len(failed):
            settings = failed.iloc[:, : table.columns.get_loc("seed") + 1].assign(error=failed.error)
            problems.append(f"{name}: {len(failed)} of {len(table)} runs failed, and nothing is written:\n{settings}")
        else:
            write(name, source, run, table)
            print(f"{name}: {len(table)} rows.")
    return problems


def check(sources):
    """Print what is out of date. Returns whether other code made a table."""
    problems = [problem for source in sources for problem in disagreements(source)]
    for problem in problems:
        print(problem)
    for source in sources:
        for name, run in long_runs(source).items():
            if changed(name, run) == ["labkit"]:
                print(f"{name}.csv is stale, made with another labkit: `{command(source)}` renews it.")
    return bool(problems)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("numbers", nargs="*", help="numbers of notebooks, such as 04")
    arguments = parser.parse_args()
    sources = curriculum.sources(arguments.numbers)
    if arguments.check:
        return check(sources)
    problems = [problem for source in sources for problem in run_all(source)]
    return "\n".join(problems) or None


if __name__ == "__main__":
    sys.exit(main())
