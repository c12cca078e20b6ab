"""What the SQL of this room needs to know about a database, whichever it is.

The rooms beside it write standard SQL with `?` for parameters and ask a `Dialect` for the rest: how to
connect, how a transaction begins, the types of columns, how to lock a row, how an inserted id is learned,
what an error means. sqlite.py, postgresql.py and mariadb.py are the only files that know which database
they are. This file knows no database, and nothing of tables, types or runs.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum, auto
from functools import lru_cache
from typing import Any, ClassVar

from tidemill.errors import StoreError

PATIENCE_SECONDS = 30.0
"""How long a change is tried again when it met another one, or when the server went away."""
MOST_PARAMETERS = 900
"""Parameters of one statement. SQLite before 3.32 allows 999; nobody gets faster with more."""
LOCK_SECONDS = 10
"""How long a server lets one statement wait for another transaction; then the change is tried again."""

Waiting = list[tuple[str, Sequence[object]]]
"""Statements that are sent together with the next one."""


class Trouble(Enum):
    """What an error of the driver means for whoever could ask again."""

    LOST = auto()
    """The connection is gone. What was not committed is undone."""
    AGAIN = auto()
    """The transaction stood in the way of another one and is undone."""
    RACED = auto()
    """A unique rule was broken, perhaps by what another transaction has just written."""
    REFUSED = auto()
    """Anything else: asking again does not help."""


class Dialect(ABC):
    """One database: where it is and how its SQL differs. Methods raise the driver's errors, in `errors`."""

    longest_name: ClassVar[int] = 0
    """Characters that a column for names takes; 0 where the database does not care."""
    keeps_infinity: ClassVar[bool] = True
    """Whether a column for numbers takes infinity."""
    insertion: ClassVar[str] = "INSERT INTO"
    """Begins an INSERT. Where one fails, the whole transaction is undone: it need not be undone by itself."""
    keep_stored: ClassVar[str] = " ON CONFLICT DO NOTHING"
    """Ends an INSERT that leaves out the rows whose unique key is stored already."""
    counts_up: ClassVar[bool] = False
    """Whether one INSERT gives consecutive ids, of which the driver tells the last."""
    numbers_parameters: ClassVar[bool] = False
    """Whether `?1` is the first parameter, wherever it stands."""
    walks: ClassVar[bool] = False
    """Whether a recursive query finds its next step by an index where two ways lead on."""
    mixes_types: ClassVar[bool] = False
    """Whether one expression may have a number in one row and text in another."""
    column_types: ClassVar[Mapping[str, str]]
    """Kind of a column in schema.py -> its type here, as MLMD declares it here."""
    names_constraints: ClassVar[bool] = True
    """Whether MLMD gives names to its unique rules here."""
    tables: ClassVar[str]
    """Query for the names of the tables of this database."""
    path_order: ClassVar[str] = ""
    """Orders the rows of MLMD's EventPath as they were inserted, which is all that orders them."""
    creation_lock: ClassVar[str] = ""
    """Statement that keeps others from creating tables until the transaction ends."""
    columns: ClassVar[str]
    """Query for table, column, type, whether it is required, and its default, of all columns in order."""
    indexes: ClassVar[str]
    """Query for table, index, whether it is unique, column, and the statement that made it or NULL, of all
    indexes and keys in order."""
    home: ClassVar[str]
    """Query for what goes before a table's name to mean the stored one, whatever a query calls the same."""
    kind: ClassVar[str]
    """What people call the database."""
    copies: ClassVar[bool] = False
    """Whether backup() can make a copy here."""
    alters: ClassVar[bool] = True
    """Whether columns and rules of a table can be added and dropped where it stands; else see rebuild()."""

    def __init__(self, where: str, *, read_only: bool) -> None:
        self.where = where
        """For messages; never with a password."""
        self.read_only = read_only

    @property
    @abstractmethod
    def errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises."""

    @abstractmethod
    def connect(self) -> Any:
        """A connection on which nothing begins a transaction but begin()."""

    @abstractmethod
    def begin(self, cursor: Any, *, write: bool) -> Waiting:
        """Begin a transaction; what is still to be sent with its first statement.

        A reading one sees one state of the database; a writing one sees what is committed when each of
        its statements starts, and rows that it locked stay as they are.
        """

    @abstractmethod
    def rollback(self, connection: Any) -> None:
        """Undo the transaction that is open, if any."""

    @abstractmethod
    def trouble(self, error: Exception) -> Trouble:
        """What an error means for whoever could ask again."""

    @abstractmethod
    def explain(self, error: Exception) -> StoreError:
        """What an error means, for people."""

    @abstractmethod
    def index(self, name: str, table: str, columns: str, *, sparse: str, text: str, wide: bool) -> str:
        """An index on `columns`: a statement, or a clause of CREATE TABLE that starts with INDEX.

        `sparse` is a column whose NULLs may be left out, `text` one of unlimited length, and `wide` says
        that its values do get long.
        """

    def settle(self, connection: Any, *, improve: bool) -> None:  # noqa: B027 - most databases need nothing
        """Bring a database that is known to be ours into the state we write in.

        Without `improve` only out of one in which this process must not write.
        """

    def execute(self, cursor: Any, sql: str, values: Sequence[object], before: Waiting) -> None:
        """Run a statement on the cursor, after those that wait for it."""
        for statement, parameters in before:
            cursor.execute(statement, parameters)
        cursor.execute(sql, values)

    def lock(self, cursor: Any, sql: str, values: Sequence[object]) -> Waiting | None:
        """Lock the rows of a query until the transaction ends; None when the transaction is alone anyway.

        What is to be sent with the next statement, else.
        """
        self.execute(cursor, f"{sql} FOR UPDATE", values, [])
        return []

    def insert(self, cursor: Any, sql: str, values: Sequence[object], before: Waiting) -> int:
        """Run an INSERT of one row into a table whose key is `id`; the id it got."""
        self.execute(cursor, sql, values, before)
        return int(cursor.lastrowid)

    def commit(self, cursor: Any, before: Waiting) -> None:
        """Make the transaction durable, or raise."""
        self.execute(cursor, "COMMIT", (), before)

    def length(self, name: str) -> int:
        """How much of `longest_name` a name takes."""
        return len(name)

    def exact(self, parameter: str) -> str:
        """A parameter that is equal only to the very same text, whatever the column's collation."""
        return parameter

    def turn(self) -> AbstractContextManager[None]:
        """A block in which to write, where writers had better come one after another."""
        return nullcontext()

    @contextmanager
    def creating(self, connection: Any) -> Iterator[None]:
        """A block in which nobody else creates tables, where a transaction cannot see to that."""
        del connection
        yield

    def table_options(self) -> str:
        """What follows the columns in CREATE TABLE."""
        return ""

    def nothing(self, kind: str) -> str:
        """An expression for the NULL of a kind of column."""
        del kind
        return "NULL"

    def stand_in(self, table: str) -> Mapping[str, str]:
        """Expressions for columns of ours that MLMD's table may lack, for readers."""
        del table
        return {}

    def drop_index(self, table: str, name: str) -> str:
        """A statement."""
        del table
        return f"DROP INDEX {name}"

    def drop_rule(self, table: str, name: str) -> str:
        """A statement that drops a unique rule."""
        return f"ALTER TABLE {table} DROP CONSTRAINT {name}"

    def rename_column(self, table: str, old: str, new: str, kind: str) -> str:
        """A statement."""
        del kind
        return f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}"

    def retype(self, table: str, column: str, kind: str) -> tuple[str, ...]:
        """Statements that change a column's type; they fail when a value is too long for it."""
        raise NotImplementedError(f"no two kinds that {self.kind} tells apart share {table}.{column}: {kind}")

    def rebuild(self, table: str, made: str, columns: Sequence[str]) -> tuple[str, ...]:
        """Statements that give a table another form: `made` creates it, and `columns` keep their values.

        Ids that were given once are not given again. Indexes are lost.
        """
        raise NotImplementedError(f"{self.kind} changes a table where it stands: {table}, {made}, {columns}")

    def backup(self, connection: Any, mark: str) -> str:
        """Copy the whole database to a new place with `mark` in its name, where that can be done here.

        The place; empty where only the server's administrator can.
        """
        del connection, mark
        return ""

    def facts(self, connection: Any) -> dict[str, str]:
        """What is worth knowing of the server or the file, for people."""
        del connection
        return {}

    def keep_order(self, table: str) -> tuple[str, ...]:
        """Statements that make `path_order` hold for a table."""
        del table
        return ()


@lru_cache(maxsize=1024)
def percent_style(sql: str) -> str:
    """A statement with `%s` for parameters in place of `?`; quoted text stays as it is."""
    return _QUOTED_OR_MARK.sub(lambda m: _IN_PERCENT.get(m[0], m[0].replace("%", "%%")), sql)


_QUOTED_OR_MARK = re.compile(r"'(?:[^']|'')*'|\?|%")
_IN_PERCENT = {"?": "%s", "%": "%%"}
