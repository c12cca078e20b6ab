"""CSV files as Arrow tables: typed, streamed, and strict about rows that do not fit.

Every block is read as text and then parsed, so that a value that does not fit can be named with its
line. The kind of a column is that of all values of the first block of every file; later blocks may
widen int to float, and nothing to something, for which `WiderKind` asks the caller to start again.
This room does not know splits, nor where tables go.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from tidemill.data.column_types import DECLARABLE, Kind, TypeVote, arrow_type, parse_text
from tidemill.data.external import open_stream
from tidemill.errors import DataError, did_you_mean
from tidemill.types.source import SourceFile

BLOCK_BYTES = 8 << 20


class WiderKind(Exception):
    """A later block needs a wider kind; read again with `source.widened(...)`."""

    def __init__(self, column: str, kind: Kind) -> None:
        super().__init__(column, kind)
        self.column = column
        self.kind = kind


@dataclass(frozen=True)
class CsvSource:
    """Files with one header, and the kind of each column."""

    files: tuple[SourceFile, ...]
    kinds: Mapping[str, Kind]
    declared: frozenset[str]
    null_values: tuple[str, ...]

    @property
    def schema(self) -> pa.Schema:
        """Columns of the tables, in the order of the first file's header."""
        return pa.schema([(name, arrow_type(kind)) for name, kind in self.kinds.items()])

    def widened(self, request: WiderKind) -> CsvSource:
        """The same files with one column of a wider kind."""
        return dataclasses.replace(self, kinds={**self.kinds, request.column: request.kind})

    def tables(self) -> Iterator[pa.Table]:
        """All rows, block by block. DataError for a ragged row or a value of another kind, with its line;
        WiderKind when a column must be read anew."""
        schema = self.schema
        for file in self.files:
            before = 0
            for block in _blocks(file, list(self.kinds), self.null_values):
                yield self._typed(block, schema, file, before)
                before += block.num_rows

    def _typed(self, block: pa.RecordBatch, schema: pa.Schema, file: SourceFile, before: int) -> pa.Table:
        columns = []
        for name, kind in self.kinds.items():
            column = block.column(name)
            if kind != "string":
                text = cast("pl.Series", pl.from_arrow(column))
                values = parse_text(text, kind)
                if values.null_count() > text.null_count():
                    raise self._refusal(name, text, values, file, before)
                column = values.to_arrow().cast(arrow_type(kind))
            columns.append(column)
        return pa.Table.from_arrays(columns, schema=schema)

    def _refusal(
        self, name: str, text: pl.Series, values: pl.Series, file: SourceFile, before: int
    ) -> WiderKind | DataError:
        kind = self.kinds[name]
        refused = text.filter(values.is_null() & text.is_not_null())
        if name not in self.declared:
            vote = TypeVote()
            vote.add(refused)
            wider, mixed = vote.kinds()
            if (kind == "int" and wider == "float") or (kind == "empty" and mixed is None):
                return WiderKind(name, wider)
        row = int((values.is_null() & text.is_not_null()).arg_max() or 0)
        return DataError(
            f"column {name!r} has {_shown(refused[0])}, which is not {kind}"
            + (" as declared in column_types" if name in self.declared else f": its other values are {kind}"),
            where=f"{file.uri}:{_line_of_row(file, before + row)}",
            hint=_type_hint(name),
        )


def open_csv(
    files: Sequence[SourceFile], column_types: Mapping[str, str], null_values: Sequence[str] = ("",)
) -> CsvSource:
    """Check the headers, and find the kind of each column from the first block of every file.

    DataError: empty file, duplicate or nameless column, headers that differ, a name in `column_types`
    that no file has, a column of mixed types (at least half of its values, not all, are of one kind
    other than text).
    """
    header = _header(files[0])
    for file in files[1:]:
        check_same_columns(header, _header(file), files[0].uri, file.uri)
    check_column_types(column_types, header)
    votes = {name: TypeVote() for name in header if name not in column_types}
    for file in files:
        block = next(_blocks(file, header, null_values), None)
        for name, vote in votes.items():
            if block is not None:
                vote.add(cast("pl.Series", pl.from_arrow(block.column(name))))
    kinds: dict[str, Kind] = {}
    for name in header:
        if name in column_types:
            kinds[name] = cast("Kind", column_types[name])
            continue
        kinds[name], mixed = votes[name].kinds()
        if mixed is not None:
            raise _mixed(files, header, name, mixed, null_values)
    return CsvSource(tuple(files), kinds, frozenset(column_types), tuple(null_values))


def check_column_types(column_types: Mapping[str, str], columns: Sequence[str]) -> None:
    """DataError when `column_types` names an unknown column or kind."""
    for name, kind in column_types.items():
        if name not in columns:
            raise DataError(
                f"column_types names {name!r}, which is no column", hint=did_you_mean(name, columns)
            )
        if kind not in DECLARABLE:
            raise DataError(
                f"column_types gives {name!r} the unknown type {kind!r}", hint=did_you_mean(kind, DECLARABLE)
            )


