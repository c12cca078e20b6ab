"""TFRecord files of tf.train messages as Arrow tables.

Columns are learned from the first records of each file; when later ones ask for more (a new feature, a
list where one value was), all files are looked through once and read anew. This room does not know splits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tidemill.data.column_types import DECLARABLE, check_column_types
from tidemill.data.nested_types import MixedTypesError, merge_types
from tidemill.data.source import BadRows, Reread
from tidemill.data.tf_example import ExampleDecoder
from tidemill.data.tfrecord import record_batches
from tidemill.errors import DataError, did_you_mean
from tidemill.types.source import SourceFile

PAYLOADS = ("example", "sequence_example", "bytes")


@dataclass(frozen=True)
class TFRecordSource:
    """Files of records, and the columns that their features become."""

    files: tuple[SourceFile, ...]
    schema: pa.Schema
    payload: str
    declared: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """URIs of the files."""
        return [file.uri for file in self.files]

    def tables(
        self,
        bad: BadRows,  # noqa: ARG002 - damage is never one row's alone
        files: Sequence[SourceFile] | None = None,
    ) -> Iterator[pa.Table]:
        """All records in file order. DataError for damaged files and messages, with the record; Reread when
        the columns must be wider."""
        for file in self.files if files is None else files:
            for columns in _columns(file, self.payload):
                rows = len(next(iter(columns.values()))) if columns else 0
                known = self.schema.names
                if not columns.keys() <= set(known) or any(
                    not self._holds(name, column.type) for name, column in columns.items()
                ):
                    raise Reread(self._with_all())
                yield pa.Table.from_arrays(
                    [_as_type(columns.get(f.name), f.type, rows, f.name, file.uri) for f in self.schema],
                    schema=self.schema,
                )

    def _holds(self, name: str, type: pa.DataType) -> bool:
        known = self.schema.field(name).type
        return name in self.declared or _merge(name, known, type, "") == known

    def _with_all(self) -> TFRecordSource:
        schema = _learned(self.files, self.payload, whole=True)
        return dataclasses.replace(self, schema=_declare(schema, self.declared))


def open_tfrecords(
    files: Sequence[SourceFile], column_types: Mapping[str, str], payload: str = "example"
) -> TFRecordSource:
    """Learn the columns. DataError: damage, a message of another kind, a feature with two kinds of values."""
    if payload not in PAYLOADS:
        raise DataError(f"unknown payload {payload!r}", hint=did_you_mean(payload, PAYLOADS))
    schema = _learned(files, payload, whole=False)
    if not set(column_types) <= set(schema.names):
        schema = _learned(files, payload, whole=True)
    check_column_types(column_types, schema.names)
    if not schema.names:
        raise DataError(
            "there is not one record with a feature", where=", ".join(file.uri for file in files),
            hint="TFRecord(..., payload='sequence_example') or 'bytes', if the records hold something else",
        )  # fmt: skip
    return TFRecordSource(tuple(files), _declare(schema, column_types), payload, dict(column_types))


def _declare(schema: pa.Schema, declared: Mapping[str, str]) -> pa.Schema:
    return pa.schema(
        [(f.name, DECLARABLE[declared[f.name]] if f.name in declared else f.type) for f in schema]
    )


def _learned(files: Sequence[SourceFile], payload: str, *, whole: bool) -> pa.Schema:
    types: dict[str, pa.DataType] = {}
    for file in files:
        for columns in _columns(file, payload):
            for name, column in columns.items():
                types[name] = _merge(name, types.get(name, pa.null()), column.type, file.uri)
            if not whole:
                break
    return pa.schema(sorted(types.items()))


def _columns(file: SourceFile, payload: str) -> Iterator[dict[str, Any]]:
    """Columns of each batch of records. A batch whose records have no feature at all is an error: a row
    without columns cannot be kept."""
    decoder = ExampleDecoder(payload)
    for first, records in record_batches(file):
        if payload == "bytes":
            yield {"record": pa.array(records, pa.binary())}
            continue
        try:
            columns = decoder.columns(records)
        except ValueError as error:
            at, why = error.args
            raise DataError(f"record {first + at}: {why}", where=file.uri) from None
        if not columns:
            raise DataError(
                f"record {first} and those after it have no feature", where=file.uri,
                hint="set TFRecord(..., payload='sequence_example') or 'bytes', if they hold something else",
            )  # fmt: skip
        yield columns


def _merge(name: str, one: pa.DataType, other: pa.DataType, uri: str) -> pa.DataType:
    """As `merge_types`, and a list where some have lists and others single values."""
    try:
        if isinstance(one, pa.ListType) != isinstance(other, pa.ListType):
            single, many = (other, one) if isinstance(one, pa.ListType) else (one, other)
            assert isinstance(many, pa.ListType)
            if not pa.types.is_null(single):
                return merge_types(pa.list_(single), many)
        return merge_types(one, other)
    except MixedTypesError as error:
        raise DataError(f"feature {name!r} has mixed types: {error}", where=uri) from None


def _as_type(column: Any, type: pa.DataType, rows: int, name: str, uri: str) -> Any:
    if column is None:
        return pa.array([None] * rows, type)
    if isinstance(type, pa.ListType) and not isinstance(column.type, pa.ListType):
        present = column.is_valid().to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(present)]).astype(np.int32)
        column = pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()), column.drop_null(), mask=pa.array(~present)
        )
    try:
        return column.cast(type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"feature {name!r} cannot be read as {type}: {error}", where=uri) from error
