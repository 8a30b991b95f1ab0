"""The ledger: one SQLite file that keeps what was trained, measured, predicted and claimed. Introduced in notebook 00.

`python -m labkit.ledger` says what is in it and whether it can be relied on: see `audit.py`.

Its tables are the letters of S = (D, A, Θ, C, E, G); read them in `schema.sql`, beside this file. Several notebooks may
write at once, and a killed kernel leaves every finished record whole: each write opens the file, makes one transaction
and closes it again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
import sqlite3
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    import pandas

TIMEOUT = 30.0  # seconds that a write waits for another process to finish its own

# With the process's number this tells one session from the next.
_STARTED = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

# Write-ahead logging (https://sqlite.org/wal.html) shares memory between processes, so all must be on the machine that
# has the disk. On network drives and mounted folders the classic journal is slower and safe.
_LOCAL_FILE_SYSTEMS = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "tmpfs", "overlay"}

# SQLite's ways to say "this place cannot be written", and those to say that a file cannot be used at all.
_UNWRITABLE = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
_UNUSABLE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_REPLACED = "Was the file replaced? Run again what made that row."
_warned: set[Path] = set()  # the unwritable ledgers that this process has been told of


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


def say(text, end="\n") -> None:
    """Print a text. What the stream's code page cannot print becomes a question mark."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), end=end)


def save_table(frame, name) -> Path | None:
    """Write a DataFrame to `tables/<name>.csv` in `outputs_dir()`, without its index, and return the path.

    A file of that name is replaced, whole or not at all. Where it cannot be written (no permission, disk full), a
    warning says so, and None is returned. Introduced in notebook 01.
    """
    path = outputs_dir() / "tables" / f"{name}.csv"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_csv(frame, path)
    except OSError as error:
        reason = error.strerror or error
        warnings.warn(f"{path.name} cannot be written ({reason}): the notebook goes on without it.", stacklevel=2)
        return None
    return path


