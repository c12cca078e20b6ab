"""Parquet files from outside as Arrow tables: checked, streamed, with plain column types.

The counterpart of `csv_source` for files that already have types. This room does not know splits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from tidemill.data.column_types import DECLARABLE
from tidemill.data.csv_source import check_column_types, check_same_columns
from tidemill.data.external import open_seekable
from tidemill.data.parquet import ROW_GROUP_ROWS, broken, open_parquet
from tidemill.errors import DataError
from tidemill.types.source import SourceFile


@dataclass(frozen=True)
class ParquetSource:
    """Files with one set of columns, and the types their columns are read as."""

    files: tuple[SourceFile, ...]
    schema: pa.Schema

    def tables(self) -> Iterator[pa.Table]:
        """All rows in file order, at most `ROW_GROUP_ROWS` at a time. DataError, naming the file, when its
        pages are broken, when it has fewer rows than its footer says, or when a value cannot be cast."""
        for file in self.files:
            rows = 0
            with open_parquet(open_seekable(file), file.uri) as parquet:
                for batch in _batches(parquet, file.uri):
                    rows += batch.num_rows
                    yield self._cast(pa.Table.from_batches([batch]), file.uri)
                if rows != parquet.metadata.num_rows:
                    raise DataError(
                        f"the footer says {parquet.metadata.num_rows} rows, but {rows} were read",
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


def open_parquets(files: Sequence[SourceFile], column_types: Mapping[str, str]) -> ParquetSource:
    """Check footers and columns of every file before the first row is read.

    Text is read as string, dictionaries as their values; `column_types` overrides. DataError: truncated
    file, differing columns, a column of mixed types (one type here, another there).
    """
    schemas = []
    for file in files:
        with open_parquet(open_seekable(file), file.uri) as parquet:
            schemas.append(parquet.schema_arrow)
    first = schemas[0]
    for at, name in enumerate(first.names):
        if name in first.names[:at]:
            raise DataError(f"the file has two columns {name!r}", where=files[0].uri)
    for file, schema in zip(files[1:], schemas[1:], strict=True):
        check_same_columns(first.names, schema.names, files[0].uri, file.uri)
    check_column_types(column_types, first.names)
    fields = []
    for name in first.names:
        if name in column_types:
            fields.append(pa.field(name, DECLARABLE[column_types[name]]))
        else:
            fields.append(pa.field(name, _common_type(name, files, schemas)))
    return ParquetSource(tuple(files), pa.schema(fields))


def _common_type(name: str, files: Sequence[SourceFile], schemas: Sequence[pa.Schema]) -> pa.DataType:
    found: pa.DataType = pa.null()
    where = files[0].uri
    for file, schema in zip(files, schemas, strict=True):
        type = _plain(schema.field(name).type)
        if pa.types.is_null(found):
            found, where = type, file.uri
        elif type != found and not pa.types.is_null(type):
            raise DataError(
                f"column {name!r} has mixed types: {type} in this file, {found} in {where}",
                where=file.uri,
                hint=f"set column_types={{{name!r}: ...}} to one of {', '.join(DECLARABLE)}",
            )
    return found


def _plain(type: pa.DataType) -> pa.DataType:
    """The type without encodings: text is text, however the file stores it."""
    if isinstance(type, pa.DictionaryType):
        return _plain(type.value_type)
    if pa.types.is_large_string(type) or pa.types.is_string_view(type):
        return pa.string()
    return type


def _batches(parquet: pq.ParquetFile, uri: str) -> Iterator[pa.RecordBatch]:
    try:
        yield from parquet.iter_batches(batch_size=ROW_GROUP_ROWS)
    except (pa.ArrowInvalid, OSError) as error:
        raise broken(uri, error) from error
