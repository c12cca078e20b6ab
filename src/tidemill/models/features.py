"""Features as a model is fed them: numpy arrays by name, from Arrow tables or from lists of values.

A null becomes NaN among numbers and None among texts. What a model was not trained on is an error that
names the column, never a cast that changes the meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidemill.errors import DataError, did_you_mean
from tidemill.models.signature import Field

Array = NDArray[Any]
Features = Mapping[str, Array]
"""One array per feature, all of the same length: shape (rows,), or (rows, k) for a vector."""

_FITS = {
    "int": ("int", "bool"),
    "float": ("float", "int", "bool"),
    "bool": ("bool",),
    "string": ("string",),
    "timestamp": ("timestamp",),
    "empty": ("int", "float", "bool", "string", "timestamp"),
}
"""Type of a field -> types of columns that may stand for it without loss."""


def arrays_of_table(table: pa.Table, fields: Sequence[Field]) -> dict[str, Array]:
    """`fields` of a table, in order. DataError for a missing column, or one of another type or shape."""
    found: dict[str, Array] = {}
    for field in fields:
        if field.name not in table.column_names:
            raise DataError(
                f"there is no column {field.name!r}, which the model is fed",
                hint=did_you_mean(field.name, table.column_names),
            )
        found[field.name] = _of_column(table.column(field.name), field)
    return found


def arrays_of_lists(columns: Mapping[str, Sequence[Any]], fields: Sequence[Field]) -> dict[str, Array]:
    """`fields` of plain values by column, None for null: the short way for a few rows."""
    found: dict[str, Array] = {}
    for field in fields:
        if field.name not in columns:
            raise DataError(
                f"there is no column {field.name!r}, which the model is fed",
                hint=did_you_mean(field.name, columns),
            )
        items = columns[field.name]
        if field.shape or field.type in ("string", "timestamp", "empty"):
            found[field.name] = _of_column(pa.chunked_array([pa.array(items)]), field)
            continue
        wrong = next((i for i in items if i is not None and not isinstance(i, _PYTHON[field.type])), None)
        if wrong is not None:
            raise _mismatch(field, type(wrong).__name__)
        if None in items:
            found[field.name] = np.array([np.nan if i is None else i for i in items], dtype=np.float64)
        else:
            found[field.name] = np.array(items, dtype=_DTYPES[field.type])
    return found


_PYTHON: dict[str, tuple[type, ...]] = {
    "int": (int, np.integer),
    "float": (float, int, np.floating, np.integer),
    "bool": (bool, np.bool_),
}
_DTYPES: dict[str, Any] = {"int": np.int64, "float": np.float64, "bool": np.bool_}


def matrix(features: Features, fields: Sequence[Field], dtype: Any = np.float64) -> Array:
    """Features side by side, shape (rows, sum of widths); DataError for one that is no number."""
    parts = []
    for field in fields:
        if field.name not in features:
            raise DataError(
                f"there is no feature {field.name!r}", hint=did_you_mean(field.name, list(features))
            )
        part = np.asarray(features[field.name])
        if part.dtype.kind not in "fiub":
            raise DataError(
                f"feature {field.name!r} is {field.type}, and the model takes numbers",
                hint="turn it into one in preprocessing_fn, with a vocabulary for example",
            )
        if part.size != len(part) * field.width:
            raise DataError(
                f"feature {field.name!r} has shape {part.shape}, and the model was trained with "
                f"{field.width} values per row"
            )
        parts.append(part.reshape(len(part), field.width).astype(dtype, copy=False))
    if not parts:
        raise DataError("the model has no features")
    return np.ascontiguousarray(np.concatenate(parts, axis=1)) if len(parts) > 1 else parts[0]


def rows_of(features: Features) -> int:
    """How many rows the features have; DataError when they disagree."""
    sizes = {name: len(values) for name, values in features.items()}
    if len(set(sizes.values())) > 1:
        raise DataError(f"features have different numbers of rows: {sizes}")
    return next(iter(sizes.values()), 0)


def field_of(name: str, kind: pa.DataType) -> Field:
    """The field that describes a column of this Arrow type; DataError for one that no model takes."""
    if pa.types.is_fixed_size_list(kind):
        return Field(name, _type_of(kind.value_type, name), (int(kind.list_size),))
    return Field(name, _type_of(kind, name))


def fields_of_rows(names: Sequence[str], schema: pa.Schema, tables: Iterable[pa.Table]) -> list[Field]:
    """Fields of these columns. Lists become vectors as wide as the first one that is there.

    `tables` are looked at for lists only. DataError for a column that no model takes.
    """
    lists = [name for name in names if _is_list(schema.field(name).type)]
    widths: dict[str, int] = {}
    if lists:
        for table in tables:
            for name in [name for name in lists if name not in widths]:
                present = table.column(name).drop_null()
                if len(present):
                    widths[name] = len(present[0])
            if len(widths) == len(lists):
                break
    found = []
    for name in names:
        kind = schema.field(name).type
        if name in lists:
            if not widths.get(name):
                raise DataError(f"feature {name!r} is lists, and there is no value in them")
            found.append(Field(name, _type_of(kind.value_type, name), (widths[name],)))
        else:
            found.append(field_of(name, kind))
    return found


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _type_of(kind: pa.DataType, name: str) -> str:
    types = pa.types
    for type, fits in (("bool", types.is_boolean), ("int", types.is_integer), ("float", types.is_floating),
                       ("string", types.is_string), ("string", types.is_large_string),
                       ("timestamp", types.is_timestamp), ("empty", types.is_null)):  # fmt: skip
        if fits(kind):
            return type
    raise DataError(f"column {name!r} is {kind}, which no model takes")


def _of_column(column: Any, field: Field) -> Array:
    """One column as an array of the field's type and shape."""
    kind = column.type
    if field.shape:
        return _vectors(column, field)
    seen = _type_of(kind, field.name)
    if seen == "empty":
        return np.full(len(column), None if field.type == "string" else np.nan, dtype=_nullable(field.type))
    if seen not in _FITS[field.type]:
        raise _mismatch(field, seen)
    if field.type == "string":
        texts = np.empty(len(column), dtype=object)
        texts[:] = column.to_pylist()
        return texts
    if field.type == "timestamp":
        return np.asarray(column.cast(pa.timestamp("us")).to_numpy())
    if column.null_count:
        return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
    return np.asarray(column.to_numpy(), dtype=_DTYPES.get(field.type, np.float64))


def _vectors(column: Any, field: Field) -> Array:
    """A column of lists as (rows, k); a row that is null is NaN throughout."""
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise _mismatch(field, str(kind))
    array = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    whole = np.full((len(array), field.width), np.nan)
    present = np.asarray(array.is_valid())
    kept = array.drop_null()
    lengths = np.asarray(kept.value_lengths())
    values = np.asarray(kept.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False))
    if (lengths != field.width).any():
        raise DataError(
            f"feature {field.name!r} has lists of other lengths than {field.width}",
            hint="make them of one length in preprocessing_fn, one-hot or dense for example",
        )
    whole[present] = values.reshape(-1, field.width)
    if field.type == "int" and not np.isnan(whole).any():
        return whole.astype(np.int64)
    return whole


def _nullable(type: str) -> Any:
    return object if type == "string" else np.float64


def _mismatch(field: Field, seen: str) -> DataError:
    wanted = f"{field.type} of {field.width} values" if field.shape else field.type
    return DataError(
        f"column {field.name!r} is {seen}, and the model was trained with {wanted}",
        hint="send the types of the training data, or train again on data of this form",
    )
