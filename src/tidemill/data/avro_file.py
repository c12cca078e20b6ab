"""Avro object container files as Arrow batches, read by fastavro, which alone is asked for them.

Types follow the Avro specification 1.12: records, arrays and maps stay nested, a union with null is a
column with nulls, logical types become dates, times, time stamps and decimals.
"""

from __future__ import annotations

import contextlib
import itertools
import uuid
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from tidemill.data.columnar_source import Opened
from tidemill.data.external import open_seekable
from tidemill.errors import DataError
from tidemill.types.source import SourceFile

_BATCH_ROWS = 10_000
_DAMAGE = (ValueError, EOFError, TypeError, KeyError, OSError)
"""What fastavro raises for bytes that are no Avro."""
_PLAIN: dict[str, pa.DataType] = {
    "null": pa.null(), "boolean": pa.bool_(), "int": pa.int32(), "long": pa.int64(), "float": pa.float32(),
    "double": pa.float64(), "bytes": pa.binary(), "string": pa.string(), "enum": pa.string(),
}  # fmt: skip
_LOGICAL: dict[str, pa.DataType] = {
    "date": pa.date32(), "time-millis": pa.time32("ms"), "time-micros": pa.time64("us"), "uuid": pa.string(),
    "timestamp-millis": pa.timestamp("ms", "UTC"), "timestamp-micros": pa.timestamp("us", "UTC"),
    "local-timestamp-millis": pa.timestamp("ms"), "local-timestamp-micros": pa.timestamp("us"),
}  # fmt: skip


@contextlib.contextmanager
def avro_file(file: SourceFile) -> Iterator[Opened]:
    """One Avro file. DataError when fastavro is missing, and for what is not a whole Avro file of records."""
    try:
        import fastavro  # only Avro needs it
    except ImportError as error:
        raise DataError("Avro files need the package fastavro", hint="install tidemill[avro]") from error
    with open_seekable(file) as source:
        try:
            reader = fastavro.reader(source)
            written: Any = reader.writer_schema
        except _DAMAGE as error:
            raise _broken(file, error) from error
        if not isinstance(written, Mapping) or written.get("type") != "record":
            raise DataError("the Avro file does not hold records", where=file.uri)
        named: dict[str, pa.DataType] = {}
        schema = pa.schema([(f["name"], _type(f["type"], file, f["name"], named)) for f in written["fields"]])
        yield Opened(schema, lambda: _batches(reader, schema, file), None)


def _batches(reader: Any, schema: pa.Schema, file: SourceFile) -> Iterator[pa.RecordBatch]:
    try:
        while rows := list(itertools.islice(reader, _BATCH_ROWS)):
            columns = [pa.array([_value(row[f.name]) for row in rows], f.type) for f in schema]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
    except (*_DAMAGE, IndexError, zlib.error, pa.ArrowException) as error:
        raise _broken(file, error) from error


def _value(value: Any) -> Any:
    match value:
        case uuid.UUID():
            return str(value)
        case list():
            return [_value(item) for item in value]
        case dict():
            return {key: _value(item) for key, item in value.items()}
    return value


def _type(avro: Any, file: SourceFile, path: str, named: dict[str, pa.DataType]) -> pa.DataType:
    """The Arrow type of an Avro one; `named` holds the records, enums and fixed types met so far."""
    if isinstance(avro, str):
        if avro in _PLAIN or avro in named:
            return named.get(avro) or _PLAIN[avro]
        raise DataError(f"column {path!r} has the Avro type {avro!r}, which cannot be kept", where=file.uri)
    if isinstance(avro, list):
        kinds = [kind for kind in avro if kind != "null"]
        if len(kinds) > 1:
            raise DataError(
                f"column {path!r} is a union of {len(kinds)} types", where=file.uri,
                hint="a column has one type: write the file with a union of null and one type at most",
            )  # fmt: skip
        return _type(kinds[0], file, path, named) if kinds else pa.null()
    logical, kind = avro.get("logicalType", ""), avro["type"]
    found: pa.DataType
    if logical == "decimal":
        found = pa.decimal128(int(avro["precision"]), int(avro.get("scale", 0)))
    elif logical in _LOGICAL:
        found = _LOGICAL[logical]
    elif kind == "array":
        found = pa.list_(_type(avro["items"], file, path, named))
    elif kind == "map":
        found = pa.map_(pa.string(), _type(avro["values"], file, path, named))
    elif kind == "record":
        fields = [(f["name"], _type(f["type"], file, f"{path}.{f['name']}", named)) for f in avro["fields"]]
        found = pa.struct(fields)
    elif kind == "fixed":
        found = pa.binary(int(avro["size"]))
    else:
        found = _type(kind, file, path, named)
    if "name" in avro:
        named[avro["name"]] = found
    return found


def _broken(file: SourceFile, error: Exception) -> DataError:
    why = " ".join(str(error).split()) or type(error).__name__
    return DataError(
        f"not readable as Avro: {why}",
        where=file.uri,
        hint="the file is truncated, damaged or no Avro object container file: deliver it again",
    )