def write_csv(frame, path) -> None:
    """Write a DataFrame without its index to a file, whole or not at all. Raises OSError."""
    partial = Path(f"{path}.partial")
    try:
        frame.to_csv(partial, index=False, errors="backslashreplace")  # a file's name may hold what is no text
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class Ledger:
    """The ledger in one file. Creating a `Ledger` opens and creates nothing; its first record creates the file.

    Args:
        path: the SQLite file; by default `ledger.sqlite` in `outputs_dir()`.

    Methods raise `LedgerError` where the file is damaged, another program's, of a newer labkit, or in use for 30 s.
    Where it cannot be written (no permission, disk full) a warning says so once, ids are None, and everything goes on.
    """

    def __init__(self, path: str | os.PathLike | None = None):
        self.path = Path(path).absolute() if path is not None else outputs_dir() / "ledger.sqlite"

    def __repr__(self) -> str:
        return f"Ledger({str(self.path)!r})"

    def record(self, table: str, rows: dict | Iterable[dict]) -> list[int | None]:
        """Add one row or several, all or none of them, and return their ids.

        Args:
            table: a table of `schema.sql`.
            rows: column -> value. Numbers may be NumPy's or PyTorch's; lists, arrays and dicts are stored as JSON. A
                column that is None or left out takes the schema's default. A row whose required `…_id` is None belongs
                to something that was not recorded: it is not recorded either, and its id is None. Where another table
                stands for a column, its value is a list of rows of that table, which belong to this row and get its id.

        Raises:
            ValueError: no such table or column, or a row that the schema refuses.
        """
        rows = [_prepared(table, row) for row in ([rows] if isinstance(rows, dict) else rows)]

        def work(database: sqlite3.Connection) -> list[int | None]:
            return [row and _insert(database, table, row) for row in rows]

        nothing = [None] * len(rows)
        return nothing if rows == nothing else self._write(work) or nothing

    def update(self, table: str, id: int | None, /, **columns: Any) -> None:
        """Complete the row `id` of a table. An id of None, of a row that was not recorded, does nothing.

        Raises:
            ValueError: no such table or column, or a value that the schema refuses.
            LedgerError: no such row.
        """
        columns = {name: _plain(table, name, value) for name, value in columns.items()}
        changes = ", ".join(f'"{name}" = ?' for name in columns)

        def work(database: sqlite3.Connection) -> None:
            if database.execute(f"UPDATE {table} SET {changes} WHERE id = ?", [*columns.values(), id]).rowcount == 0:
                raise LedgerError(f"{self._name} has no {table} {id}. {_REPLACED}")

        if id is not None and columns:
            self._write(work)

    def query(self, sql: str, parameters: Iterable | dict = ()) -> pandas.DataFrame:
        """The result of a SELECT. Nothing can be changed this way. Where there is no ledger yet, its tables are empty.

        Raises:
            sqlite3.Error: a mistake in the SQL, or an attempt to write.
        """
        import pandas as pd  # here, because a process that only writes does not need it

        if isinstance(parameters, dict):
            parameters = {name: _scalar(value) for name, value in parameters.items()}
        else:
            parameters = [_scalar(value) for value in parameters]
        with closing(self._reader()) as database:
            try:
                cursor = database.execute(sql, parameters)
                names = [column[0] for column in cursor.description or ()]
                return pd.DataFrame.from_records(cursor.fetchall(), columns=names, coerce_float=True)
            except sqlite3.DatabaseError as error:
                raise (self._error(error) if _code(error) in _UNUSABLE else error) from None

    def integrity(self) -> str:
        """The word ok, or what is wrong with the file, one problem a line. Reads the whole file."""
        try:
            with closing(self._reader()) as database:
                problems = [text for (text,) in database.execute("PRAGMA integrity_check") if text != "ok"]
                for table, row, parent, _ in database.execute("PRAGMA foreign_key_check"):
                    problems.append(f"row {row} of {table} names a row of {parent} that is not there")
                return "\n".join(problems) or "ok"
        except LedgerError as error:
            return str(error)
        except sqlite3.DatabaseError as error:
            return str(self._error(error))

    # Find or add. What a row that is there leaves empty is completed; what it says otherwise is refused (ValueError).

    def session(self) -> int | None:
        """The id of this process's row in `session`: its notebook, machine and software as they are on first use."""
        return self._find_or_add("session", _session(), ["pid", "started_at"], complete=False)

    def dataset(self, info: dict) -> int | None:
        """The id of a data set: the row with this name and sha256, completed, or added where it is new."""
        return self._find_or_add("dataset", info, ["name", "sha256"])

    def split(self, info: dict) -> int | None:
        """The id of a split: the row that agrees in every column, added where it is new."""
        return self._find_or_add("split", info, [name for name in _schema().columns["split"] if name != "id"])

    def architecture(self, info: dict) -> int | None:
        """The id of an architecture: the row with this name and config, completed, or added where it is new.

        `sha256` may be left out: it is computed from `config`.
        """
        if "sha256" not in info and "config" in info:
            config = json.dumps(_json(info["config"]), sort_keys=True)
            info = {**info, "sha256": hashlib.sha256(config.encode()).hexdigest()}
        return self._find_or_add("architecture", info, ["name", "sha256"])

    def environment(self, info: dict) -> int | None:
        """The id of an environment: the row with this name and these conditions, completed, or added where it is new.

        Where no conditions are named, another shift of the same place is another environment: it is the condition.
        """
        keys = ["name", "conditions"]
        try:
            return self._find_or_add("environment", info, keys)
        except ValueError:
            if info.get("conditions") or not info.get("shift"):
                raise
            return self._find_or_add("environment", {**info, "conditions": info["shift"]}, keys)

    def _find_or_add(self, table: str, info: dict, keys: list[str], complete: bool = True) -> int | None:
        row = _prepared(table, info)
        same = " AND ".join(f"ifnull({key}, '') = ifnull(?, '')" for key in keys)  # left out, NULL and '' are the same

        def work(database: sqlite3.Connection) -> int:
            database.row_factory = sqlite3.Row
            known = database.execute(f"SELECT * FROM {table} WHERE {same}", [row.get(key) for key in keys]).fetchone()
            if known is None:
                return _insert(database, table, row)
            new = {name: value for name, value in row.items() if value != "" and not _agree(name, known[name], value)}
            for name in new if complete else ():
                if known[name] not in (None, ""):
                    raise ValueError(
                        f"The ledger has the {table} {row['name']!r} with {name} {known[name]!r}, not {new[name]!r}: "
                        "give this one another name."
                    )
                database.execute(f"UPDATE {table} SET {name} = ? WHERE id = ?", [new[name], known["id"]])
            return known["id"]

        return None if row is None else self._write(work)

    # The file: how it is opened, and what its errors mean

    def _write(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """`work(connection)` in one transaction; its result, or None where the file cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            wal = _is_local(self.path.parent)
            try:
                return self._transaction(work, wal)
            except sqlite3.OperationalError as error:
                if not (wal and _code(error) in _UNWRITABLE):
                    raise
                return self._transaction(work, wal=False)  # a WAL that does not work looks like an unwritable file
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
                raise LedgerError(f"{self._name} lacks a row that this record names by its id. {_REPLACED}") from error
            raise ValueError(f"The ledger refuses this row: {error}. The rules are in labkit/schema.sql.") from error
        except (OSError, sqlite3.DatabaseError) as error:
            if not (isinstance(error, OSError) or _code(error) in _UNWRITABLE):
                raise self._error(error) from error
            if self.path not in _warned:
                _warned.add(self.path)
                reason = getattr(error, "strerror", None) or error
                warning = f"{self._name} cannot be written ({reason}): nothing is recorded, everything else goes on."
                warnings.warn(warning, stacklevel=3)
            return None

    def _transaction(self, work: Callable[[sqlite3.Connection], Any], wal: bool) -> Any:
        with closing(self._open("rwc", wal)) as database:
            if wal and _identity(database) == (0, 0):
                _enter_wal(database)
            elif not wal:
                _leave_wal(database)
            database.execute("PRAGMA foreign_keys = ON")
            database.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing, a power cut the last rows
            database.execute("BEGIN IMMEDIATE")
            if _identity(database) != (_schema().application_id, _schema().version):  # new, or of an older labkit
                _complete(database)
            result = work(database)
            database.execute("COMMIT")
            return result

    def _reader(self) -> sqlite3.Connection:
        """A connection that cannot change anything: to the file, or to empty tables where there is none."""
        database = None
        try:
            if os.path.exists(self.path):
                try:
                    database = self._open("rw")
                except sqlite3.OperationalError as error:
                    if _code(error) not in _UNWRITABLE:
                        raise
                    self._refuse_unfinished()
                    database = self._open("ro&immutable=1")  # in a read-only folder: no lock can be had, none is needed
        except sqlite3.DatabaseError as error:
            raise self._error(error) from error
        if database is None or _identity(database) == (0, 0):
            database = _empty()
        for table, missing in _missing(database).items():  # of an older labkit's ledger: empty, for this reader only
            if missing == _schema().columns[table].keys():
                statement = next(text for text in _statements() if f"CREATE TABLE {table} (" in text)
                database.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE"))
            elif missing:
                nothing = ", ".join(f'NULL AS "{name}"' for name in missing)
                database.execute(f"CREATE TEMP VIEW {table} AS SELECT *, {nothing} FROM main.{table}")
        database.execute("PRAGMA query_only = ON")
        return database

    def _open(self, mode: str, wal: bool = True) -> sqlite3.Connection:
        """A connection to a ledger of ours or to an empty file. Any other file is refused, and left as it is."""
        unfinished = any(os.path.exists(f"{self.path}{suffix}") for suffix in ("-wal", "-journal"))
        if unfinished and mode.startswith("rw"):
            # SQLite would first finish what a killed process left, in a file of another program too. So look before.
            try:
                self._open("ro").close()
            except sqlite3.OperationalError as error:
                if _code(error) not in _UNWRITABLE:
                    raise
        path = self.path.as_posix()
        path = quote(os.fsencode(path), safe="/:")  # as bytes: a name need not be text
        uri = f"file://{'' if path.startswith('/') else '/'}{path}?mode={mode}"
        database = sqlite3.connect(uri, uri=True, timeout=TIMEOUT, isolation_level=None)
        try:
            if not wal:
                database.execute("PRAGMA locking_mode = EXCLUSIVE")  # alone with the file, SQLite shares no memory
            self._refuse_others(database)
            page = database.execute("PRAGMA page_size").fetchone()[0]
            if not unfinished and self.path.stat().st_size % page:  # SQLite itself overlooks a part of a page
                raise self._error("its end is missing")
        except BaseException:
            database.close()
            raise
        return database

    def _refuse_unfinished(self) -> None:
        """Nothing is read beside a journal: immutable, SQLite would leave its rows out, or show half of a record."""
        for suffix in ("-wal", "-journal"):
            journal = Path(f"{self.path}{suffix}")
            if os.path.exists(journal) and journal.stat().st_size:
                raise LedgerError(
                    f"{self._name} cannot be read where nothing can be written, for {journal.name} holds a part of it: "
                    "copy both into a folder of your own, and read them there."
                )

    def _refuse_others(self, database: sqlite3.Connection) -> None:
        database.execute("BEGIN")  # one moment for both questions: another process may just be making the ledger
        application, version = _identity(database)
        occupied = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        database.execute("COMMIT")
        ours = application == _schema().application_id
        if ours and version > _schema().version:
            raise LedgerError(
                f"{self._name} was written by a newer labkit (schema {version}, here {_schema().version}) and "
                "is left as it is: update labkit, or set LABKIT_OUTPUTS to another folder."
            )
        if not ours and (application or occupied):
            raise LedgerError(
                f"{self._name} is another program's database and is left as it is: move it away, or set LABKIT_OUTPUTS "
                "to another folder."
            )

    def _error(self, reason: Exception | str) -> LedgerError:
        if _code(reason) == sqlite3.SQLITE_BUSY:
            return LedgerError(f"{self._name} is in use: close the program that holds it open, then run again.")
        return LedgerError(
            f"{self._name} is damaged or no ledger at all ({reason}) and is left as it is: move it away, and the next "
            "record starts a new one."
        )

    @property
    def _name(self) -> str:
        """The path as one would type it here."""
        try:
            return min(str(self.path), os.path.relpath(self.path), key=len)
        except (ValueError, OSError):  # on another drive, on Windows; in a folder that is gone
            return str(self.path)


def _code(error: Any) -> int:
    """SQLite's primary result code, https://sqlite.org/rescode.html; 0 where the error is not SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _identity(database: sqlite3.Connection) -> tuple[int, int]:
    """Whose file it is and which version of the schema it holds; (0, 0) for an empty one."""
    return tuple(database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))


