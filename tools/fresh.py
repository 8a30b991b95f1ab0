"""A fresh start for the scripts of this folder: in the environment that the set-up has proved, whatever the caller's.

A script calls `fresh.start()` before it imports anything from outside this folder. Here most modules are imported where
they are needed: until then a file in a folder of PYTHONPATH may stand in the place of each.
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INTERRUPTED = "Interrupted. What was finished is kept; run the same command again."


def start():
    """Begin a script: in a clean environment, with one folder for outputs, and with sentences for what may end it.

    By now Python has read its variables. So where one of them leads it astray, the same command starts again without.
    """
    again = [sys.executable, *sys.argv]
    if "PYTHONPATH" in os.environ:
        become(again, without("PYTHONPATH"))
    from setup import STRAY

    if sys.flags.optimize or any(name in os.environ for name in STRAY):
        become(again, without(*STRAY))
    # A kernel works in another folder than this script, and must not look for its outputs there.
    os.environ["LABKIT_OUTPUTS"] = os.path.abspath(os.environ.get("LABKIT_OUTPUTS") or os.path.join(ROOT, "outputs"))
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.reconfigure(errors="replace")  # a sign that a terminal cannot print is no reason to stop
    sys.excepthook = say
    end_as_by_ctrl_c("SIGTERM", "SIGHUP")


def without(*names):
    """The environment without these variables."""
    return {name: value for name, value in os.environ.items() if name not in names}


def become(command, environment):
    """Let a command take the place of this process; on Windows, where none can, wait for it and end as it does."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    if os.name != "nt":
        os.execve(command[0], command, environment)
    import signal
    import subprocess

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command
    sys.exit(subprocess.call(command, env=environment))


def say(kind, error, trace):
    """How a script ends early: with a sentence for Ctrl-C and for trouble with files, a traceback for other errors."""
    if issubclass(kind, KeyboardInterrupt):
        print(f"\n{INTERRUPTED}", file=sys.stderr)
    elif issubclass(kind, OSError):
        print(f"This cannot go on: {error}.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def end_as_by_ctrl_c(*names):
    """Let these signals end a script as Ctrl-C does, but for those that someone (nohup) has switched off."""
    import signal

    for number in [getattr(signal, name) for name in names if hasattr(signal, name)]:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
