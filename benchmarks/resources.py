"""What each notebook and lab costs: CPU seconds on one thread and peak memory, kernel start and imports included.

    python benchmarks/resources.py [00 lab01 ...]

The resource contract: a notebook takes at most 120 CPU seconds on one thread, a lab's solutions 45, and 900 MB of
memory, so that two open kernels fit into Binder's 2 GB. Run it on a quiet machine. Linux and macOS only (it asks the
operating system).
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import curriculum
import pilot

import labs

ONE_THREAD = {"OMP_NUM_THREADS": "1", "LABKIT_JOBS": "1"}  # as under test and on Binder


def children():
    """CPU seconds of all finished child processes, and the peak memory of the largest, in MB."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit


def main(numbers):
    print(f"{'notebook':<30}{'CPU seconds':>12}{'clock seconds':>15}{'peak MB':>9}")
    for source in pilot.sources(numbers):
        name, notebook = source.stem, labs.executable(source)
        before, start = children()[0], time.perf_counter()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as outputs:
            curriculum.execute(notebook, name, outputs, environment=ONE_THREAD)
        after, peak = children()
        print(f"{name:<30}{after - before:>12.0f}{time.perf_counter() - start:>15.0f}{peak:>9.0f}")


if __name__ == "__main__":
    main(sys.argv[1:])
