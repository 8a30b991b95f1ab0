"""Commands in Python's isolated mode: no variable and no folder of the caller's leads Python to other modules."""

import os
import sys


def command(module, *arguments):
    """The command that runs a module in this mode."""
    return [sys.executable, "-I", "-m", module, *arguments]


def start(module):
    """Let a module's command, with the same arguments, take the place of this process, unless it is isolated already.

    What this file imports a folder of PYTHONPATH may still hide, so it is next to nothing.
    """
    if sys.flags.isolated:
        return
    again = command(module, *sys.argv[1:])
    if os.name != "nt":
        os.execv(again[0], again)
    import signal  # on Windows no process takes the place of another: wait for it, and end as it does
    import subprocess

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command
    sys.exit(subprocess.call(again))
