"""SQLite: a file that processes of one machine share, one writer at a time.

The only file that knows what is special about SQLite. It knows nothing of tables, types or runs.
Sources: sqlite.org/isolation.html, /wal.html (WAL-reset bug), /rescode.html, /pragma.html.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from tidemill.errors import StoreError
from tidemill.metadata.sql.dialect import Dialect, Trouble, Waiting
from tidemill.metadata.sql.turns import turns_of

if TYPE_CHECKING:
    from sqlite3 import Connection, Cursor

SUPPORTED = "sqlite:///relative/path.db, sqlite:////absolute/path.db, or a plain path"

BUSY_SECONDS = 30.0
"""How long a transaction waits for another process before it gives up."""

PAGE_BYTES = 1024
"""Size of a page of a new database; one that is there keeps its own. A commit writes every page that it
changed whole, some 45 of them: with 2048 a publication takes a seventh more CPU, with SQLite's 4096 a third.
Reading takes the same."""

LOG_PAGES = 16_000
"""Pages in the write-ahead log before they are moved to the database. Commits change the same pages
again and again, and each is moved once: with SQLite's 1000 a commit takes about 5 % more."""

CACHE_KIB = 16 * 1024
"""Most memory that a connection keeps pages in: the indexes of a store with a history."""

COLUMN_TYPES = {
    "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "key": "INTEGER PRIMARY KEY",
    "int": "INT",
    "int64": "INT",
    "ref": "INT NOT NULL",
    "time": "INT NOT NULL DEFAULT 0",
    "time?": "INT",
    "kind!": "TINYINT(1) NOT NULL",
    "name": "VARCHAR(255)",
    "name!": "VARCHAR(255) NOT NULL",
    "unique": "VARCHAR(255) UNIQUE",
    "text": "TEXT",
    "value": "TEXT",
    "own!": "VARCHAR(255) NOT NULL",
    "own": "VARCHAR(255) NOT NULL DEFAULT ''",
    "count": "INT NOT NULL DEFAULT 0",
    "text!": "TEXT NOT NULL",
    "flag!": "TINYINT(1) NOT NULL",
    "bool": "BOOLEAN",
    "double": "DOUBLE",
    "bytes": "BLOB",
}


@cache
def driver() -> Any:
    """The DB-API module: the standard library's, or pysqlite3 when it is installed and newer."""
    best = importlib.import_module("sqlite3")
    try:
        other = importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return best
    if other.sqlite_version_info <= best.sqlite_version_info:
        return best
    # pysqlite3 takes 1.5 us to find out that nothing adapts such a parameter, and 0.2 us to adapt it.
    for kind, same in ((type(None), {}.get), (bool, int), (bytes, bytes)):
        other.adapters.setdefault((kind, other.PrepareProtocol), same)
    return other


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite has the fix of the WAL-reset bug, which loses commits of two writers."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


