"""CSV files as Arrow tables: typed, streamed, and strict about rows that do not fit.

A file is read with the types its columns have. Only when a value does not fit, the rest of the file is read
again as text, so that the value can be named with its line, its row put aside, or the column widened. The
kind of a column is that of all values of the first block of every file; later blocks may widen int to
float, and nothing to something. This room does not know splits, nor where tables go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from tidemill.data.column_types import Kind, TypeVote, arrow_type, check_column_types, parse_text
from tidemill.data.csv_records import (
    BROKEN_STREAM,
    Dialect,
    check_quotes_close,
    header,
    line_of_row,
    put_aside,
    unreadable,
)
from tidemill.data.external import open_stream
from tidemill.data.source import BadRows, Reread, check_same_columns
from tidemill.errors import DataError
from tidemill.types.source import SourceFile

BLOCK_BYTES = 2 << 20
"""Arrow reads about 32 blocks ahead, whatever their size, so this decides how much memory is taken."""
LONGEST_ROW = 16 << 20
"""Bytes of the blocks in which data is read again that has a row longer than a block."""
_CELL_BYTES = 1 << 10
"""A block has room for that many bytes of each column, so that very wide files have blocks of many rows."""
Mask = npt.NDArray[np.bool_]


class _DoesNotFitError(Exception):
    """Arrow met a value that is not of its column's type."""


class _LongRowError(Exception):
    """Arrow met a row that is longer than a block."""


@dataclass(frozen=True)
class CsvSource:
    """Files with one header, and the kind of each column."""

    files: tuple[SourceFile, ...]
    kinds: Mapping[str, Kind]
    declared: frozenset[str]
    null_values: tuple[str, ...]
    dialect: Dialect = field(default_factory=Dialect)
    long_rows: bool = False

    @property
    def schema(self) -> pa.Schema:
        """Columns of the tables, in the order of the first file's header."""
        return pa.schema([(name, arrow_type(kind)) for name, kind in self.kinds.items()])

    @property
    def names(self) -> list[str]:
        """URIs of the files."""
        return [file.uri for file in self.files]

    def tables(self, bad: BadRows, files: Sequence[SourceFile] | None = None) -> Iterator[pa.Table]:
        """All rows, block by block. DataError for a ragged row or a value of another kind, with its line,
        unless `bad` takes it; Reread when a column must be read as a wider kind."""
        schema = self.schema
        types = {name: arrow_type(kind) for name, kind in self.kinds.items()}
        for file in self.files if files is None else files:
            reading = _Reading(file, types, self.null_values, self.dialect, bad, long_rows=self.long_rows)
            rows = 0
            try:
                for block in reading.blocks():
                    yield pa.Table.from_batches([block]).select(schema.names)
                    rows += block.num_rows
            except _DoesNotFitError:
                yield from self._with_care(file, rows, bad)
                continue
            except _LongRowError:
                raise Reread(dataclasses.replace(self, long_rows=True)) from None
            if reading.ragged:
                put_aside(file, len(self.kinds), {}, bad, self.dialect)

    def _with_care(self, file: SourceFile, skip: int, bad: BadRows) -> Iterator[pa.Table]:
        """The rows of a file from the one with index `skip` on, read as text."""
        as_text = pa.binary() if bad.wanted else pa.string()
        types = dict.fromkeys(self.kinds, as_text)
        reading = _Reading(file, types, self.null_values, self.dialect, bad, long_rows=self.long_rows)
        before = 0
        reasons: dict[int, str] = {}
        for block in reading.blocks():
            fresh = block.slice(max(0, skip - before))
            first = before + block.num_rows - fresh.num_rows
            if fresh.num_rows:
                table, refused = self._parsed(fresh, file, first, bad)
                reasons.update((first + at, why) for at, why in refused.items())
                if len(reasons) > bad.limit:
                    put_aside(file, len(self.kinds), reasons, bad, self.dialect)
                yield table
            before += block.num_rows
        if reasons or reading.ragged:
            put_aside(file, len(self.kinds), reasons, bad, self.dialect)

    def _parsed(
        self, block: pa.RecordBatch, file: SourceFile, first: int, bad: BadRows
    ) -> tuple[pa.Table, dict[int, str]]:
        """The rows that can be read, and why others cannot, by their index in the block."""
        columns: list[Any] = []
        refused: dict[int, str] = {}
        for name, kind in self.kinds.items():
            column = block.column(name)
            if bad.wanted:
                column = _decoded(column, name, refused)
            if kind != "string":
                text = cast("pl.Series", pl.from_arrow(column))
                values = parse_text(text, kind)
                if values.null_count() > text.null_count():
                    odd = (values.is_null() & text.is_not_null()).to_numpy()
                    self._consider(name, text.filter(pl.Series(odd)), tolerant=bad.wanted)
                    if not bad.wanted:
                        raise self._refusal(name, text, odd, file, first)
                    for row in np.flatnonzero(odd).tolist():
                        refused.setdefault(
                            row, f"column {name!r} has {_shown(text[row])}, which is not {kind}"
                        )
                column = values.to_arrow().cast(arrow_type(kind))
            columns.append(column)
        table = pa.Table.from_arrays(columns, schema=self.schema)
        if refused:
            keep = np.ones(table.num_rows, np.bool_)
            keep[list(refused)] = False
            table = table.filter(pa.array(keep))
        return table, refused

    def _consider(self, name: str, refused: pl.Series, *, tolerant: bool) -> None:
        """Reread when the values that do not fit are of a kind that the column can be widened to."""
        kind = self.kinds[name]
        if name in self.declared or kind not in ("int", "empty"):
            return
        vote = TypeVote()
        vote.add(refused)
        wider, mixed = vote.kinds()
        if kind == "empty" and (mixed is None or tolerant):
            raise Reread(self._widened(name, mixed or wider))
        if kind == "int" and vote.accepted["float"]:
            raise Reread(self._widened(name, "float"))

    def _widened(self, name: str, kind: Kind) -> CsvSource:
        return dataclasses.replace(self, kinds={**self.kinds, name: kind})

    def _refusal(self, name: str, text: pl.Series, odd: Mask, file: SourceFile, first: int) -> DataError:
        row = int(np.argmax(odd))
        return DataError(
            f"column {name!r} has {_shown(text[row])}, which is not {self.kinds[name]}"
            + (
                " as declared in column_types"
                if name in self.declared
                else f": its other values are {self.kinds[name]}"
            ),
            where=f"{file.uri}:{line_of_row(file, first + row, self.dialect)}",
            hint=_type_hint(name),
        )


