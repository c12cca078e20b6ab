"""What a request holds, as columns of plain values that fit the model's signature.

Everything that clients can get wrong about values ends here, in a DataError that names the column and the
row. It knows signatures, not how values came: `tensors` and `instances` read them from requests.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tidemill.errors import DataError, did_you_mean
from tidemill.models import Field

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_INT64 = 2**63
_ARROW: dict[str, pa.DataType] = {
    "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "string": pa.string(),
    "timestamp": pa.timestamp("us"), "empty": pa.float64(),
}  # fmt: skip
_EXPECTED = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "string": "a text",
    "timestamp": "an ISO date and time, or microseconds since 1970", "empty": "null: it was always empty",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one request, by column: lists of plain values, None for null, or numpy arrays without any."""

    rows: int
    columns: Mapping[str, Sequence[Any] | np.ndarray]


def check_columns(batch: Batch, inputs: Sequence[Field]) -> Batch:
    """The columns that the model asks for, with values of its types. DataError for missing or wrong ones.

    Further columns are left out: clients may send the whole row.
    """
    if not inputs:
        return batch
    found = {}
    for field in inputs:
        items = batch.columns.get(field.name)
        if items is None:
            if field.type == "empty":
                items = [None] * batch.rows
            else:
                raise DataError(
                    f"the request has no {field.name!r}, which the model asks for",
                    hint=_close(field.name, batch, inputs),
                )
        found[field.name] = _checked(items, field)
    return Batch(batch.rows, found)


def _close(name: str, batch: Batch, inputs: Sequence[Field]) -> str:
    known = {field.name for field in inputs}
    strange = [column for column in batch.columns if column not in known]
    close = did_you_mean(name, strange) if strange else ""
    return close if close.startswith("did you mean") else "send every input; null where there is no value"


def _checked(items: Sequence[Any] | np.ndarray, field: Field) -> Sequence[Any] | np.ndarray:
    if isinstance(items, np.ndarray):
        return _checked_array(items, field)
    if field.shape:
        return [_vector(item, field, row) for row, item in enumerate(items)]
    return [None if item is None else _plain(item, field, row) for row, item in enumerate(items)]


def _checked_array(items: np.ndarray, field: Field) -> Sequence[Any] | np.ndarray:
    """A numpy array that came in binary: its dtype decides for all values at once."""
    kind = items.dtype.kind
    if field.shape and (items.ndim != 2 or items.shape[1] != field.width):
        raise DataError(f"{field.name!r} has the shape {list(items.shape)}; it wants [-1, {field.width}]")
    fits = {"int": "iu", "float": "iuf", "bool": "b"}.get(field.type, "")
    if kind in fits:
        if field.type == "int" and kind == "u" and (items > np.uint64(_INT64 - 1)).any():
            raise DataError(f"{field.name!r} has a number beyond 64 bits with a sign")
        wanted = {"int": np.int64, "float": np.float64, "bool": np.bool_}[field.type]
        return items.astype(wanted, copy=False)
    if items.ndim == 1:
        return [_plain(item, field, row) for row, item in enumerate(items.tolist())]
    raise DataError(f"{field.name!r} wants {_EXPECTED[field.type]}, and came as {items.dtype}")


def _vector(item: Any, field: Field, row: int) -> list[Any] | None:
    if item is None:
        return None
    if not isinstance(item, (list, tuple)) or len(item) != field.width:
        raise DataError(
            f"{field.name!r} wants a list of {field.width} values, and has {_shown(item)} in row {row}"
        )
    return [None if part is None else _plain(part, field, row) for part in item]


def _plain(item: Any, field: Field, row: int) -> Any:
    """One value in the form that the model's room takes."""
    match field.type, item:
        case "bool", bool():
            return item
        case "int", int() if not isinstance(item, bool) and -_INT64 <= item < _INT64:
            return item
        case "int", float() if item.is_integer() and abs(item) < _INT64:
            return int(item)
        case "float", (int() | float()) if not isinstance(item, bool):
            return _to_float(item, field, row)
        case "string", str():
            return item
        case "timestamp", _:
            found = _moment(item)
            if found is not None:
                return found
    raise DataError(f"{field.name!r} wants {_EXPECTED[field.type]}, and has {_shown(item)} in row {row}")


def _to_float(item: int | float, field: Field, row: int) -> float:
    try:
        return float(item)
    except OverflowError:
        raise DataError(f"{field.name!r} has a number too large for a float in row {row}") from None


def _moment(item: Any) -> dt.datetime | None:
    """A naive datetime in UTC, from ISO text or microseconds since 1970; None for anything else."""
    try:
        if isinstance(item, str):
            found = dt.datetime.fromisoformat(item)
            return found.astimezone(dt.UTC).replace(tzinfo=None) if found.tzinfo else found
        if isinstance(item, int) and not isinstance(item, bool):
            return (EPOCH + dt.timedelta(microseconds=item)).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return item if isinstance(item, dt.datetime) else None


def _shown(item: Any) -> str:
    text = repr(item)
    return text if len(text) <= 60 else text[:57] + "..."


def to_rows(batch: Batch) -> list[dict[str, Any]]:
    """The rows as dicts, for a model that is asked about a few."""
    names = list(batch.columns)
    plain = [c.tolist() if isinstance(c, np.ndarray) else c for c in batch.columns.values()]
    return [dict(zip(names, values, strict=True)) for values in zip(*plain, strict=True)]


def to_table(batch: Batch, inputs: Sequence[Field]) -> pa.Table:
    """The rows as a table with the types of the signature."""
    types = {field.name: _arrow_type(field) for field in inputs}
    columns = {}
    for name, items in batch.columns.items():
        try:
            plain = list(items) if isinstance(items, np.ndarray) and items.ndim > 1 else items
            columns[name] = pa.array(plain, type=types.get(name))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise DataError(f"the values of {name!r} do not go together: {error}") from None
    return pa.table(columns)


def _arrow_type(field: Field) -> pa.DataType:
    plain = _ARROW[field.type]
    return pa.list_(plain, field.width) if field.shape else plain


def jsonable(values: np.ndarray) -> list[Any]:
    """An output, flat, as JSON can hold it: null for NaN and infinities, ISO text for moments."""
    flat = values.ravel()
    if flat.dtype.kind == "f":
        items: list[Any] = flat.tolist()
        if not np.isfinite(flat).all():
            return [item if math.isfinite(item) else None for item in items]
        return items
    if flat.dtype.kind == "M":
        return [str(item) for item in flat]
    return [_text(item) if isinstance(item, (bytes, dt.datetime)) else item for item in flat.tolist()]


def _text(item: bytes | dt.datetime) -> str:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else item.isoformat()