class SqliteDialect(Dialect):
    """A database file, and whether we may write to it."""

    names_constraints = False
    insertion = "INSERT OR FAIL INTO"  # else each page that many rows change is copied before
    mixes_types = True
    walks = True
    numbers_parameters = True
    counts_up = True  # AUTOINCREMENT, while nobody else writes
    column_types: ClassVar = COLUMN_TYPES
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    path_order = "ORDER BY event_id, rowid"
    columns = (
        'SELECT t.name, c.name, c.type, c."notnull", c.dflt_value '
        "FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY t.name, c.cid"
    )
    # A key that is the rowid has no index of its own; the others are called sqlite_autoindex_TABLE_N.
    indexes = (
        "SELECT t.name, i.name, i.\"unique\", COALESCE(c.name, 'an expression'), m.sql "
        "FROM sqlite_master t, "
        "pragma_index_list(t.name) i, pragma_index_info(i.name) c, sqlite_master m "
        "WHERE t.type = 'table' AND m.type = 'index' AND m.name = i.name ORDER BY t.name, i.name, c.seqno"
    )
    home = "SELECT 'main'"
    kind = "SQLite"
    alters = False
    copies = True

    def __init__(self, path: Path, *, read_only: bool) -> None:
        super().__init__(str(path), read_only=read_only)
        self.path = path
        self._turns_of, self._turns = os.getpid(), turns_of(path)

    @classmethod
    def locate(cls, url: str, *, read_only: bool) -> SqliteDialect:
        """The database that `url` names; its folder is made unless `read_only`. StoreError when unfit."""
        path = Path(_path_of(url))
        if path.is_dir():
            raise StoreError(
                f"{path} is a folder, not a database file", hint=f"name a file in it: {path / 'metadata.db'}"
            )
        if read_only and not path.exists():
            raise StoreError(f"there is no metadata store at {path}", hint="nothing was run with it yet")
        if not read_only:
            _make_folder(path.parent)
            if path.exists() and not os.access(path, os.W_OK, effective_ids=_EFFECTIVE):
                raise StoreError(
                    f"{path} may not be written by this user",
                    hint="change its permissions, or open it with read_only=True",
                )
        return cls(path, read_only=read_only)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """The standard library's, or pysqlite3's."""
        return (driver().Error,)

    def connect(self) -> Connection:
        """A connection without implicit transactions. Raises the driver's errors."""
        mode = "ro" if self.read_only else "rwc"
        connection: Connection = driver().connect(
            f"file:{quote(str(self.path.absolute()))}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # each thread uses its own; only close() comes from elsewhere
            cached_statements=256,
        )
        try:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        except BaseException:
            connection.close()
            raise
        return connection

    def turn(self) -> AbstractContextManager[None]:
        """In the order of arrival: SQLite itself lets whoever just wrote write again."""
        if self.read_only:
            return nullcontext()
        if self._turns_of != os.getpid():
            self._turns_of, self._turns = os.getpid(), turns_of(self.path)
        return self._turns.turn()

    def begin(self, cursor: Cursor, *, write: bool) -> Waiting:
        """Take the write lock at once: a transaction that reads first could not wait for it later."""
        cursor.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        return []

    def rollback(self, connection: Connection) -> None:
        """Undo, if anything was begun."""
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    def lock(self, cursor: Cursor, sql: str, values: Sequence[object]) -> None:
        """Nothing to do: whoever writes is alone."""

    def trouble(self, error: Exception) -> Trouble:
        """SQLite waits for its lock by itself; nothing is worth asking again."""
        del error
        return Trouble.REFUSED

    def index(self, name: str, table: str, columns: str, *, sparse: str, text: str, wide: bool) -> str:
        """Partial where MLMD makes it so."""
        del text, wide
        only = f" WHERE {sparse} IS NOT NULL" if sparse else ""
        return f"CREATE INDEX IF NOT EXISTS {name} ON {table} ({columns}){only}"

    def settle(self, connection: Connection, *, improve: bool) -> None:
        """Bring a database that is ours into the state we write in. Raises the driver's errors.

        Write-ahead log where it is safe, a rollback journal elsewhere. The mode is kept in the file, so a
        store must not be shared by processes that link a fixed and an unfixed SQLite: the last one to
        open it decides.
        """
        safe = wal_is_safe(driver().sqlite_version_info)
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if self.read_only or safe == (mode == "wal") or (safe and not improve):
            return
        try:
            connection.execute(f"PRAGMA journal_mode = {'WAL' if safe else 'DELETE'}")
        except driver().OperationalError as error:
            if not str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_BUSY"):
                raise
            if safe:
                return  # somebody is writing; both modes are safe, and the next to open tries again
            raise StoreError(
                "another process uses the database with a write-ahead log, which SQLite "
                f"{driver().sqlite_version} of this process cannot do safely (WAL-reset bug)",
                where=str(self.path),
                hint="end that process, or install pysqlite3 here: pip install 'tidemill[sqlite]'",
            ) from error

    def rebuild(self, table: str, made: str, columns: Sequence[str]) -> tuple[str, ...]:
        """By a second table that takes the place of the first."""
        new, names = f"{table}_tidemill_new", ", ".join(columns)
        count = f"SELECT '{new}', seq FROM sqlite_sequence WHERE name = '{table}'"
        keep_count = (
            f"DELETE FROM sqlite_sequence WHERE name = '{new}'",
            f"INSERT INTO sqlite_sequence (name, seq) {count}",
        )
        return (
            made.replace(f"IF NOT EXISTS {table} ", f"{new} ", 1),
            f"INSERT INTO {new} ({names}) SELECT {names} FROM {table}",
            *(keep_count if "AUTOINCREMENT" in made else ()),
            f"DROP TABLE {table}",
            f"ALTER TABLE {new} RENAME TO {table}",
        )

    def backup(self, connection: Connection, mark: str) -> str:
        """Beside the file, whole and on the disk, or not at all. Raises the driver's errors, or OSError."""
        places = (f"{self.path}.{mark}{n}" for n in ("", *(f".{i}" for i in range(2, 1000))))
        place = next(Path(place) for place in places if not Path(place).exists())
        part = place.with_name(f"{place.name}.part")
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        try:
            copy = driver().connect(str(part))
            try:
                connection.backup(copy)
            finally:
                copy.close()
            part.chmod(self.path.stat().st_mode)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.rename(place)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return str(place)

    def facts(self, connection: Connection) -> dict[str, str]:
        """Its version and how it commits."""
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        return {"version": str(driver().sqlite_version), "journal_mode": str(mode)}

    def explain(self, error: Exception) -> StoreError:
        """What an error of the driver means, for people."""
        name = str(getattr(error, "sqlite_errorname", ""))
        what, hint = f"the store refused: {error}", ""
        for prefix, (meaning, mend) in _MEANINGS.items():
            if name.startswith(prefix):
                what, hint = meaning.format(error=error, seconds=BUSY_SECONDS), mend
                break
        if self.read_only and name.startswith("SQLITE_READONLY"):
            what = "the database has a write-ahead log, which also readers keep in files beside it"
            hint = "let this user write in its folder, or copy the database to another one"
        return StoreError(what, where=str(self.path), hint=hint)