def check_same_columns(first: Sequence[str], other: Sequence[str], first_uri: str, other_uri: str) -> None:
    """DataError when two files of one source do not have the same set of columns."""
    missing = [name for name in first if name not in other]
    added = [name for name in other if name not in first]
    if missing or added:
        parts = [f"lacks {', '.join(map(repr, missing))}"] if missing else []
        parts += [f"adds {', '.join(map(repr, added))}"] if added else []
        raise DataError(
            f"the files have differing columns: this one {' and '.join(parts)}",
            where=other_uri,
            hint=f"make it the same as {first_uri}, or read the two with separate nodes",
        )


# -- reading


def _header(file: SourceFile) -> list[str]:
    """Column names of a file, checked."""
    try:
        names = next((record for _, record in _records(file)), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"not readable as CSV: {error}", where=file.uri, hint="CSV must be UTF-8") from error
    if not names:
        raise DataError("the file is empty: it has no header", where=file.uri)
    for at, name in enumerate(names):
        if not name.strip():
            raise DataError(f"column {at + 1} of the header has no name", where=f"{file.uri}:1")
        if name in names[:at]:
            raise DataError(f"the header names column {name!r} twice", where=f"{file.uri}:1")
    return names


def _blocks(file: SourceFile, header: list[str], null_values: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Blocks of rows with every column as text."""
    last: pa.RecordBatch | None = None
    try:
        reader = pa_csv.open_csv(
            open_stream(file),
            read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in header},
                null_values=list(null_values),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        for block in _read_ahead(reader):
            last = block
            yield block
    except pa.ArrowInvalid as error:
        if "cannot infer number of columns" in str(error):
            return  # a header and not even a line break after it
        raise _unreadable(file, len(header), error) from error
    if last is not None and "\n" in str(last.column(len(header) - 1)[-1]):
        _check_quotes_close(file)


def _read_ahead(reader: pa_csv.CSVStreamingReader) -> Iterator[pa.RecordBatch]:
    """Blocks with rows; the next one is read while the caller works on this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(next, reader, None)
        while (block := coming.result()) is not None:
            coming = pool.submit(next, reader, None)
            if block.num_rows:
                yield block


def _records(file: SourceFile, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Records that are not blank lines, with the line each starts on; slow, for headers and errors."""
    with io.TextIOWrapper(open_stream(file), encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=strict)
        line = 1
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1


def _line_of_row(file: SourceFile, row: int) -> int:
    """Line on which the data row with that index (0 is the first after the header) starts."""
    return next((line for at, (line, _) in enumerate(_records(file)) if at == row + 1), 0)


# -- errors


def _unreadable(file: SourceFile, columns: int, error: Exception) -> DataError:
    why = " ".join(str(error).split())
    try:
        for line, record in _records(file):
            if len(record) != columns:
                return DataError(
                    f"the row has {len(record)} values, the header has {columns} columns",
                    where=f"{file.uri}:{line}",
                    hint='mend the row; a value with a comma or line break must be in double quotes ("a, b")',
                )
    except (UnicodeDecodeError, csv.Error) as cause:
        why = str(cause)
    if "straddling" in why:
        why = f"a row is longer than {BLOCK_BYTES >> 20} MiB; is a double quote never closed?"
    return DataError(
        f"not readable as CSV: {why}", where=file.uri, hint="CSV must be UTF-8, with one header line"
    )


def _check_quotes_close(file: SourceFile) -> None:
    """DataError when the last value was opened by a double quote that never closes."""
    line = 0
    try:
        for line, _ in _records(file, strict=True):  # noqa: B007 - the last one read is wanted
            pass
    except csv.Error as error:
        raise DataError(
            f"a double quote is never closed: {error}", where=f"{file.uri}, after line {line}"
        ) from error


def _mixed(
    files: Sequence[SourceFile], header: list[str], name: str, mostly: Kind, null_values: Sequence[str]
) -> DataError:
    """The error for a column of mixed types, with the first value that does not fit."""
    for file in files:
        for block in _blocks(file, header, null_values):
            text = cast("pl.Series", pl.from_arrow(block.column(name)))
            odd = parse_text(text, mostly).is_null() & text.is_not_null()
            if odd.any():
                row = int(odd.arg_max() or 0)
                return DataError(
                    f"column {name!r} has mixed types: most of its values are {mostly}, "
                    f"but there is {_shown(text[row])}",
                    where=f"{file.uri}:{_line_of_row(file, row)}",
                    hint=_type_hint(name),
                )
            break
    raise AssertionError(f"{name} was found to be mixed, yet every value is {mostly}")


def _type_hint(name: str) -> str:
    return (
        f"mend the value, add it to null_values if it means none, or set column_types={{{name!r}: 'string'}}"
    )


def _shown(value: str) -> str:
    return repr(value if len(value) <= 60 else value[:57] + "...")
