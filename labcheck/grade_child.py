"""Run a learner's cells and answers for grade_one.py, in a process that may come to harm.

Requests come on standard input and replies go to what was standard output at the start: a JSON object a line. The
learner's code finds its input empty, and what it prints goes with the replies. There are no expected values here, and
whatever the code does to this process, it can only send wrong replies.

    python -m labcheck.grade_child START     START is JSON: see `sandbox.Child`
"""

import ast
import contextlib
import gc
import importlib
import json
import linecache
import os
import re
import signal
import sys
import traceback
import types
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager

import labkit
from labcheck import check
from labcheck.exercise import Call
from labcheck.perform import Printed, perform
from labcheck.sandbox import Limits
from labcheck.time_limit import TimeUp, time_limit
from labcheck.transport import decode, encode

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
TIMING = {"time", "timeit", "prun", "capture"}  # magics that run the code after them
PRINTED_BYTES = 20_000  # of a cell, that are kept
TOO_LARGE = "returns more than a grader takes ({size:.0f} MB where {limit:.0f} MB are much)"


def serve(start):
    """Carry out requests until there are no more."""
    limits, pid = Limits(**start["limits"]), os.getpid()
    confine(limits, start)
    requests, replies = take_pipes()
    sys.modules["labcheck.labs"] = None  # importing it fails: the checks are not for this process
    sys.modules["labkit.check"] = labkit.check = check  # where labs of the first edition look for it
    for name in ("figures", "evidence"):  # nobody looks at a picture or a claim here, and PyTorch takes long to import
        sys.modules[f"labkit.{name}"] = Silent(f"labkit.{name}")
        setattr(labkit, name, sys.modules[f"labkit.{name}"])
    submission = Submission()
    gc.disable()  # until the first call: imports take a fifth less
    for line in requests:
        request = json.loads(line)
        try:
            text = json.dumps({"token": request["token"]} | submission.carry_out(request))
            if len(text) > limits.reply_bytes:
                raise ValueError(TOO_LARGE.format(size=len(text) / 1e6, limit=limits.reply_bytes / 1e6))
        except BaseException as error:  # an answer that no pipe can carry
            text = json.dumps({"token": request["token"], "kind": type(error).__name__, "sentence": str(error)})
        if os.getpid() != pid:  # a process that the learner's code has forked, and that came back here
            os._exit(0)
        if start["isolated"] and "target" in request:
            end_others()
        replies.write(text + "\n")
        replies.flush()


class Silent(types.ModuleType):
    """A module in which everything is there and does nothing."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *arguments, **options):
        return self

    def __getitem__(self, key):
        return self


def confine(limits, start):
    """Give up what this process may do, for good. Windows knows no such limits."""
    try:
        import resource
    except ImportError:
        return
    with contextlib.suppress(OSError):  # the first to go where a machine runs out of memory
        Path("/proc/self/oom_score_adj").write_text("1000")
    if start["user"]:
        os.setgroups([])
        os.setgid(start["user"])
        os.setuid(start["user"])
    values = {
        "CPU": limits.cpu_seconds, "DATA": limits.memory, "AS": limits.address_space, "FSIZE": limits.file_bytes,
        "NOFILE": limits.open_files, "CORE": 0,
    }  # fmt: skip
    if start["isolated"]:  # elsewhere the system would count all processes of the caller
        values["NPROC"] = limits.processes
    for name, value in values.items():
        with contextlib.suppress(OSError, ValueError):  # the caller's own limit is lower, or macOS has none of it
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def take_pipes():
    """The two pipes, out of the learner's way; what stands in their place is empty and takes all."""
    requests, replies = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    return requests, replies


def end_others():
    """End all processes of the sandbox but its first and this one: what the learner's code has left running."""
    with contextlib.suppress(OSError):  # there is none
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


