"""Transaction: SQL within one transaction, in the few forms that this room uses.

It turns lists of rows and of ids into few statements whose text is the same each time, so that the
database knows them already. It knows no table and no database; database.py begins and ends it.
"""

from __future__ import annotations

import time
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, cast

from tidemill.errors import StoreError
from tidemill.metadata.model import PropertyType, TypeKind
from tidemill.metadata.sql import dialect
from tidemill.metadata.sql.dialect import Dialect

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


_FEWEST_IDS = 100
"""Ids in one portion of `rows_in`, however many other values the query has."""
_SOME_IDS = 16
"""Ids from which on it is worth looking whether a range says the same: databases are faster with it."""


class Transaction:
    """SQL within one transaction. Errors of the driver pass through; the block's end translates them."""

    __slots__ = ("_cursor", "_lens", "_names_of", "_waiting", "contexts", "dialect", "now", "types")

    def __init__(
        self, connection: Any, dialect: Dialect, known: Known, names_of: Mapping[str, tuple[str, ...]], *,
        write: bool, lens: str = "",
    ) -> None:  # fmt: skip
        self.dialect = dialect
        self._lens = lens
        self._names_of = names_of
        self._cursor = connection.cursor()
        self._waiting = self.dialect.begin(self._cursor, write=write)
        self.types: ChainMap[tuple[TypeKind, str], StoredType] = ChainMap({}, known.types)
        self.contexts: ChainMap[tuple[str, str], int] = ChainMap({}, known.contexts)
        self.now = int(time.time() * 1000)
        """Milliseconds since 1970-01-01 UTC: the one time of everything that happens in it."""

    def _before(self) -> dialect.Waiting:
        waiting = self._waiting
        if waiting:
            self._waiting = []
        return waiting

    def _ask(self, sql: str, values: Sequence[object]) -> None:
        """Send a query, through the lens of a reader of an older schema."""
        if self._lens:
            sql = _through(self._lens, sql)
        self.dialect.execute(self._cursor, sql, values, self._before())

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run a statement; how many rows it found to change."""
        self.dialect.execute(self._cursor, sql, values, self._before())
        return int(self._cursor.rowcount)

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """All rows of a query."""
        self._ask(sql, values)
        return list(self._cursor.fetchall())

    def row(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        """The first row of a query, or None."""
        self._ask(sql, values)
        row: Row | None = self._cursor.fetchone()
        return row

    def each(self, sql: str, values: Sequence[object] = ()) -> Iterator[Row]:
        """The rows of a query one by one, for a caller that may stop early and asks nothing meanwhile."""
        self._ask(sql, values)
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
        for text, asked in self._portions(sql, ids, values):
            found += self.rows(text, asked)
        return found

    def change_in(self, sql: str, ids: Iterable[object], values: Sequence[object]) -> None:
        """Run a statement whose `{ids}` stands for a list, as in rows_in."""
        for text, asked in self._portions(sql, ids, values):
            self.execute(text, asked)

    def each_in(self, sql: str, ids: Iterable[object], values: Sequence[object] = ()) -> Iterator[Row]:
        """The rows of rows_in one by one, for a caller that asks nothing meanwhile: no list, less to free."""
        return chain.from_iterable(self._answers(sql, ids, values))

    def _answers(self, sql: str, ids: Iterable[object], values: Sequence[object]) -> Iterator[Iterable[Row]]:
        for text, asked in self._portions(sql, ids, values):
            self._ask(text, asked)
            yield self._cursor

    def _portions(
        self, sql: str, ids: Iterable[object], values: Sequence[object]
    ) -> Iterator[tuple[str, list[object]]]:
        """The statements that ask for a list, portion by portion, and what is to be sent with each.

        The last id fills a portion up to the next power of two, so that lists of any length make a dozen
        statements, which the database then knows already. Ids without a gap are one portion, unless few.
        """
        wanted = list(ids)
        # A long filter has many values of its own; then the ids go in small portions beside them.
        step = max(dialect.MOST_PARAMETERS - len(values), _FEWEST_IDS)
        if len(wanted) >= _SOME_IDS and (ends := _ends(wanted)):
            yield sql.replace("IN ({ids})", "BETWEEN ? AND ?"), [*values, *ends]
            return
        for start in range(0, len(wanted), step):
            part = wanted[start : start + step]
            room = min(1 << (len(part) - 1).bit_length(), step)
            part += part[-1:] * (room - len(part))
            yield _with_ids(sql, room), [*values, *part]

    def insert(self, table: str, columns: str, row: Sequence[object]) -> int:
        """Insert one row into a table whose key is a counted `id`; the id it got."""
        if self.dialect.longest_name:
            self._check_names(table, columns, row)
        sql = _insertion(self.dialect.insertion, table, columns, len(row), 1)
        return self.dialect.insert(self._cursor, sql, row, self._before())

    def insert_missing(self, table: str, columns: str, rows: Sequence[Sequence[object]]) -> None:
        """Insert those of the rows that are not stored yet, by the unique key of a table with an `id`."""
        self.insert_rows(table, columns, rows, self.dialect.keep_stored)

    def insert_rows(
        self, table: str, columns: str, rows: Sequence[Sequence[object]], ending: str = ""
    ) -> None:
        """Insert rows with as few statements as the database's limit on parameters allows."""
        if not rows:
            return
        step = dialect.MOST_PARAMETERS // len(rows[0])
        if self.dialect.longest_name:
            for row in rows:
                self._check_names(table, columns, row)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            sql = _insertion(self.dialect.insertion, table, columns, len(rows[0]), len(part), ending)
            self.execute(sql, [*chain.from_iterable(part)])

    def insert_alike(self, table: str, columns: str, alike: Sequence[object], rest: Sequence[object]) -> None:
        """Insert many rows that begin with the same values; `rest` is what each has besides, end to end."""
        width = columns.count(",") + 1
        own = width - len(alike)
        if not self.dialect.numbers_parameters:
            pieces = zip(*[iter(rest)] * own, strict=True)
            self.insert_rows(table, columns, [(*alike, *piece) for piece in pieces])
            return
        step = (dialect.MOST_PARAMETERS - len(alike)) // own * own
        for start in range(0, len(rest), step):
            part = rest[start : start + step]
            sql = _insertion_alike(self.dialect.insertion, table, columns, len(alike), own, len(part) // own)
            self.execute(sql, [*alike, *part])

    def insert_counted(self, table: str, columns: str, rows: Sequence[Sequence[object]]) -> list[int]:
        """Insert rows into a table whose key is a counted `id`, with few statements; their ids, in order."""
        if len(rows) > 1:
            try:
                return self._insert_counted(table, columns, rows)
            except self.dialect.errors as error:
                if "RETURNING" not in str(error):
                    raise
        # One row; or MySQL, which does not know RETURNING and says so.
        return [self.insert(table, columns, row) for row in rows]

    def _insert_counted(self, table: str, columns: str, rows: Sequence[Sequence[object]]) -> list[int]:
        found: list[int] = []
        step = dialect.MOST_PARAMETERS // len(rows[0])
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            sql = _insertion(self.dialect.insertion, table, columns, len(rows[0]), len(part))
            values = [*chain.from_iterable(part)]
            if self.dialect.counts_up:
                last = self.dialect.insert(self._cursor, sql, values, self._before())
                found += range(last - len(part) + 1, last + 1)
            else:  # RETURNING promises no order, but a statement hands out ids in the order of its rows
                found += sorted(i for (i,) in self.rows(f"{sql} RETURNING id", values))
        return found

    def _check_names(self, table: str, columns: str, row: Sequence[object]) -> None:
        """Refuse what the database would refuse without saying which name it was."""
        most = self.dialect.longest_name
        for place, column in _places(columns, self._names_of.get(table, ())):
            value = row[place]
            if isinstance(value, str) and self.dialect.length(value) > most:
                raise StoreError(
                    f"{value[:40]}... is too long for {column} of {table}: "
                    f"{self.dialect.length(value)} characters, and the database takes {most}",
                    where=self.dialect.where,
                    hint="choose shorter names for the pipeline, the run, the node or the artifact",
                )


def _ends(ids: Sequence[object]) -> tuple[int, int] | None:
    """The first and the last of distinct ids between which none is missing."""
    if not isinstance(ids[0], int) or len(set(ids)) < len(ids):
        return None
    numbers = cast("Sequence[int]", ids)  # those of one query are all ids, or all texts
    first, last = min(numbers), max(numbers)
    return (first, last) if last - first + 1 == len(numbers) else None


def _through(lens: str, sql: str) -> str:
    """A query behind the definitions of a lens, together with its own if it begins with some."""
    recursive = "WITH RECURSIVE "
    if sql.startswith(recursive):
        return f"{recursive}{lens.removeprefix('WITH ').rstrip()}, {sql.removeprefix(recursive)}"
    return lens + sql


@lru_cache(maxsize=256)
def _with_ids(sql: str, count: int) -> str:
    return sql.replace("{ids}", ", ".join("?" * count))


@lru_cache(maxsize=256)
def _insertion(words: str, table: str, columns: str, width: int, rows: int, ending: str = "") -> str:
    marks = f"({', '.join('?' * width)})"
    return f"{words} {table} ({columns}) VALUES {', '.join([marks] * rows)}{ending}"


@lru_cache(maxsize=256)
def _insertion_alike(words: str, table: str, columns: str, alike: int, own: int, rows: int) -> str:
    first = ", ".join(f"?{n}" for n in range(1, alike + 1))
    begins = range(alike + 1, alike + 1 + rows * own, own)
    marks = (f"({first}, {', '.join(f'?{n}' for n in range(begin, begin + own))})" for begin in begins)
    return f"{words} {table} ({columns}) VALUES {', '.join(marks)}"


@lru_cache(maxsize=256)
def _places(columns: str, names: tuple[str, ...]) -> list[tuple[int, str]]:
    return [(place, column) for place, column in enumerate(columns.split(", ")) if column in names]