def _missing(database: sqlite3.Connection) -> dict[str, set[str]]:
    """The columns of each table that a ledger of an older labkit lacks; all of them where it lacks the table."""
    found = {}
    for table, columns in _schema().columns.items():
        found[table] = columns.keys() - {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
    return found


def _complete(database: sqlite3.Connection) -> None:
    """Give a new file, or one of an older labkit, the tables and columns that it lacks."""
    for statement in _statements():
        database.execute(re.sub(r"^CREATE (\w+)", r"CREATE \1 IF NOT EXISTS", statement, flags=re.MULTILINE))
    for table, missing in _missing(database).items():
        for name in missing:
            database.execute(f'ALTER TABLE {table} ADD COLUMN "{name}" {_schema().columns[table][name]}')


@cache
def _is_local(folder: Path) -> bool:
    """Whether the folder is known to be on a disk of this machine. Only Linux tells; looking never raises."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        folder = folder.resolve()
    except (OSError, RuntimeError):  # no such file; links in a circle
        return False
    mounts = [line.split(" ") for line in lines if line.count(" ") >= 2]
    above = [
        (len(point), order, kind)  # the deepest folder holds, and what was mounted there last
        for order, (_, point, kind, *_) in enumerate(mounts)
        if folder.is_relative_to(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point))  # \040 is a space
    ]
    return max(above, default=("unknown",))[-1] in _LOCAL_FILE_SYSTEMS


def _enter_wal(database: sqlite3.Connection) -> None:
    """Switch a new file to write-ahead logging, unless SQLite declines."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)  # another process is creating the file too


def _leave_wal(database: sqlite3.Connection) -> None:
    """Back to the classic journal, on a connection that was opened without WAL."""
    if database.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        database.execute("PRAGMA journal_mode = DELETE")
    database.execute("PRAGMA locking_mode = NORMAL")
    database.execute("SELECT count(*) FROM sqlite_master").fetchone()  # only the next read lets go of the file


# The schema and its rows ----------------------------------------------------------------------------------------------


class _Schema(NamedTuple):
    application_id: int
    version: int
    columns: dict[str, dict[str, str]]  # table -> column -> type
    parents: dict[str, set[str]]  # table -> its columns that must name a row of another table


@cache
def _statements() -> list[str]:
    """`schema.sql`, statement by statement."""
    statements = [""]
    for line in Path(__file__).with_name("schema.sql").read_text(encoding="utf-8").splitlines(keepends=True):
        statements[-1] += line
        if sqlite3.complete_statement(statements[-1]):
            statements.append("")
    return statements


def _empty() -> sqlite3.Connection:
    """A database in memory with the tables, and nothing in them."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    for statement in _statements():
        database.execute(statement)
    return database


@cache
def _schema() -> _Schema:
    """What `schema.sql` says, as SQLite understands it."""
    columns, parents = {}, {}
    with closing(_empty()) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            references = {row[3] for row in database.execute(f"PRAGMA foreign_key_list({table})")}
            info = database.execute(f"PRAGMA table_info({table})").fetchall()
            columns[table] = {name: kind for _, name, kind, *_ in info}
            parents[table] = {name for _, name, _, required, *_ in info if required and name in references}
        return _Schema(*_identity(database), columns, parents)


def _prepared(table: str, row: dict) -> dict | None:
    """The row as SQLite takes it, with rows that belong to it; None where what it belongs to was not recorded."""
    own = f"{table}_id"
    children = {name: rows for name, rows in row.items() if own in _schema().columns.get(name, ())}
    columns = {name: _plain(table, name, value) for name, value in row.items() if name not in children}
    if any(name in columns and columns[name] is None for name in _schema().parents.get(table, ())):
        return None
    children = {name: [_prepared(name, {**child, own: 0}) for child in rows] for name, rows in children.items()}
    return {name: value for name, value in columns.items() if value is not None} | children


def _insert(database: sqlite3.Connection, table: str, row: dict) -> int:
    children = {name: rows for name, rows in row.items() if isinstance(rows, list)}
    columns = {name: value for name, value in row.items() if name not in children}
    names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
    id = database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(columns.values())).lastrowid
    for name, rows in children.items():
        for child in filter(None, rows):
            _insert(database, name, child | {f"{table}_id": id})
    return id


def _agree(column: str, known: Any, given: Any) -> bool:
    """Whether two values of a column say the same. JSON may name the same things in another order."""
    return known == given or (column == "config" and json.loads(known) == json.loads(given))


def _plain(table: str, column: str, value: Any) -> Any:
    """The value as SQLite takes it. SQLite itself would put text into a column of numbers; here that is an error."""
    columns = _schema().columns
    if table not in columns:
        raise ValueError(f"The ledger has no table {table!r}; it has {', '.join(columns)}.")
    if column not in columns[table]:
        raise ValueError(f"The table {table} has no column {column!r}; it has {', '.join(columns[table])}.")
    plain, kind = _scalar(value), columns[table][column]
    if plain is not None and not isinstance(plain, {"INTEGER": int, "REAL": (int, float)}.get(kind, object)):
        what = "a whole number" if kind == "INTEGER" else "a number"
        raise ValueError(f"{table}.{column} in the ledger takes {what}, not {value!r}.")
    return plain


def _scalar(value: Any) -> Any:
    """None, a number or text: arrays, lists and dicts as JSON, scalars of NumPy and PyTorch as Python's."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, (dict, list, tuple)):
        value = json.dumps(_json(value), ensure_ascii=False)
    if isinstance(value, PurePath):
        value = value.as_posix()
    if isinstance(value, str):  # the name of a file may hold bytes that are no text
        value = value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"The ledger holds whole numbers of at most 64 bits, not {value}.")
    if value is not None and not isinstance(value, (int, float, str)):
        raise ValueError(f"The ledger cannot hold a {type(value).__name__}: {value!r}.")
    return value