_EFFECTIVE = os.access in os.supports_effective_ids

_MEANINGS = {
    "SQLITE_BUSY": (
        "the database is locked: another process kept it for more than {seconds:g} s",
        "find the process that holds a transaction open on the file and end it",
    ),
    "SQLITE_LOCKED": ("the database is locked by this process", "do not share the file through ATTACH"),
    "SQLITE_FULL": ("the disk is full: nothing was recorded", "free some space and ask again"),
    "SQLITE_READONLY": (
        "the database may not be written ({error})",
        "change the permissions of the file and its folder, or open it with read_only=True",
    ),
    "SQLITE_NOTADB": ("the file is not a SQLite database", "name another file"),
    "SQLITE_CORRUPT": ("the database is damaged ({error})", "restore it from a backup"),
    "SQLITE_CANTOPEN": (
        "the database cannot be opened ({error})",
        "check that its folder exists and that this user may write in it",
    ),
    "SQLITE_IOERR": ("reading or writing the database failed ({error})", "check the disk, then ask again"),
    "SQLITE_CONSTRAINT": ("the record contradicts one that is stored ({error})", "nothing was recorded"),
}
"""Primary result code -> (what happened, how to mend it)."""


def _path_of(url: str) -> str:
    path = url.removeprefix("sqlite:///")
    if path == url and url.startswith("sqlite:"):
        raise StoreError(f"{url} does not name a file", hint=f"use {SUPPORTED}")
    if not path or path == ":memory:":
        raise StoreError(
            f"{url!r} does not name a file",
            hint=f"every thread and process must reach the same store: use {SUPPORTED}",
        )
    return path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder {folder} cannot be made: {error.strerror}", where=str(folder)
        ) from error
