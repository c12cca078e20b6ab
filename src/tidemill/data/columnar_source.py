"""Files that say themselves which types their columns have: Parquet, Arrow IPC and Avro.

The counterpart of `csv_source`: types are taken as they are, nested ones and all, and only checked against
each other. This room does not know splits.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from tidemill.data.column_types import DECLARABLE, check_column_types
from tidemill.data.external import open_seekable
from tidemill.data.parquet import ROW_GROUP_ROWS, broken, open_parquet
from tidemill.data.source import BadRows, check_same_columns
from tidemill.errors import DataError
from tidemill.types.source import SourceFile


@dataclass(frozen=True)
class Opened:
    """A file whose columns are known."""

    schema: pa.Schema
    batches: Callable[[], Iterator[pa.RecordBatch]]
    num_rows: int | None
    """What the file itself says, if it does."""


Opener = Callable[[SourceFile], AbstractContextManager[Opened]]


@dataclass(frozen=True)
class ColumnarSource:
    """Files with one set of columns, and the types their columns are read as."""

    files: tuple[SourceFile, ...]
    schema: pa.Schema
    opener: Opener

    @property
    def names(self) -> list[str]:
        """URIs of the files."""
        return [file.uri for file in self.files]

    def tables(
        self,
        bad: BadRows,  # noqa: ARG002 - a row is never bad alone
        files: Sequence[SourceFile] | None = None,
    ) -> Iterator[pa.Table]:
        """All rows in file order, at most `ROW_GROUP_ROWS` at a time. DataError, naming the file, when its
        pages are broken, when it has fewer rows than it says itself, or when a value cannot be cast."""
        for file in self.files if files is None else files:
            rows = 0
            with self.opener(file) as opened:
                for batch in opened.batches():
                    rows += batch.num_rows
                    if batch.num_rows:
                        yield self._cast(pa.Table.from_batches([batch]), file.uri)
                if opened.num_rows is not None and rows != opened.num_rows:
                    raise DataError(
                        f"the file says that it has {opened.num_rows} rows, but {rows} were read",
                        where=file.uri,
                    )

    def _cast(self, table: pa.Table, uri: str) -> pa.Table:
        columns = []
        for field in self.schema:
            try:
                columns.append(table.column(field.name).cast(field.type))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise DataError(
                    f"column {field.name!r} cannot be read as {field.type}: {error}",
                    where=uri,
                    hint="declare another type for it in column_types, or leave it out there",
                ) from error
        return pa.Table.from_arrays(columns, schema=self.schema)


def open_columnar(
    files: Sequence[SourceFile], column_types: Mapping[str, str], opener: Opener
) -> ColumnarSource:
    """Check columns of every file before the first row is read.

    Text is read as string, dictionaries as their values; `column_types` overrides. DataError: truncated
    file, two columns of one name, differing columns, a column of mixed types (one type here, another there).
    """
    schemas = []
    for file in files:
        with opener(file) as opened:
            schemas.append(opened.schema)
            check_names(opened.schema, file.uri)
    first = schemas[0]
    for file, schema in zip(files[1:], schemas[1:], strict=True):
        check_same_columns(first.names, schema.names, files[0].uri, file.uri)
    check_column_types(column_types, first.names)
    fields = []
    for name in first.names:
        if name in column_types:
            fields.append(pa.field(name, DECLARABLE[column_types[name]]))
        else:
            fields.append(pa.field(name, _common_type(name, files, schemas)))
    return ColumnarSource(tuple(files), pa.schema(fields), opener)


def check_names(schema: pa.Schema, uri: str) -> None:
    """DataError when there is no column, or two of one name."""
    if not schema.names:
        raise DataError("the file has no columns", where=uri)
    seen: set[str] = set()
    for name in schema.names:
        if name in seen:
            raise DataError(f"the file has two columns {name!r}", where=uri)
        seen.add(name)


def _common_type(name: str, files: Sequence[SourceFile], schemas: Sequence[pa.Schema]) -> pa.DataType:
    found: pa.DataType = pa.null()
    where = files[0].uri
    for file, schema in zip(files, schemas, strict=True):
        type = plain_type(schema.field(name).type)
        if pa.types.is_null(found):
            found, where = type, file.uri
        elif type != found and not pa.types.is_null(type):
            raise DataError(
                f"column {name!r} has mixed types: {type} in this file, {found} in {where}",
                where=file.uri,
                hint=f"set column_types={{{name!r}: ...}} to one of {', '.join(DECLARABLE)}",
            )
    return found


def plain_type(type: pa.DataType) -> pa.DataType:
    """The type without encodings: text is text, however a file or a library stores it."""
    if isinstance(type, pa.DictionaryType):
        return plain_type(type.value_type)
    if isinstance(type, pa.BaseExtensionType):
        return plain_type(type.storage_type)
    if pa.types.is_large_string(type) or pa.types.is_string_view(type):
        return pa.string()
    if pa.types.is_large_binary(type) or pa.types.is_binary_view(type):
        return pa.binary()
    if isinstance(type, (pa.LargeListType, pa.ListType)):
        value: Any = type.value_field
        return pa.list_(value.with_type(plain_type(value.type)))
    if isinstance(type, pa.StructType):
        parts: list[Any] = [type.field(at) for at in range(type.num_fields)]
        return pa.struct([part.with_type(plain_type(part.type)) for part in parts])
    return type


# -- formats


@contextlib.contextmanager
def parquet_file(file: SourceFile) -> Iterator[Opened]:
    """One Parquet file; page checksums are verified where it has them."""
    with open_parquet(open_seekable(file), file.uri) as parquet:
        yield Opened(parquet.schema_arrow, lambda: _pages(parquet, file.uri), parquet.metadata.num_rows)


def _pages(parquet: pq.ParquetFile, uri: str) -> Iterator[pa.RecordBatch]:
    try:
        yield from parquet.iter_batches(batch_size=ROW_GROUP_ROWS)
    except (pa.ArrowInvalid, OSError) as error:
        raise broken(uri, error) from error


@contextlib.contextmanager
def arrow_file(file: SourceFile) -> Iterator[Opened]:
    """One Arrow IPC file or stream (columnar format specification, "IPC File Format" and "IPC Streaming
    Format"): a file begins with `ARROW1`."""
    with open_seekable(file) as source:
        is_file = source.read(6) == b"ARROW1"
        source.seek(0)
        try:
            if is_file:
                whole = pa.ipc.open_file(source)
                yield Opened(whole.schema, lambda: _messages(whole, file.uri), None)
            else:
                stream = pa.ipc.open_stream(source)
                yield Opened(stream.schema, lambda: _checked(stream, source, file.uri), None)
        except (pa.ArrowInvalid, OSError) as error:
            raise _not_arrow(file.uri, error) from error


def _messages(whole: Any, uri: str) -> Iterator[pa.RecordBatch]:
    for at in range(whole.num_record_batches):
        yield from _sliced(_validated(functools.partial(whole.get_batch, at), uri))


def _checked(stream: Any, source: Any, uri: str) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            batch = _validated(stream.read_next_batch, uri)
        except StopIteration:
            break
        yield from _sliced(batch)
    source.seek(-8, 2)
    if source.read(8) != b"\xff\xff\xff\xff\x00\x00\x00\x00":
        raise _not_arrow(uri, ValueError("the stream has no end mark"))


def _validated(read: Callable[[], pa.RecordBatch], uri: str) -> pa.RecordBatch:
    """A batch whose offsets and texts were checked: nothing else would notice damaged bytes."""
    try:
        batch = read()
        batch.validate(full=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise _not_arrow(uri, error) from error
    return batch


def _sliced(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, ROW_GROUP_ROWS):
        yield batch.slice(start, ROW_GROUP_ROWS)


def _not_arrow(uri: str, error: Exception) -> DataError:
    why = " ".join(str(error).split())
    return DataError(
        f"not readable as Arrow IPC: {why}",
        where=uri,
        hint="the file is truncated, or neither an Arrow file nor an Arrow stream: deliver it again",
    )