def _json(value: Any) -> Any:
    """The same made of JSON's types. NaN and infinities become null, for JSON has none; what else it lacks, text."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, dict):
        return {str(name): _json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (int, float)) else str(value)


# The session ----------------------------------------------------------------------------------------------------------


def _session() -> dict:
    import numpy  # here, because both are slow to load and a process that asks for no session does without
    import torch

    return {
        "notebook": notebook_name(),
        "pid": os.getpid(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "labkit_sha256": labkit_sha256(),
        "platform": platform.platform(),
        "processor": processor(),
        "device": os.environ.get("LABKIT_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu"),
        "threads": torch.get_num_threads(),
        "started_at": _STARTED,
    }


def notebook_name() -> str:
    """The notebook's name as our runner or Jupyter gives it, else the script's."""
    if name := os.environ.get("LABKIT_NOTEBOOK") or Path(os.environ.get("JPY_SESSION_NAME", "")).stem:
        return name
    script = Path(getattr(sys.modules["__main__"], "__file__", None) or "interactive")
    return script.parent.name if script.stem == "__main__" else script.stem  # `python -m pytest` is pytest


@cache
def processor() -> str:
    """The processor's name, as the operating system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine() or "unknown"


@cache
def labkit_sha256() -> str:
    """Fingerprint of labkit's code: its files' names and contents, the same with the line ends of any system."""
    digest = hashlib.sha256()
    for path in sorted(path for path in Path(__file__).parent.iterdir() if path.suffix in (".py", ".sql")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


if __name__ == "__main__":
    from labkit.audit import main

    sys.exit(main())
