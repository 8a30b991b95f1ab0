"""Find, measure and end processes: also those that a learner's code has cut loose."""

import ctypes
import os
import sys
import time
from contextlib import suppress

import psutil

PR_SET_CHILD_SUBREAPER = 36  # from Linux's prctl.h
SHARING_MATTERS = 200 << 20  # bytes; below, what forks share may be counted for each of them


def adopt_orphans():
    """On Linux: what our descendants leave behind becomes our child, so that no daemon gets away."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def alive(processes):
    found = []
    for process in processes:
        with suppress(psutil.Error):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def descendants(pid=None):
    """All living processes below a process, by default below this one."""
    try:
        return alive(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def end(find, rounds=100):
    """End all processes that `find()` names, until it names none.

    They are all stopped before the first is ended, so that they cannot start others faster than they go.
    """
    for _ in range(rounds):
        found = find()
        if not found:
            return
        for action in (psutil.Process.suspend, psutil.Process.kill):
            for process in found:
                with suppress(psutil.Error):
                    action(process)
        time.sleep(0.01)


def reap():
    """Let the processes go that have ended and that we have adopted."""
    if sys.platform == "linux":
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def memory(processes):
    """Bytes in use. What processes share counts once, which takes longer to find out and matters only if it is much."""
    total = measured(processes, lambda process: process.memory_info().rss)
    if sys.platform == "linux" and total > SHARING_MATTERS:
        return measured(processes, lambda process: process.memory_full_info().pss)
    return total


def measured(processes, measure):
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            total += measure(process)
    return total
