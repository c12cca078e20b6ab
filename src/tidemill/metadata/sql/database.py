"""Connections and transactions: one connection per thread, one transaction at a time on it.

All SQL of this room goes through a `Transaction`, which counts as done only when its block ends
without an error. `read` and `write` ask again when a transaction met another one or the server went away;
`reading` and `writing` are one attempt. This file knows no table and no database.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import ChainMap, Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Concatenate, ParamSpec, TypeVar

from tidemill.errors import StoreError
from tidemill.metadata.model import PropertyType, TypeKind
from tidemill.metadata.sql import dialect
from tidemill.metadata.sql.dialect import Dialect, Trouble

Row = tuple[Any, ...]
P = ParamSpec("P")
T = TypeVar("T")

MOST_RACES = 4
"""Attempts at what breaks a unique rule: the first may have lost a race, later ones rarely have."""


@dataclass(frozen=True, slots=True)
class StoredType:
    """A type as it is stored."""

    id: int
    properties: dict[str, PropertyType]
    base_type: str


class Tally:
    """How many transactions there were, for whoever watches a server: committed ones by kind (`read`,
    `write`), those tried again by reason (`lost`, `again`, `raced`)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """Count one."""
        with self._lock:
            self._counts[name] += 1

    def counts(self) -> dict[str, int]:
        """All of them, now."""
        with self._lock:
            return dict(self._counts)


class Known:
    """Ids that never change once stored, kept so that they are asked for once per process.

    A transaction adds to its own layer, which is merged when it is committed.
    """

    def __init__(self) -> None:
        self.types: dict[tuple[TypeKind, str], StoredType] = {}
        self.contexts: dict[tuple[str, str], int] = {}
        """(context type, name) -> id."""


_FEWEST_IDS = 100
"""Ids in one portion of `rows_in`, however many other values the query has."""


class Transaction:
    """SQL within one transaction. Errors of the driver pass through; the block's end translates them."""

    __slots__ = ("_cursor", "_database", "_waiting", "contexts", "dialect", "now", "types")

    def __init__(self, connection: Any, database: Database, *, write: bool) -> None:
        self.dialect = database.dialect
        self._database = database
        self._cursor = connection.cursor()
        self._waiting = self.dialect.begin(self._cursor, write=write)
        known = database.known
        self.types: ChainMap[tuple[TypeKind, str], StoredType] = ChainMap({}, known.types)
        self.contexts: ChainMap[tuple[str, str], int] = ChainMap({}, known.contexts)
        self.now = int(time.time() * 1000)
        """Milliseconds since 1970-01-01 UTC: the one time of everything that happens in it."""

    def _before(self) -> dialect.Waiting:
        waiting, self._waiting = self._waiting, []
        return waiting

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run a statement; how many rows it found to change."""
        self.dialect.execute(self._cursor, sql, values, self._before())
        return int(self._cursor.rowcount)

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """All rows of a query."""
        self.dialect.execute(self._cursor, sql, values, self._before())
        return list(self._cursor.fetchall())

    def row(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        """The first row of a query, or None."""
        self.dialect.execute(self._cursor, sql, values, self._before())
        row: Row | None = self._cursor.fetchone()
        return row

    def each(self, sql: str, values: Sequence[object] = ()) -> Iterator[Row]:
        """The rows of a query one by one, for a caller that may stop early and asks nothing meanwhile."""
        self.dialect.execute(self._cursor, sql, values, self._before())
        while (row := self._cursor.fetchone()) is not None:
            yield row

    def lock(self, sql: str, values: Sequence[object] = ()) -> bool:
        """Keep the rows of a query as they are until the transaction ends; what is read next is fresh.

        Whether that can have taken time: False when nobody else can write anyway.
        """
        waiting = self.dialect.lock(self._cursor, sql, values)
        self._waiting += waiting or []
        return waiting is not None

    def commit(self) -> None:
        """Make it durable, or raise."""
        self.dialect.commit(self._cursor, self._before())

    def rows_in(self, sql: str, ids: Iterable[object], values: Sequence[object] = ()) -> list[Row]:
        """All rows of a query whose `{ids}` stands for the list `ids`, after the other `values`.

        One query for as many ids as the database takes, else several; no ids, no query.
        """
        found: list[Row] = []
        wanted = list(ids)
        # A long filter has many values of its own; then the ids go in small portions beside them.
        step = max(dialect.MOST_PARAMETERS - len(values), _FEWEST_IDS)
        for start in range(0, len(wanted), step):
            part = wanted[start : start + step]
            found += self.rows(sql.replace("{ids}", ", ".join("?" * len(part))), [*values, *part])
        return found

    def insert(self, table: str, columns: str, row: Sequence[object]) -> int:
        """Insert one row into a table whose key is a counted `id`; the id it got."""
        self._check_names(table, columns, row)
        marks = ", ".join("?" * len(row))
        sql = f"INSERT INTO {table} ({columns}) VALUES ({marks})"
        return self.dialect.insert(self._cursor, sql, row, self._before())

    def insert_rows(self, table: str, columns: str, rows: Sequence[Sequence[object]]) -> None:
        """Insert rows with as few statements as the database's limit on parameters allows."""
        if not rows:
            return
        width = len(rows[0])
        marks = f"({', '.join('?' * width)})"
        step = dialect.MOST_PARAMETERS // width
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            for row in part:
                self._check_names(table, columns, row)
            values = [value for row in part for value in row]
            self.execute(f"INSERT INTO {table} ({columns}) VALUES {', '.join([marks] * len(part))}", values)

    def _check_names(self, table: str, columns: str, row: Sequence[object]) -> None:
        """Refuse what the database would refuse without saying which name it was."""
        most = self.dialect.longest_name
        if not most:
            return
        for place, column in _places(columns, self._database.names_of.get(table, ())):
            value = row[place]
            if isinstance(value, str) and self.dialect.length(value) > most:
                raise StoreError(
                    f"{value[:40]}... is too long for {column} of {table}: "
                    f"{self.dialect.length(value)} characters, and the database takes {most}",
                    where=self.dialect.where,
                    hint="choose shorter names for the pipeline, the run, the node or the artifact",
                )