class Submission:
    """The cells of a submission and the names that they define."""

    def __init__(self):
        self.cells, self.unused = {}, set()
        self.namespace = notebook_namespace()

    def carry_out(self, request):
        match request:
            case {"cells": cells}:
                self.cells = {number: cell for number, *cell in cells}
                self.unused = unused_imports(self.cells)
            case {"cell": number, "seconds": seconds}:
                return self.run_cell(number, seconds)
            case {"target": _}:
                return self.run_call(request)
            case _:  # is it ready? It is when it can still start a thread, and read what it has not read yet
                with time_limit(request["seconds"]):
                    importlib.import_module("labkit.ledger")
        return {}

    def run_cell(self, number, seconds):
        """Run a cell; an error becomes a sentence."""
        filename, printed, error = f"<cell {number}>", Printed(PRINTED_BYTES), None
        with redirect_stdout(printed), redirect_stderr(printed):
            try:
                with time_limit(seconds):
                    tree = parsed(*self.cells[number], filename)
                    tree.body = [used for statement in tree.body if (used := without(statement, self.unused))]
                    exec(compile(tree, filename, "exec", dont_inherit=True), self.namespace)
            except BaseException as stopped:
                error = stopped
        sentence = describe(error, filename, seconds) if error else ""
        return {"error": sentence, "kind": type(error).__name__, "printed": printed.getvalue()}

    def run_call(self, request):
        """Carry out a check's `Call`. A function arrives as its source, with the name of this file instead of its own,
        so that no message shows its lines."""
        gc.freeze()
        gc.enable()
        target = request["target"]
        if "source" in request:
            scope = {}
            exec(compile(ast.parse(request["source"]), __file__, "exec", dont_inherit=True), scope)
            target = scope[target]
        reply = perform(Call(target, decode(request["arguments"])), self.namespace, request["seconds"])
        return vars(reply) | {"value": encode(reply.value)}


# Cells ----------------------------------------------------------------------------------------------------------------


def parsed(source, experiment, filename):
    """The tree of what runs of a cell. Its lines are left where tracebacks look for them.

    Of an experiment only functions, classes and imports run: an answer can have got into its cell.
    """
    code = TransformerManager().transform_cell(source)
    linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
    tree = ast.parse(code, filename)
    if experiment:
        tree.body = [statement for statement in tree.body if is_definition(statement)]
    return tree


def is_definition(statement):
    return isinstance(statement, DEFINITIONS) or isinstance(getattr(statement, "value", None), ast.Lambda)


def unused_imports(cells):
    """The names that imports bind and nothing uses: of modules for experiments, which do not run. PyTorch takes 2 s."""
    nodes = []
    for cell in cells.values():
        with contextlib.suppress(Exception):  # a cell that is no Python stops when it is run
            nodes += ast.walk(parsed(*cell, ""))
    docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    for node in nodes:  # `eval` and magics take code as text
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            used |= set(re.findall(r"\w+", node.value))
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    return {bound_name(alias) for node in imports for alias in node.names} - used - {"*"}


def bound_name(alias):
    return alias.asname or alias.name.split(".")[0]


def without(statement, unused):
    """A statement without the imports of these names; None where nothing is left of it."""
    if not isinstance(statement, ast.Import | ast.ImportFrom) or getattr(statement, "module", "") == "__future__":
        return statement
    statement.names = [alias for alias in statement.names if bound_name(alias) not in unused]
    return statement if statement.names else None


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
            filename = f"<%{name}>"
            exec(compile(parsed(cell, False, filename), filename, "exec", dont_inherit=True), self.namespace)

    def getoutput(self, *_, **__):
        return []

    def __getattr__(self, name):
        return lambda *_, **__: None


def describe(error, filename, seconds):
    if isinstance(error, TimeUp):
        return f"did not end within {seconds:g} seconds and was stopped"
    if isinstance(error, SystemExit):
        return "ends the whole program (`exit`)"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
    where = f" (line {lines[-1]})" if lines else ""
    return f"raises {type(error).__name__}: {' '.join(str(error).split())[:300]}{where}"


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
