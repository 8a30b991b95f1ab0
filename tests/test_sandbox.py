"""What lies around a submission can be neither seen nor changed from inside, whoever grades, with one job or two.

Attackers and victims are graded together. Each attacker answers one exercise wrongly and the others rightly: so points
won, points lost and points of others that change all show.
"""

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from small_lab import (
    GOOD,
    ISOLATED,
    LAB,
    NOBODY,
    NOT_ISOLATED,
    WRONG,
    call_of,
    notebook,
    ordinary,
    points,
    read,
)

import labcheck
import labkit
from labcheck import grade, sandbox

pytestmark = pytest.mark.skipif(not ISOLATED, reason=NOT_ISOLATED)

PRIVATE = '''
from labcheck.compare import compare
from labcheck.exercise import call
from labcheck.labs.lab97_small import checks

# secret-of-the-private-checks


@checks("mean")
def mean_of_small_numbers(rng):
    """of small numbers"""
    def use(answer, x):
        return answer["mean"](x)  # what an answer may see of a check

    x = rng.normal(size=7)
    return compare((yield call(use, x)), x.mean(), "secret-of-the-private-checks")
'''

ATTACKS = {
    "reads": """
        import os
        found = []
        for path in PATHS:
            try:
                found.append(open(path).read() if os.path.isfile(path) else os.listdir(path))
            except OSError:
                pass
        print("found", found)""",
    "writes": """
        import os
        written = []
        for path in [*PATHS, *CODE]:
            for path in (path, path + ".new", os.path.join(path, "new")):
                try:
                    open(path, "a").write("evil")
                    written.append(path)
                except OSError:
                    pass
        print("written", written)""",
    "writes_into_descriptors": """
        import glob, json
        line = json.dumps({"token": "0", "value": 1.0, "exercises": {}, "kind": "", "sentence": ""}) + chr(10)
        for path in glob.glob("/proc/[0-9]*/fd/*") + glob.glob("/proc/[0-9]*/mem"):
            try:
                open(path, "w").write(line)
            except OSError:
                pass""",
    "kills": """
        import os, signal
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in (os.getppid(), 1, -1, *range(2, 5000)):
                try:
                    if pid != os.getpid():
                        os.kill(pid, number)
                except OSError:
                    pass""",
    "patches": """
        import ast, gc, inspect
        caught, plain = [], ast.parse
        def spy(source, *args, **kwargs):
            caught.append(str(source))
            return plain(source, *args, **kwargs)
        ast.parse, inspect.getsource = spy, lambda *args: ""
        def descending(x):
            print([text for text in gc.get_objects() if isinstance(text, str) and "checks-" + "private" in text[::-1]])
            print(caught)""",
    "calls_out": """
        import socket
        reached = []
        for family, address in [(socket.AF_INET, ("127.0.0.1", PORT)), (socket.AF_INET, ("192.0.2.1", 80)),
                                (socket.AF_UNIX, chr(0) + NAME)]:
            try:
                with socket.socket(family) as one:
                    one.settimeout(1)
                    one.connect(address)
                    reached.append(address)
            except OSError:
                pass
        print("reached", reached)""",
    "fork_bomb": """
        import os, time
        def descending(x):
            end = time.time() + 0.5
            while time.time() < end:
                try:
                    os.fork()
                except OSError:
                    time.sleep(0.01)""",
    "memory_bomb": """
        import mmap
        def descending(x):
            try:
                mmap.mmap(-1, 1 << 40)
            except (OSError, ValueError):
                held = []
                while True: held.append(bytearray(20 << 20))""",
    "fills_the_disk": """
        def descending(x):
            for folder in ("/tmp", "/dev/shm"):
                try:
                    for i in range(100): open(f"{folder}/{i}", "wb").write(bytes(5 << 20))
                except OSError as error:
                    print(error)""",
    "leaves_a_daemon": """
        import os, subprocess, time
        subprocess.Popen(["sleep", MARK], start_new_session=True)
        if not os.fork():
            os.setsid()
            if not os.fork():
                while True:
                    for path in [*PATHS, *CODE]:
                        try: open(path, "a").write("evil")
                        except OSError: pass
                    time.sleep(0.01)
            os._exit(0)""",
    "changes_itself": """
        import os, sys
        for name in ("PATH", "HOME", "PYTHONPATH", "LD_PRELOAD"): os.environ[name] = "/tmp/evil"
        open("/tmp/labcheck.py", "w").write("evil"); open("/tmp/sitecustomize.py", "w").write("evil")
        sys.path.insert(0, "/tmp"); sys.executable = "/tmp/evil"; sys.setrecursionlimit(10**6)
        print("[1/1] victim_1, victim_1_lab97.ipynb: 0 of 8 points")""",
}
SEES = """
import getpass, os, socket, sys
print([sorted(os.listdir("/")), sorted(os.environ), socket.gethostname(), [name for _, name in socket.if_nameindex()],
       [int(pid) for pid in os.listdir("/proc") if pid.isdigit()], os.listdir("/tmp"), os.path.exists("/etc/passwd"),
       os.getuid() == 0])
"""
VICTIMS = ("a_victim", "m_victim", "z_victim")