def open_csv(
    files: Sequence[SourceFile],
    column_types: Mapping[str, str],
    null_values: Sequence[str] = ("",),
    *,
    dialect: Dialect | None = None,
    tolerant: bool = False,
) -> CsvSource:
    """Check the headers, and find the kind of each column from the first block of every file.

    DataError: empty file, duplicate or nameless column, headers that differ, a name in `column_types`
    that no file has, a column of mixed types (at least half of its values, not all, are of one kind
    other than text). With `tolerant`, such a column is of that kind: who reads it will put the rest aside.
    """
    dialect = dialect or Dialect()
    if len(dialect.delimiter) != 1:
        raise DataError(f"delimiter is {dialect.delimiter!r}, but must be one character")
    columns = header(files[0], dialect)
    for file in files[1:]:
        check_same_columns(columns, header(file, dialect), files[0].uri, file.uri)
    check_column_types(column_types, columns)
    kinds: dict[str, Kind] = {}
    votes = _votes(files, columns, column_types, null_values, dialect, tolerant=tolerant)
    for name in columns:
        if name in column_types:
            kinds[name] = cast("Kind", column_types[name])
            continue
        kinds[name], mixed = votes[name].kinds()
        if mixed is not None and tolerant:
            kinds[name] = mixed
        elif mixed is not None:
            raise _mixed(files, columns, name, mixed, null_values, dialect)
    return CsvSource(tuple(files), kinds, frozenset(column_types), tuple(null_values), dialect)


def _votes(
    files: Sequence[SourceFile], columns: list[str], column_types: Mapping[str, str],
    null_values: Sequence[str], dialect: Dialect, *, tolerant: bool,
) -> dict[str, TypeVote]:  # fmt: skip
    votes = {name: TypeVote() for name in columns if name not in column_types}
    as_text = pa.binary() if tolerant else pa.string()
    for file in files:
        # With a limit of its own: what is bad here is counted when it is read.
        bad = BadRows(1 << 60 if tolerant else 0)
        block = _first_block(file, dict.fromkeys(columns, as_text), null_values, dialect, bad)
        for name, vote in votes.items():
            if block is not None:
                column = _decoded(block.column(name), name, {}) if tolerant else block.column(name)
                vote.add(cast("pl.Series", pl.from_arrow(column)))
    return votes


def _first_block(
    file: SourceFile,
    types: Mapping[str, pa.DataType],
    null_values: Sequence[str],
    dialect: Dialect,
    bad: BadRows,
) -> pa.RecordBatch | None:
    for long_rows in (False, True):
        try:
            reading = _Reading(file, types, null_values, dialect, bad, long_rows=long_rows)
            return next(reading.blocks(), None)
        except _LongRowError:
            continue
    return None


# -- reading


