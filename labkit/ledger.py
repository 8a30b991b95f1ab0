"""The ledger: one SQLite file that keeps what was trained, measured, predicted and claimed. Introduced in notebook 00.

Its tables are the letters of S = (D, A, Θ, C, E, G); read them in `schema.sql`, beside this file. Several notebooks may
write at once, and a killed kernel leaves every finished record whole: each write opens the file, makes one transaction
and closes it again. The package `audit` reads it.
"""

import hashlib
import json
import os
import platform
import re
import sqlite3
import struct
import sys
import warnings
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import psutil

_TIMEOUT = 30.0  # seconds that a write waits for another process to finish its own

# With the process's number this tells one session from the next.
_STARTED = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

# Write-ahead logging (https://sqlite.org/wal.html) shares memory between processes, so all must be on the machine that
# has the disk. On network drives and mounted folders the classic journal is slower and safe.
_LOCAL_FILE_SYSTEMS = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "tmpfs", "overlay"}

_SCHEMA = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
_APPLICATION, _VERSION = map(int, re.findall(r"^PRAGMA \w+ = (\d+)", _SCHEMA, re.MULTILINE))


class LedgerError(RuntimeError):
    """The ledger's file cannot be used (damaged, another program's, of a newer labkit, in use); it is left as it is."""


def outputs_dir() -> Path:
    """The folder that runs write to; not created here.

    `LABKIT_OUTPUTS` where set; else `outputs` in the project, the nearest folder from here upwards that holds `labkit/`
    and `pyproject.toml`; else `outputs` in the current folder.
    """
    if chosen := os.environ.get("LABKIT_OUTPUTS"):
        return Path(chosen).absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):  # os.path only says no where a folder may not be looked into
        if os.path.isdir(folder / "labkit") and os.path.isfile(folder / "pyproject.toml"):
            return folder / "outputs"
    return here / "outputs"


def one_line(value) -> str:
    """A value as text in which white space, each kind of line break among it, is one space."""
    return " ".join(str(value).split())


def save_table(frame, name) -> Path | None:
    """Write a DataFrame to `tables/<name>.csv` in `outputs_dir()`, without its index, and return the path.

    A file of that name is replaced, whole or not at all. Where it cannot be written (no permission, disk full), a
    warning says so, and None is returned. Introduced in notebook 01.
    """
    path = outputs_dir() / "tables" / f"{name}.csv"
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(partial, index=False, errors="backslashreplace")  # a file's name may hold what is no text
        partial.replace(path)
    except OSError as error:
        warnings.warn(f"{path.name} cannot be written ({error}): the notebook goes on without it.", stacklevel=2)
        return None
    return path


