"""Run a learner's cells and answers for grade_one.py, in a process that may come to harm.

Requests come on standard input and replies go to what was standard output at the start: a JSON object a line. The
learner's code finds its input empty, and what it prints goes to standard error. There are no expected values here, and
whatever the code does to this process, it can only send wrong replies.

    python -m labcheck.grade_child START                 one such process; START is JSON: see `children.Child`
    python -m labcheck.grade_child nursery FD MODULES    becomes one for each START that comes on the socket FD (Linux)
"""

import ast
import contextlib
import importlib
import json
import linecache
import os
import socket
import sys
import tempfile
import traceback
import types

from IPython.core.inputtransformer2 import TransformerManager

import labkit
from labcheck import check
from labcheck.exercise import Call
from labcheck.perform import TimeUp, perform, time_limit
from labcheck.transport import decode, encode

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
TIMING = {"time", "timeit", "prun", "capture"}  # magics that run the code after them
TOO_LARGE = "returns more than a grader takes ({size:.0f} MB where {limit:.0f} MB are much)"


def nursery(connection, modules):
    """Import modules, then fork a child for each START that comes, with its three pipes."""
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    while True:
        text, pipes, *_ = socket.recv_fds(connection, 1 << 16, 3)
        if not text:
            return
        if os.fork():
            for pipe in pipes:
                os.close(pipe)
            os.wait()
            continue
        if os.fork():  # with this parent gone, the child becomes one of the grader, which adopts orphans
            os._exit(0)
        connection.close()
        start = json.loads(text)
        become(start, pipes)
        serve(start)
        os._exit(0)


def become(start, pipes):
    """What `subprocess.Popen` does for a new process, for a forked one."""
    if start["user"]:
        user, group = start["user"]
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    os.setsid()
    for number, pipe in enumerate(pipes):
        os.dup2(pipe, number)
        os.close(pipe)
    os.environ.update(start["environment"])
    tempfile.tempdir = None  # which may be known already, as that of the nursery
    os.chdir(start["folder"])


def serve(start):
    """Carry out requests until there are no more."""
    set_limits(start["rlimits"])
    requests, replies = take_pipes()
    sys.modules["labcheck.labs"] = None  # importing it fails: the checks are not for this process
    sys.modules["labkit.check"] = labkit.check = check  # where labs of the first edition look for it
    namespace = notebook_namespace()
    for line in requests:
        request = json.loads(line)
        try:
            text = json.dumps({"token": request["token"]} | carry_out(request, namespace))
            if len(text) > start["reply_bytes"]:
                raise ValueError(TOO_LARGE.format(size=len(text) / 1e6, limit=start["reply_bytes"] / 1e6))
        except BaseException as error:  # an answer that no pipe can carry
            text = json.dumps({"token": request["token"], "kind": type(error).__name__, "sentence": str(error)})
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        replies.write(text + "\n")
        replies.flush()


def carry_out(request, namespace):
    match request:
        case {"cell": _}:
            return run_cell(request, namespace)
        case {"target": _}:
            return run_call(request, namespace)
    return {"pid": os.getpid()}


def set_limits(rlimits):
    """The limits that the system keeps. Windows has none of them; there the watch of children.py is all there is."""
    try:
        import resource
    except ImportError:
        return
    for name, value in rlimits.items():
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(hard, value)
        resource.setrlimit(number, (value, value))


def take_pipes():
    """The two pipes, out of the learner's way."""
    requests, replies = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


# Cells ----------------------------------------------------------------------------------------------------------------


def notebook_namespace():
    """The names of an empty notebook. It is the module __main__, as there: classes and pickle look for it."""
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    module.__dict__.update(get_ipython=lambda: Shell(module.__dict__), display=print)
    return module.__dict__


class Shell:
    """Stands in for IPython: shell commands do not run, timing magics run what they time, others do nothing."""

    def __init__(self, namespace):
        self.namespace = namespace

    def run_line_magic(self, name, line, *_):
        return self.run_cell_magic(name, "", line)

    def run_cell_magic(self, name, line, cell):
        if name in TIMING:
            execute(cell, f"<%{name}>", self.namespace)

    def getoutput(self, *_, **__):
        return []

    def __getattr__(self, name):
        return lambda *_, **__: None


def execute(source, filename, namespace, experiment=False):
    """Run a cell's source, and leave its lines where tracebacks look for them.

    Of an experiment only functions, classes and imports run: an answer can have got into its cell.
    """
    code = TransformerManager().transform_cell(source)
    linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
    tree = ast.parse(code, filename)
    if experiment:
        tree.body = [statement for statement in tree.body if is_definition(statement)]
    exec(compile(tree, filename, "exec", dont_inherit=True), namespace)


def is_definition(statement):
    return isinstance(statement, DEFINITIONS) or isinstance(getattr(statement, "value", None), ast.Lambda)


def run_cell(request, namespace):
    """Run a cell; an error becomes a sentence."""
    filename, seconds = f"<cell {request['number']}>", request["seconds"]
    try:
        with time_limit(seconds):
            execute(request["cell"], filename, namespace, request["experiment"])
    except BaseException as error:
        return {"error": describe(error, filename, seconds)}
    return {"error": ""}


def describe(error, filename, seconds):
    if isinstance(error, TimeUp):
        return f"did not end within {seconds:g} seconds and was stopped"
    if isinstance(error, SystemExit):
        return "ends the whole program (`exit`)"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
    where = f" (line {lines[-1]})" if lines else ""
    return f"raises {type(error).__name__}: {' '.join(str(error).split())[:300]}{where}"


# Calls ----------------------------------------------------------------------------------------------------------------


def run_call(request, namespace):
    """Carry out a check's `Call`. A function arrives as its source, with the name of this file instead of its own, so
    that no message shows its lines."""
    target = request["target"]
    if "source" in request:
        scope = {}
        exec(compile(ast.parse(request["source"]), __file__, "exec", dont_inherit=True), scope)
        target = scope[target]
    reply = perform(Call(target, decode(request["arguments"])), namespace, request["seconds"])
    return vars(reply) | {"value": encode(reply.value)}


if __name__ == "__main__":
    if sys.argv[1] == "nursery":
        nursery(socket.socket(fileno=int(sys.argv[2])), sys.argv[3:])
    else:
        serve(json.loads(sys.argv[1]))
