"""Connections and transactions: one connection per thread, one transaction at a time on it.

All SQL of this room goes through a `Transaction`, which counts as done only when its block ends
without an error. This file knows no table.
"""

from __future__ import annotations

import os
import threading
import time
from collections import ChainMap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.errors import StoreError
from tidemill.metadata.model import PropertyType, TypeKind
from tidemill.metadata.sql import dialect

if TYPE_CHECKING:
    from sqlite3 import Connection, Cursor

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class StoredType:
    """A type as it is stored."""

    id: int
    properties: dict[str, PropertyType]
    base_type: str


class Known:
    """Ids that never change once stored, kept so that they are asked for once per process.

    A transaction adds to its own layer, which is merged when it is committed.
    """

    def __init__(self) -> None:
        self.types: dict[tuple[TypeKind, str], StoredType] = {}
        self.contexts: dict[tuple[str, str], int] = {}
        """(context type, name) -> id."""


class Transaction:
    """SQL within one transaction. Errors of the driver pass through; the block's end translates them."""

    __slots__ = ("_cursor", "contexts", "now", "types")

    def __init__(self, connection: Connection, known: Known) -> None:
        self._cursor: Cursor = connection.cursor()
        self.types: ChainMap[tuple[TypeKind, str], StoredType] = ChainMap({}, known.types)
        self.contexts: ChainMap[tuple[str, str], int] = ChainMap({}, known.contexts)
        self.now = int(time.time() * 1000)
        """Milliseconds since 1970-01-01 UTC: the one time of everything that happens in it."""

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run a statement; how many rows it changed."""
        return self._cursor.execute(sql, values).rowcount

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """All rows of a query."""
        return self._cursor.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        """The first row of a query, or None."""
        row: Row | None = self._cursor.execute(sql, values).fetchone()
        return row

    def each(self, sql: str, values: Sequence[object] = ()) -> Iterator[Row]:
        """The rows of a query one by one, for a caller that may stop early and asks nothing meanwhile."""
        yield from self._cursor.execute(sql, values)

    def rows_in(self, sql: str, ids: Iterable[object], values: Sequence[object] = ()) -> list[Row]:
        """All rows of a query whose `{ids}` stands for the list `ids`, after the other `values`.

        One query for up to dialect.MOST_PARAMETERS ids, else several; no ids, no query.
        """
        found: list[Row] = []
        wanted = list(ids)
        step = dialect.MOST_PARAMETERS - len(values)
        for start in range(0, len(wanted), step):
            part = wanted[start : start + step]
            found += self.rows(sql.replace("{ids}", ", ".join("?" * len(part))), [*values, *part])
        return found

    def insert(self, table: str, columns: str, row: Sequence[object]) -> int:
        """Insert one row; its id, where the table has one."""
        marks = ", ".join("?" * len(row))
        self._cursor.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", row)
        return dialect.inserted_id(self._cursor)

    def insert_rows(self, table: str, columns: str, rows: Sequence[Sequence[object]]) -> None:
        """Insert rows with as few statements as the database's limit on parameters allows."""
        if not rows:
            return
        width = len(rows[0])
        marks = f"({', '.join('?' * width)})"
        step = dialect.MOST_PARAMETERS // width
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            values = [value for row in part for value in row]
            self._cursor.execute(
                f"INSERT INTO {table} ({columns}) VALUES {', '.join([marks] * len(part))}", values
            )


class Database:
    """One database, reached by any thread of this process and of its children."""

    def __init__(self, place: dialect.Place) -> None:
        self.place = place
        self._known = Known()
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, Connection] = {}
        self._process = os.getpid()
        self._inherited: list[dict[threading.Thread, Connection]] = []
        self._closed = False

    def close(self) -> None:
        """Close every thread's connection. Doing it again is a no-op."""
        with self._lock:
            self._closed = True
            if self._process == os.getpid():
                for connection in self._connections.values():
                    connection.close()
                self._connections = {}

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A block that sees one state of the database."""
        with self._transaction(dialect.BEGIN_READ) as tx:
            yield tx

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A block whose changes are durable when it ends, or were never made."""
        if self.place.read_only:
            raise StoreError("the store was opened read-only", where=str(self.place.path))
        with self._transaction(dialect.BEGIN_WRITE) as tx:
            yield tx

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Transaction]:
        try:
            connection = self.connection()
            connection.execute(begin)
            try:
                tx = Transaction(connection, self._known)
                yield tx
                connection.execute("COMMIT")
            except BaseException:
                with suppress(dialect.driver().Error):  # the cause matters, not what undoing says
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                raise
        except (dialect.driver().Error, OverflowError, UnicodeError) as error:
            raise self.place.explain(error) from error
        self._known.types.update(tx.types.maps[0])
        self._known.contexts.update(tx.contexts.maps[0])

    def settle(self) -> None:
        """Put a database that is known to be ours into the mode we write in; outside any transaction."""
        try:
            self.place.settle(self.connection())
        except dialect.driver().Error as error:
            raise self.place.explain(error) from error

    def connection(self) -> Connection:
        """This thread's connection, opened when it has none."""
        if self._process != os.getpid():
            self._after_fork()
        thread = threading.current_thread()
        connection = self._connections.get(thread)
        if connection is None:
            connection = self._open(thread)
        return connection

    def _open(self, thread: threading.Thread) -> Connection:
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed", where=str(self.place.path))
            for ended in [t for t in self._connections if not t.is_alive()]:
                self._connections.pop(ended).close()
        connection = self.place.connect()
        with self._lock:
            self._connections[thread] = connection
        return connection

    def _after_fork(self) -> None:
        """SQLite connections must not be used, nor closed, by a child that inherited them."""
        self._inherited.append(self._connections)
        self._connections = {}
        self._lock = threading.Lock()
        self._process = os.getpid()
