"""Rows that a function of the user gives, checked as rows from anywhere else are.

The function is called once for each time that the rows are read, which is once, and twice with `order_by`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tidemill.data.column_types import DECLARABLE, check_column_types
from tidemill.data.columnar_source import check_names, plain_type
from tidemill.data.source import BadRows, check_same_columns
from tidemill.errors import DataError
from tidemill.types.source import SourceFile


@dataclass(frozen=True)
class CustomSource:
    """The tables of one function, and the types their columns are kept as."""

    name: str
    schema: pa.Schema
    call: Callable[[], Iterator[Any]]
    begun: list[Iterator[pa.Table]] = field(default_factory=list)
    """The first call, which had to be made to learn the columns; it is used up by the first reading."""

    @property
    def names(self) -> list[str]:
        """The function's name."""
        return [self.name]

    def tables(
        self,
        bad: BadRows,  # noqa: ARG002 - what the function gives is whole
        files: Sequence[SourceFile] | None = None,  # noqa: ARG002 - there are none
    ) -> Iterator[pa.Table]:
        """Its tables. DataError when one has other columns than the first, or types that cannot be cast."""
        found = self.begun.pop() if self.begun else _tables(self.call(), self.name)
        for at, table in enumerate(found):
            check_same_columns(
                self.schema.names, table.column_names, f"table 0 of {self.name}", _at(at, self)
            )
            columns = []
            for part in self.schema:
                try:
                    columns.append(table.column(part.name).cast(part.type))
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                    raise DataError(
                        f"column {part.name!r} cannot be read as {part.type}: {error}",
                        where=_at(at, self),
                        hint="give every table the same types, or declare the column in column_types",
                    ) from error
            yield pa.Table.from_arrays(columns, schema=self.schema)


def open_custom(
    read: Callable[..., Any], arguments: Mapping[str, Any], column_types: Mapping[str, str]
) -> CustomSource:
    """Call the function, and take the columns of its first table. DataError when it gives none."""
    name = f"{read.__module__}.{getattr(read, '__qualname__', read)}"

    def call() -> Iterator[Any]:
        return iter(read(**arguments))

    try:
        given = call()
    except TypeError as error:
        if "iterable" not in str(error) and "argument" not in str(error):
            raise
        raise DataError(
            f"the function cannot be read from: {error}", where=name,
            hint="it takes the arguments of Custom(...) and returns an iterator of pyarrow tables",
        ) from error  # fmt: skip
    tables = _tables(given, name)
    first = next(tables, None)
    if first is None:
        raise DataError("the function gave not one table", where=name)
    check_names(first.schema, name)
    check_column_types(column_types, first.schema.names)
    schema = pa.schema(
        [
            (f.name, DECLARABLE[column_types[f.name]] if f.name in column_types else plain_type(f.type))
            for f in first.schema
        ]
    )
    return CustomSource(name, schema, call, [_chained(first, tables)])


def _chained(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from rest


def _tables(given: Iterator[Any], name: str) -> Iterator[pa.Table]:
    for item in given:
        if isinstance(item, pa.RecordBatch):
            yield pa.Table.from_batches([item])
        elif isinstance(item, pa.Table):
            yield item
        else:
            raise DataError(
                f"the function gave {type(item).__name__}, not a pyarrow table",
                where=name,
                hint="pa.Table.from_pandas(frame), frame.to_arrow() and pa.Table.from_pylist(rows) make one",
            )


def _at(at: int, source: CustomSource) -> str:
    return f"table {at} of {source.name}"