def plain(text):
    """A cell's source as it stands in this file, without its indentation."""
    return re.sub("^        ", "", text, flags=re.MULTILINE).strip()


def contents(*folders):
    return {path: path.read_bytes() for folder in folders for path in Path(folder).rglob("*") if path.is_file()}


def hand_in(folder, values):
    for name in VICTIMS:
        (folder / f"{name}_lab97.ipynb").write_text(notebook(GOOD))
    for name, attack in ATTACKS.items():
        text = plain(attack)
        for word, value in values.items():
            text = re.sub(rf"\b{word}\b", repr(value).replace("\\", r"\\"), text)
        (folder / f"{name}_lab97.ipynb").write_text(notebook([*GOOD, WRONG, text]))
    (folder / "sees_lab97.ipynb").write_text(notebook([*GOOD, SEES]))
    (folder / "forges_a_name").mkdir()
    (folder / "forges_a_name" / "a_victim_lab97.ipynb").write_text(notebook([*GOOD, WRONG]))
    (folder / "links_lab97.ipynb").symlink_to(folder / "a_victim_lab97.ipynb")
    (folder / "links_a_folder").symlink_to(folder)


@pytest.fixture(scope="module", params=["the superuser", "an ordinary user"])
def user(request):
    if request.param == "the superuser" and not sandbox.is_superuser():
        pytest.skip("needs the superuser")
    return request.param


