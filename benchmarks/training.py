"""How fast `fit` and `Ensemble` are, against the smallest loop that does the same training.

Run on a quiet machine, from the project's folder:

    python benchmarks/training.py            the table of README.md
    python benchmarks/training.py --ways     both of Ensemble's ways on a grid: what its rule was chosen from

Each line is the median over pairs, run in turn, of the loop's CPU time over labkit's, on one thread: above 1, labkit is
quicker. Both sides train the same networks on scikit-learn's digits to the same weights. labkit's side records its
runs in a ledger of its own, in a temporary folder.
"""

import argparse
import os
import statistics
import tempfile
import time
from datetime import date

import torch
import torch.nn.functional as F

from labkit import data, train
from labkit.models import mlp

EXAMPLES = data.digits().split(0).train


def minimal_loop(model, steps, batch_size, seed):
    """The loop of notebook 00: nothing but training, with the fused Adam."""
    inputs, targets = EXAMPLES.inputs, EXAMPLES.targets
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    batch_size = min(batch_size, len(targets))
    done = 0
    while True:
        order = torch.randperm(len(targets), generator=generator)
        for start in range(0, len(targets) - batch_size + 1, batch_size):
            batch = order[start : start + batch_size]
            loss = F.cross_entropy(model(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
            if done == steps:
                return


def cpu_seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def ratio(sizes, batch_size, replicates, steps, pairs, norm=None, all_at_once=None):
    """Median of loop time / labkit time. One replicate compares `fit`; `all_at_once` overrides Ensemble's own rule."""
    seeds = range(replicates)
    rule = train._all_at_once
    if all_at_once is not None:
        train._all_at_once = lambda *_: all_at_once
    ratios = []
    for pair in range(pairs + 1):
        models = [mlp(sizes, seed=seed, norm=norm) for seed in seeds]
        one, many = mlp(sizes, seed=0, norm=norm), train.Ensemble(sizes, seeds, norm=norm)

        def loop(models=models):
            for seed, model in zip(seeds, models, strict=True):
                minimal_loop(model, steps, batch_size, seed)

        def labkit(one=one, many=many):
            if replicates == 1:
                train.fit(one, EXAMPLES, steps=steps, batch_size=batch_size, device="cpu")
            else:
                many.fit(EXAMPLES, steps=steps, batch_size=batch_size, device="cpu")

        if pair % 2:
            ours, theirs = cpu_seconds(labkit), cpu_seconds(loop)
        else:
            theirs, ours = cpu_seconds(loop), cpu_seconds(labkit)
        ratios.append(theirs / ours)
    train._all_at_once = rule
    return statistics.median(ratios[1:])  # the first pair warms up


# What is trained, and the least ratio that labkit promises.
LINES = [
    # width, hidden layers, batch, K, steps, norm, least ratio
    (64, 2, 128, 1, 1000, None, 1 / 1.05),  # fit
    (16, 2, 32, 16, 500, None, 6),
    (32, 2, 64, 16, 500, None, 6),
    (32, 2, 128, 16, 500, None, 6),
    (64, 2, 128, 16, 500, None, 2.5),
    (64, 2, 128, 16, 300, "batch", 0.95),
    (64, 2, 128, 2, 300, None, 0.95),
    (100, 6, 100, 5, 200, None, 0.95),
    (128, 2, 128, 16, 200, None, 0.95),
    (128, 2, 256, 16, 200, None, 0.95),
    (256, 2, 128, 5, 200, None, 0.95),
    (256, 2, 256, 16, 200, None, 0.95),
    (256, 2, 1097, 4, 100, None, 0.95),
]


def table(pairs):
    print("| what | hidden layers | batch | K | way | steps | loop / labkit | at least |")
    print("|---|---|---|---|---|---|---|---|")
    for width, layers, batch, replicates, steps, norm, least in LINES:
        sizes = [64, *[width] * layers, 10]
        at_once = train._all_at_once(train.Ensemble(sizes, range(replicates)), batch, "adam")
        what, way = ("fit", "") if replicates == 1 else ("Ensemble", "at once" if at_once else "in turn")
        value = ratio(sizes, batch, replicates, steps, pairs, norm)
        network = f"{layers} of {width}" + (f", {norm} norm" if norm else "")
        missed = "" if value >= least else " MISSED"
        print(
            f"| {what} | {network} | {batch} | {replicates} | {way} | {steps} | {value:.2f} | {least:.2f}{missed} |",
            flush=True,
        )


def ways(pairs):
    print("| width | batch | K | at once | in turn | the rule takes |")
    print("|---|---|---|---|---|---|")
    for width in (16, 32, 64, 128, 256):
        for batch in (32, 128, 512):
            for replicates in (2, 16):
                sizes = [64, width, width, 10]
                steps = max(20, min(200, 40_000_000 // (replicates * batch * width)))
                both = [ratio(sizes, batch, replicates, steps, pairs, all_at_once=way) for way in (True, False)]
                chosen = train._all_at_once(train.Ensemble(sizes, range(replicates)), batch, "adam")
                values = " | ".join(f"{value:.2f}" for value in both)
                print(
                    f"| {width} | {batch} | {replicates} | {values} | {'at once' if chosen else 'in turn'} |",
                    flush=True,
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ways", action="store_true", help="time both of Ensemble's ways on a grid")
    parser.add_argument("--pairs", type=int, default=7, help="pairs to take the median of (default 7)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["LABKIT_PROGRESS"] = "0"
    print(f"{date.today()}, torch {torch.__version__}, one thread, median of {arguments.pairs} pairs\n")
    with tempfile.TemporaryDirectory() as outputs:
        os.environ["LABKIT_OUTPUTS"] = outputs
        (ways if arguments.ways else table)(arguments.pairs)
