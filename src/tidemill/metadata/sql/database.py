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
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from tidemill.errors import StoreError
from tidemill.metadata.sql import dialect
from tidemill.metadata.sql.dialect import Dialect, Trouble
from tidemill.metadata.sql.transaction import Known, Row, StoredType, Transaction

__all__ = ["Database", "Known", "Row", "StoredType", "Transaction"]

P = ParamSpec("P")
T = TypeVar("T")

MOST_RACES = 4
"""Attempts at what breaks a unique rule: the first may have lost a race, later ones rarely have."""


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
        self.lens = ""
        """What goes before every query, for readers of an older schema."""
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
            with self.dialect.turn(), self._transaction(ended, write=True) as tx:
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
        """Write while nobody else creates tables. What `change` refuses stays as it is."""
        self._settle(improve=False)
        try:
            with self.dialect.creating(self.connection()):
                self.write(change)
        except self.dialect.errors as error:
            raise self.dialect.explain(error) from error
        self.settle()

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
        with self.dialect.turn(), self._transaction(_Attempt(), write=True) as tx:
            yield tx

    @contextmanager
    def _transaction(self, ended: _Attempt, *, write: bool) -> Iterator[Transaction]:
        if write and self.dialect.read_only:
            raise StoreError("the store was opened read-only", where=self.dialect.where)
        connection = None
        try:
            connection = self.connection()
            tx = Transaction(connection, self.dialect, self.known, self.names_of, write=write, lens=self.lens)
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
        self._settle(improve=True)

    def _settle(self, *, improve: bool) -> None:
        try:
            self.dialect.settle(self.connection(), improve=improve)
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