@pytest.fixture(scope="module", params=[1, 2], ids=["one job", "two jobs"])
def graded(request, user, tmp_path_factory):
    """All graded at once: the rows by student, the pages, and all that could be seen or changed, before and after."""
    place = tmp_path_factory.mktemp("place")
    folder, checks, private, out = (place / name for name in ("in", "checks", "private", "out"))
    for each in (folder, checks, private, out):
        each.mkdir()
    (checks / "lab97_small.py").write_text(LAB)
    (private / "lab97_small.py").write_text(PRIVATE)
    if sandbox.is_superuser():
        shutil.chown(out, NOBODY)
    place.chmod(0o755)
    code = [Path(labkit.__file__).parent, Path(labcheck.__file__).parent]
    packages = sysconfig.get_path("purelib")
    paths = [folder, folder / "a_victim_lab97.ipynb", checks / "lab97_small.py", private, private / "lab97_small.py"]
    paths += [out, out / "gradebook.csv", grade.ROOT / "labs", "/home", "/etc/passwd", "/var", "/boot"]
    targets = [code[1] / "compare.py", packages, sys.executable, "/", "/usr", "/etc", "/proc/sys/kernel/hostname"]
    mark = f"6{os.getpid()}.{request.param}"  # seconds that a process that gets away would sleep
    name = f"deep-learning-systems-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as other:
        other.bind(f"\0{name}")
        other.listen()
        values = {"PATHS": list(map(str, paths)), "CODE": list(map(str, targets)), "NAME": name, "MARK": mark}
        hand_in(folder, values | {"PORT": server.getsockname()[1]})
        before = contents(folder, checks, private, *code)
        options = ["--checks", checks, "--private", private, "--out", out, "--jobs", request.param]
        call = call_of(folder, *options)
        if user == "an ordinary user" and sandbox.is_superuser():
            call = ordinary(call, place)
        done = subprocess.run(**call, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
        after = contents(folder, checks, private, *code)
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    return SimpleNamespace(rows=read(out), out=out, mark=mark, before=before, after=after, packages=packages)


def page(graded, student):
    return (graded.out / graded.rows[student]["feedback"]).read_text(encoding="utf-8")


def test_nothing_is_gained_and_nothing_lost_but_what_was_wrong(graded):
    for name in [*ATTACKS, "forges_a_name"]:
        assert points(graded.rows[name]) == [2, 0, 2, 1], (name, graded.rows[name]["note"])


def test_nobody_elses_points_change(graded):
    for name in (*VICTIMS, "sees"):
        assert (points(graded.rows[name]), graded.rows[name]["note"]) == ([2, 4, 2, 1], "")
    assert {row["isolated"] for row in graded.rows.values()} == {"yes"}


def test_nothing_outside_is_written(graded):
    assert graded.before.keys() == graded.after.keys()
    assert graded.before == graded.after
    assert "written []" in page(graded, "writes")
    assert {path.name for path in graded.out.iterdir()} == {"gradebook.csv", "feedback"}
    assert len(list((graded.out / "feedback").iterdir())) == len(graded.rows)
    assert not list(Path(graded.packages).glob("*new*"))


def test_no_other_file_no_check_and_no_network_can_be_reached(graded):
    assert "found []" in page(graded, "reads")
    assert "reached []" in page(graded, "calls_out")
    for name in graded.rows:
        assert "secret-of-the-private-checks" not in page(graded, name)


def test_of_a_check_the_function_that_it_sends_can_be_seen(graded):
    assert "def use(answer, x)" in page(graded, "patches").replace("\\n", "\n")


def test_a_link_is_refused(graded):
    for name in ("links", "links_a_folder"):
        assert (graded.rows[name]["status"], graded.rows[name]["points"]) == ("not graded", "0")
        assert graded.rows[name]["note"].startswith("is a symbolic link")


def test_what_a_submission_sees_is_what_the_guide_says(graded):
    printed = re.search(r"<summary>What the cells printed</summary><pre>(.*?)</pre>", page(graded, "sees"), re.DOTALL)[
        1
    ]
    top, names, host, interfaces, processes, folder, passwd, root = ast.literal_eval(printed.replace("&#x27;", "'"))
    allowed = {Path(path).parts[1] for path in sandbox.visible()} | {"dev", "proc", "tmp"}
    assert set(top) <= allowed
    assert set(names) <= sandbox.environment("").keys() | {"PWD", "LC_CTYPE"}
    assert (host, interfaces, len(processes), passwd, root) == ("sandbox", ["lo"], 2, False, False)
    parts = [Path(path).parts for path in sandbox.visible()]
    assert set(folder) == {part[2] for part in parts if part[1] == "tmp"}  # empty, unless the project lies in it


def test_nothing_is_left_running(graded):
    words = [word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or []]
    assert graded.mark not in words


def test_a_sandbox_in_which_no_thread_can_start_is_reported_before_the_first_submission():
    """As on old systems, which count all processes of the user."""
    with pytest.raises(sandbox.GraderError, match="can't start new thread"):
        sandbox.try_out(sandbox.Limits(processes=1))