@cache
def labkit_sha256() -> str:
    """Fingerprint of labkit's code: its files' names and contents, the same with the line ends of any system."""
    digest = hashlib.sha256()
    for path in sorted(path for path in Path(__file__).parent.iterdir() if path.is_file()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


class Ledger:
    """The ledger in one file. Creating a `Ledger` opens and creates nothing; its first record creates the file.

    Args:
        path: the SQLite file; by default `ledger.sqlite` in `outputs_dir()`.

    Methods raise `LedgerError` where the file is damaged, another program's, of a newer labkit, or in use for 30 s.
    Where it cannot be written (no permission, disk full) a warning says so once, ids are None, and everything goes on.
    """

    def __init__(self, path: str | os.PathLike | None = None):
        self.path = Path(path).absolute() if path is not None else outputs_dir() / "ledger.sqlite"

    def record(self, table: str, rows: dict | list[dict], **belonging: list[dict]) -> list[int | None]:
        """Add one row or several, all or none of them, and return their ids.

        Args:
            table: a table of `schema.sql`.
            rows: column -> value. Numbers may be NumPy's or PyTorch's; lists, arrays and dicts are stored as JSON. A
                column that is None or left out takes the schema's default. A row whose required `…_id` is None belongs
                to something that was not recorded: it is not recorded either, and its id is None.
            belonging: table -> rows of it that belong to the first of `rows`; they get its id.

        Raises:
            ValueError: no such table or column, or a row that the schema refuses.
        """
        rows = [_prepared(table, row) for row in ([rows] if isinstance(rows, dict) else rows)]

        def work(database: sqlite3.Connection) -> list[int | None]:
            ids = [row and _insert(database, table, row) for row in rows]
            for name, others in belonging.items():
                for other in filter(None, (_prepared(name, {**row, f"{table}_id": ids[0]}) for row in others)):
                    _insert(database, name, other)
            return ids

        return (any(rows) and self._write(work)) or [None] * len(rows)

    def update(self, table: str, id: int | None, /, **columns) -> None:
        """Complete the row `id` of a table. An id of None, of a row that was not recorded, does nothing.

        Raises:
            ValueError: no such table or column, or a value that the schema refuses.
            LedgerError: no such row.
        """

        def work(database: sqlite3.Connection) -> None:
            changes = ", ".join(f'"{name}" = ?' for name in columns)
            values = [_stored(value) for value in columns.values()]
            if database.execute(f"UPDATE {table} SET {changes} WHERE id = ?", [*values, id]).rowcount == 0:
                raise LedgerError(f"{self.path} has no {table} {id}: was the file replaced? Run again what made it.")

        if id is not None and columns:
            self._write(work)

    def query(self, sql: str, parameters: list | tuple | dict = ()):
        """The result of a SELECT as a DataFrame. Nothing can be changed this way. Without a ledger, tables are empty.

        Raises:
            sqlite3.Error: a mistake in the SQL, or an attempt to write.
        """
        import pandas as pd  # here, because a process that only writes does not need it

        try:
            with closing(self._open_to_read()) as database:
                database.execute("PRAGMA query_only = ON")
                named = isinstance(parameters, dict) and {name: _stored(value) for name, value in parameters.items()}
                cursor = database.execute(sql, named or [_stored(value) for value in parameters])
                names = [column[0] for column in cursor.description or ()]
                return pd.DataFrame.from_records(cursor.fetchall(), columns=names, coerce_float=True)
        except sqlite3.DatabaseError as error:
            if _code(error) in (0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY):  # a mistake in the SQL
                raise
            raise self._unusable(error) from error

    def integrity(self) -> str:
        """The word ok, or what is wrong with the file, one problem a line. Reads the whole file."""
        damage = "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'"
        orphans = "SELECT printf('row %s of %s lacks its %s', rowid, [table], parent) FROM pragma_foreign_key_check"
        try:
            return "\n".join(self.query(f"{damage} UNION ALL {orphans}").iloc[:, 0]) or "ok"
        except LedgerError as error:
            return str(error)

    # Find or add. What a row that is there leaves empty is completed; what it says otherwise is refused (ValueError).

    def session(self) -> int | None:
        """The id of this process's row in `session`: its notebook, machine and software as they are on first use."""
        import numpy  # here, because both are slow to load and a process that asks for no session does without
        import torch

        row = {
            "notebook": _notebook_name(),
            "pid": os.getpid(),
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": numpy.__version__,
            "labkit_sha256": labkit_sha256(),
            "platform": platform.platform(),
            "processor": _processor(),
            "device": os.environ.get("LABKIT_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu"),
            "threads": torch.get_num_threads(),
            "started_at": _STARTED,
        }
        return self._find_or_add("session", row, ["pid", "started_at"], complete=False)

    def dataset(self, info: dict) -> int | None:
        """The id of a data set: the row with this name and sha256, completed, or added where it is new."""
        return self._find_or_add("dataset", info, ["name", "sha256"])

    def split(self, info: dict) -> int | None:
        """The id of a split: the row that agrees in every column, added where it is new."""
        return self._find_or_add("split", info, [name for name in _columns()["split"] if name != "id"])

    def architecture(self, info: dict) -> int | None:
        """The id of an architecture: the row with this name and config, completed, or added where it is new."""
        config = json.dumps(_json(info["config"]), sort_keys=True)
        row = {**info, "sha256": hashlib.sha256(config.encode()).hexdigest()}
        return self._find_or_add("architecture", row, ["name", "sha256"])

    def environment(self, info: dict) -> int | None:
        """The id of an environment: the row with this name and conditions, completed, or added where it is new.

        Where no conditions are named, another shift of the same place is another environment: it is the condition.
        """
        try:
            return self._find_or_add("environment", info, ["name", "conditions"])
        except ValueError:
            if info.get("conditions") or not info.get("shift"):
                raise
            return self._find_or_add("environment", {**info, "conditions": info["shift"]}, ["name", "conditions"])

    def _find_or_add(self, table: str, info: dict, keys: list[str], complete: bool = True) -> int | None:
        row = _prepared(table, info)
        same = " AND ".join(f"ifnull({key}, '') = ifnull(?, '')" for key in keys)  # left out, NULL and '' are the same

        def work(database: sqlite3.Connection) -> int:
            database.row_factory = sqlite3.Row
            found = database.execute(f"SELECT * FROM {table} WHERE {same}", [row.get(key) for key in keys])
            known = dict(found.fetchone() or {})
            if not known:
                return _insert(database, table, row)
            for name, value in row.items() if complete else ():
                if known.get(name) in (None, ""):
                    database.execute(f'UPDATE {table} SET "{name}" = ? WHERE id = ?', [value, known["id"]])
                elif value not in ("", known[name]) and name != "config":  # with the same sha256 it says the same
                    raise ValueError(f"The {table} {row['name']!r} has {name} {known[name]!r}: choose another name.")
            return known["id"]

        return row and self._write(work)

    # The file: how it is opened, and what its errors mean

    def _write(self, work):
        """`work(connection)` in one transaction; its result, or None where the file cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            wal = _is_local(self.path.parent)
            try:
                return self._transaction(work, wal)
            except sqlite3.OperationalError as error:
                if not (wal and _is_unwritable(error)):
                    raise
                return self._transaction(work, wal=False)  # a WAL that does not work looks like an unwritable file
        except (OSError, OverflowError, sqlite3.DatabaseError) as error:
            if _is_unwritable(error):
                _warn_once(f"{self.path} cannot be written ({error}): all goes on, unrecorded.", stacklevel=3)
                return None
            if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise self._unusable(error) from error
            raise ValueError(f"The ledger refuses this row: {error}. The rules are in labkit/schema.sql.") from error

    def _transaction(self, work, wal: bool):
        with closing(self._open("rwc")) as database:
            if not wal:
                database.execute("PRAGMA locking_mode = EXCLUSIVE")  # alone with the file, SQLite shares no memory
                database.execute("PRAGMA journal_mode = DELETE")
                database.execute("PRAGMA locking_mode = NORMAL")  # it lets go of the file with the next read
            if _version(database) < _VERSION:
                if wal:
                    database.execute(f"PRAGMA application_id = {_APPLICATION}")  # a new file is ours at once
                    with suppress(sqlite3.OperationalError):  # SQLite declines; another process is making the file, too
                        database.execute("PRAGMA journal_mode = WAL")
                _complete(database)
            database.execute("PRAGMA foreign_keys = ON")
            database.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing, a power cut the last rows
            database.execute("BEGIN IMMEDIATE")
            with database:
                return work(database)

    def _open_to_read(self) -> sqlite3.Connection:
        """To the file, or to a completed copy in memory of an older labkit's."""
        memory = sqlite3.connect(":memory:", isolation_level=None)
        if os.path.exists(self.path):
            # In a read-only folder no lock can be had, and none is needed; but immutable, SQLite overlooks a journal.
            lockable = os.access(self.path.parent, os.W_OK) or self._has_journal()
            database = self._open("rw" if lockable else "ro&immutable=1")
            if _version(database) >= _VERSION:
                return database
            with closing(database):
                database.backup(memory)
        _complete(memory)
        return memory

    def _open(self, mode: str) -> sqlite3.Connection:
        """Look at the file's header (https://sqlite.org/fileformat.html) before SQLite, which may change the file."""
        if size := os.path.isfile(self.path) and os.path.getsize(self.path):
            with open(self.path, "rb") as file:
                page, version, mark = struct.unpack(">16xH42xI4xI", file.read(72).ljust(72))
            if mark != _APPLICATION:
                raise self._unusable("another program's file")
            if version > _VERSION:
                raise self._unusable(f"of a newer labkit: schema {version}, here {_VERSION}")
            if size % page and not self._has_journal():  # SQLite overlooks it
                raise self._unusable("its end is missing")
        return sqlite3.connect(f"{self.path.as_uri()}?mode={mode}", uri=True, timeout=_TIMEOUT, isolation_level=None)

    def _has_journal(self) -> bool:
        return any(os.path.exists(f"{self.path}{suffix}") for suffix in ("-wal", "-journal"))

    def _unusable(self, reason: Exception | str) -> LedgerError:
        problem = f"{self.path} is damaged or no ledger at all, or in use ({reason})"
        return LedgerError(f"{problem} and is left as it is: move it with any -wal or -journal, or set LABKIT_OUTPUTS.")


_warn_once = cache(warnings.warn)


def _code(error: Exception) -> int:
    """SQLite's primary result code, https://sqlite.org/rescode.html; 0 where the error is not SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_unwritable(error: Exception) -> bool:
    """Whether the trouble is the place: no permission, a full disk, no such drive. SQLite has a dozen words for it."""
    of_a_file = isinstance(error, OSError | sqlite3.OperationalError)
    return of_a_file and _code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_ERROR)


def _version(database: sqlite3.Connection) -> int:
    """Of the schema that a file holds; 0 for an empty one."""
    return database.execute("PRAGMA user_version").fetchone()[0]


@cache
def _is_local(folder: Path) -> bool:
    """Whether the folder is known to be on a disk of this machine; looking never raises."""
    with suppress(OSError, RuntimeError):  # no table of mounts, as in some chroots; links in a circle
        mounts = psutil.disk_partitions(all=True)
        above = [mount for mount in mounts if folder.resolve().is_relative_to(mount.mountpoint)]
        above.sort(key=lambda mount: len(mount.mountpoint))  # the deepest holds the folder, and of equals the last
        return bool(above) and above[-1].fstype in _LOCAL_FILE_SYSTEMS
    return False


# The schema and its rows ----------------------------------------------------------------------------------------------


@cache
def _columns() -> dict[str, dict[str, tuple]]:
    """Table -> column -> its type, and whether it must be given, as SQLite understands `schema.sql`."""
    found = {}
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(_SCHEMA)
        columns = "sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
        for table, name, kind, required in database.execute(f"SELECT t.name, c.name, c.type, [notnull] FROM {columns}"):
            found.setdefault(table, {})[name] = (kind, required)
    return found


def _complete(database: sqlite3.Connection) -> None:
    """Give a new file, or one of an older labkit, the tables and columns that it lacks, in one transaction."""
    missing = re.sub(r"^CREATE (\w+)", r"CREATE \1 IF NOT EXISTS", _SCHEMA, flags=re.MULTILINE)
    database.executescript(f"BEGIN IMMEDIATE;\n{missing}")
    for table, columns in _columns().items():
        there = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
        for name in columns.keys() - there:
            database.execute(f'ALTER TABLE {table} ADD COLUMN "{name}" {columns[name][0]}')
    database.execute("COMMIT")


def _prepared(table: str, row: dict) -> dict | None:
    """The row as SQLite takes it; None where what it belongs to was not recorded."""
    row = {name: _stored(value) for name, value in row.items()}
    for name, (_, required) in _columns().get(table, {}).items():
        if required and name.endswith("_id") and row.get(name, "left out") is None:
            return None
    return {name: value for name, value in row.items() if value is not None}


def _insert(database: sqlite3.Connection, table: str, row: dict) -> int:
    names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
    return database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values())).lastrowid


def _stored(value):
    """The value as SQLite takes it: scalars of NumPy and PyTorch as Python's; arrays, lists and dicts as JSON."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, (dict, list, tuple)):
        value = json.dumps(_json(value), ensure_ascii=False)
    # The name of a file may hold bytes that are no text.
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


def _json(value):
    """The same made of JSON's types. NaN and infinities become null, for JSON has none; what else it lacks, text."""
    text = json.dumps(value, default=lambda item: item.tolist() if hasattr(item, "tolist") else str(item))
    return json.loads(text, parse_constant=lambda _: None)


# The session ----------------------------------------------------------------------------------------------------------


def _notebook_name() -> str:
    """The notebook's name as our runner or Jupyter gives it, else the script's."""
    if name := os.environ.get("LABKIT_NOTEBOOK") or Path(os.environ.get("JPY_SESSION_NAME", "")).stem:
        return name
    script = Path(getattr(sys.modules["__main__"], "__file__", None) or "interactive")
    return script.parent.name if script.stem == "__main__" else script.stem  # `python -m pytest` is pytest


@cache
def _processor() -> str:
    """The processor's name, as the operating system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    name = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    return name[1] if name else platform.processor() or platform.machine() or "unknown"