class _Reading:
    """One pass over one file with given types. Ragged rows are left out and counted, if `bad` takes them."""

    def __init__(
        self, file: SourceFile, types: Mapping[str, pa.DataType], null_values: Sequence[str],
        dialect: Dialect, bad: BadRows, *, long_rows: bool = False,
    ) -> None:  # fmt: skip
        wide = _CELL_BYTES * len(types) if len(types) > 2048 else 0
        self._block_bytes = LONGEST_ROW if long_rows else max(BLOCK_BYTES, wide)
        self.ragged = 0
        self._file = file
        self._types = types
        self._null_values = list(null_values)
        self._dialect = dialect
        self._bad = bad

    def blocks(self) -> Iterator[pa.RecordBatch]:
        """Blocks of rows; DataError for what is not CSV, _DoesNotFitError for a value of another type."""
        last: pa.RecordBatch | None = None
        try:
            for block in _read_ahead(self._open()):
                last = block
                yield block
        except (pa.ArrowInvalid, *BROKEN_STREAM) as error:
            if "cannot infer number of columns" in str(error):
                return  # a header and not even a line break after it
            if "straddling" in str(error) and self._block_bytes < LONGEST_ROW:
                raise _LongRowError from error
            if "conversion error" in str(error) and not self._untyped(error):
                raise _DoesNotFitError from error
            if self.ragged > self._bad.limit > 0:
                put_aside(self._file, len(self._types), {}, self._bad, self._dialect)
            raise unreadable(self._file, len(self._types), error, self._dialect) from error
        if last is not None and last.num_rows:
            value = last.column(len(self._types) - 1)[-1].as_py()
            if "\n" in value if isinstance(value, str) else isinstance(value, bytes) and b"\n" in value:
                check_quotes_close(self._file, self._dialect)

    def _untyped(self, error: Exception) -> bool:
        """Whether reading as text cannot help: it was tried."""
        return "conversion error to string" in str(error) and not self._bad.wanted

    def _open(self) -> pa_csv.CSVStreamingReader:
        return pa_csv.open_csv(
            open_stream(self._file),
            read_options=pa_csv.ReadOptions(
                block_size=self._block_bytes,
                column_names=list(self._dialect.column_names) or None,
            ),
            parse_options=pa_csv.ParseOptions(
                newlines_in_values=True,
                delimiter=self._dialect.delimiter,
                invalid_row_handler=self._invalid if self._bad.wanted else None,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict(self._types),
                null_values=self._null_values,
                true_values=["true", "True", "TRUE"],
                false_values=["false", "False", "FALSE"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )

    def _invalid(self, row: pa_csv.InvalidRow) -> Literal["skip", "error"]:  # noqa: ARG002 - Arrow's signature
        self.ragged += 1
        return "error" if self.ragged > self._bad.limit else "skip"


def _read_ahead(reader: pa_csv.CSVStreamingReader) -> Iterator[pa.RecordBatch]:
    """Blocks with rows; the next one is read while the caller works on this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(next, reader, None)
        while (block := coming.result()) is not None:
            coming = pool.submit(next, reader, None)
            if block.num_rows:
                yield block


def _decoded(column: Any, name: str, refused: dict[int, str]) -> Any:
    """Bytes as text; what is not UTF-8 becomes null, and says so in `refused`, by its row."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        values: list[str | None] = []
        for row, value in enumerate(column.to_pylist()):
            try:
                values.append(None if value is None else value.decode())
            except UnicodeDecodeError as error:
                values.append(None)
                byte = f"0x{value[error.start]:02x}"
                refused.setdefault(row, f"column {name!r} has the byte {byte}, which is not UTF-8")
        return pa.array(values, pa.string())


# -- errors


def _mixed(
    files: Sequence[SourceFile], columns: list[str], name: str, mostly: Kind, null_values: Sequence[str],
    dialect: Dialect,
) -> DataError:  # fmt: skip
    """The error for a column of mixed types, with the first value that does not fit."""
    types = dict.fromkeys(columns, pa.string())
    for file in files:
        block = _first_block(file, types, null_values, dialect, BadRows())
        if block is not None:
            text = cast("pl.Series", pl.from_arrow(block.column(name)))
            odd = parse_text(text, mostly).is_null() & text.is_not_null()
            if odd.any():
                row = int(odd.arg_max() or 0)
                return DataError(
                    f"column {name!r} has mixed types: most of its values are {mostly}, "
                    f"but there is {_shown(text[row])}",
                    where=f"{file.uri}:{line_of_row(file, row, dialect)}",
                    hint=_type_hint(name),
                )
    raise AssertionError(f"{name} was found to be mixed, yet every value is {mostly}")


def _type_hint(name: str) -> str:
    return (
        f"mend the value, add it to null_values if it means none, set column_types={{{name!r}: 'string'}}, "
        "or allow some loss with max_bad_rows"
    )


def _shown(value: str) -> str:
    return repr(value if len(value) <= 60 else value[:57] + "...")