@lru_cache(maxsize=256)
def _places(columns: str, names: tuple[str, ...]) -> list[tuple[int, str]]:
    return [(place, column) for place, column in enumerate(columns.split(", ")) if column in names]


@dataclass(slots=True)
class _Attempt:
    """How an attempt at a transaction ended."""

    trouble: Trouble | None = None
    at_commit: bool = False


class Database:
    """One database, reached by any thread of this process and of its children."""

    def __init__(self, dialect: Dialect, names_of: Mapping[str, tuple[str, ...]]) -> None:
        self.dialect = dialect
        self.names_of = names_of
        """Table -> its columns for names, whose length is limited."""
        self.known = Known()
        self.tally = Tally()
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, Any] = {}
        self._process = os.getpid()
        self._inherited: list[dict[threading.Thread, Any]] = []
        self._closed = False
        self._reached = False

    def close(self) -> None:
        """Close every thread's connection. Doing it again is a no-op."""
        with self._lock:
            self._closed = True
            if self._process == os.getpid():
                for connection in self._connections.values():
                    with suppress(*self.dialect.errors):
                        connection.close()
                self._connections = {}

    # --- asking until there is an answer -----------------------------------------------------------

    def read(
        self, question: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Answer a question from one state of the database. It may be asked more than once."""

        def attempt(ended: _Attempt) -> T:
            with self._transaction(ended, write=False) as tx:
                return question(tx, *args, **kwargs)

        return self._insist(attempt)

    def write(
        self, change: Callable[[Transaction], T], landed: Callable[[Transaction, T], bool] | None = None
    ) -> T:
        """Make a change that is durable when this returns, or was never made; its answer.

        It may be tried more than once, each time on what is stored then. When a connection is lost while
        it is committed, nobody knows whether it was. Then `landed` is asked in a new transaction, which
        must lock what the change had locked, and says whether the change with that answer is stored. A
        change that finds out by itself needs none.
        """
        in_doubt: list[T] = []

        def attempt(ended: _Attempt) -> T:
            with self._transaction(ended, write=True) as tx:
                for answer in in_doubt if landed is not None else ():
                    if landed is not None and landed(tx, answer):
                        return answer
                made = change(tx)
                in_doubt.append(made)
            return made

        def settled(ended: _Attempt) -> T:
            known = len(in_doubt)
            try:
                return attempt(ended)
            except StoreError:
                if not (ended.trouble is Trouble.LOST and ended.at_commit):
                    del in_doubt[known:]
                raise

        return self._insist(settled)

    def create(self, change: Callable[[Transaction], None]) -> None:
        """Write while nobody else creates tables."""
        try:
            with self.dialect.creating(self.connection()):
                self.write(change)
        except self.dialect.errors as error:
            raise self.dialect.explain(error) from error

    def _insist(self, attempt: Callable[[_Attempt], T]) -> T:
        """Ask until there is an answer, or patience ends."""
        end = time.monotonic() + dialect.PATIENCE_SECONDS
        tries = 0
        while True:
            ended, reached = _Attempt(), self._reached
            try:
                return attempt(ended)
            except StoreError:
                tries += 1
                hopeless = ended.trouble is None or ended.trouble is Trouble.REFUSED
                hopeless = hopeless or (ended.trouble is Trouble.RACED and tries >= MOST_RACES)
                hopeless = hopeless or (ended.trouble is Trouble.LOST and not reached)
                pause = random.uniform(0.5, 1.0) * min(1.0, 0.002 * 2.0**tries)
                if hopeless or self._closed or time.monotonic() + pause > end:
                    raise
                self.tally.add(ended.trouble.name.lower() if ended.trouble else "")
            time.sleep(pause)

    # --- one attempt -------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A block that sees one state of the database."""
        with self._transaction(_Attempt(), write=False) as tx:
            yield tx

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A block whose changes are durable when it ends, or were never made."""
        with self._transaction(_Attempt(), write=True) as tx:
            yield tx

    @contextmanager
    def _transaction(self, ended: _Attempt, *, write: bool) -> Iterator[Transaction]:
        if write and self.dialect.read_only:
            raise StoreError("the store was opened read-only", where=self.dialect.where)
        connection = None
        try:
            connection = self.connection()
            tx = Transaction(connection, self, write=write)
            yield tx
            ended.at_commit = True
            tx.commit()
        except BaseException as error:
            if isinstance(error, self.dialect.errors):
                ended.trouble = self.dialect.trouble(error)
            if connection is not None:
                self._undo(connection, gone=ended.trouble is Trouble.LOST)
            told: tuple[type[Exception], ...] = (*self.dialect.errors, OverflowError, UnicodeError)
            if isinstance(error, told):
                raise self.dialect.explain(error) from error
            raise
        self._reached = True
        self.tally.add("write" if write else "read")
        self.known.types.update(tx.types.maps[0])
        self.known.contexts.update(tx.contexts.maps[0])

    def _undo(self, connection: Any, *, gone: bool) -> None:
        """Leave no transaction open; a connection on which that fails is given up."""
        if not gone:
            try:
                self.dialect.rollback(connection)
                return
            except self.dialect.errors:  # the cause matters, not what undoing says
                pass
        thread = threading.current_thread()
        if self._connections.get(thread) is connection:
            del self._connections[thread]
        with suppress(*self.dialect.errors):
            connection.close()

    def settle(self) -> None:
        """Put a database that is known to be ours into the mode we write in; outside any transaction."""
        try:
            self.dialect.settle(self.connection())
        except self.dialect.errors as error:
            raise self.dialect.explain(error) from error

    def connection(self) -> Any:
        """This thread's connection, opened when it has none."""
        if self._process != os.getpid():
            self._after_fork()
        thread = threading.current_thread()
        connection = self._connections.get(thread)
        if connection is None:
            connection = self._open(thread)
        return connection

    def _open(self, thread: threading.Thread) -> Any:
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed", where=self.dialect.where)
            for ended in [t for t in self._connections if not t.is_alive()]:
                with suppress(*self.dialect.errors):
                    self._connections.pop(ended).close()
        connection = self.dialect.connect()
        with self._lock:
            self._connections[thread] = connection
        return connection

    def _after_fork(self) -> None:
        """Connections must not be used, nor closed, by a child that inherited them."""
        self._inherited.append(self._connections)
        self._connections = {}
        self._lock = threading.Lock()
        self.tally = Tally()  # its lock may have been held by another thread
        self._process = os.getpid()
