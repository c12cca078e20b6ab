"""Columns of values in numpy: the form in which every operation is defined.

A null has a harmless stand-in in `data`, so that a kernel can run over all rows; what it computes there
is never seen. This module knows neither Arrow nor polars: a server loads it.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.errors import DataError

Array = NDArray[Any]
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)

DTYPES: dict[str, Any] = {
    "int": np.dtype(np.int64),
    "float": np.dtype(np.float64),
    "bool": np.dtype(np.bool_),
    "string": np.dtype(object),
    "timestamp": np.dtype(np.int64),
    "empty": np.dtype(np.float64),
}
"""Type of a column -> dtype of its `data`; timestamps are microseconds since 1970-01-01 UTC."""

STAND_INS: dict[str, Any] = {
    "int": 0,
    "float": 0.0,
    "bool": False,
    "string": "",
    "timestamp": 0,
    "empty": 0.0,
}


def element(type: str) -> str:
    """The type of the values in a list column; empty for a column that has no lists."""
    return type[5:-1] if type.startswith("list[") else ""


@dataclass(frozen=True, slots=True)
class Lists:
    """`data` of a list column: row i has `flat[offsets[i]:offsets[i + 1]]`."""

    flat: Array
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many values each row has."""
        return np.diff(self.offsets)

    def rows(self) -> NDArray[np.int64]:
        """The row of each value of `flat`."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def kept(self, keep: NDArray[np.bool_]) -> Lists:
        """Without the values of `flat` where `keep` is false."""
        if keep.all():
            return self
        counts = np.concatenate([[0], np.cumsum(keep)])
        return Lists(self.flat[keep], counts[self.offsets])

    @classmethod
    def of(cls, flat: Array, lengths: Array) -> Lists:
        """From the values of all rows, in order, and the length of each row."""
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return cls(flat, offsets)


@dataclass(frozen=True, slots=True)
class Values:
    """`data[i]` counts only where `valid[i]`. `data` is an array, or `Lists` for a list column."""

    data: Any
    valid: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.data)

    def settled(self, type: str) -> Values:
        """With the dtype of `type`, and the stand-in (or no values) wherever the value is null."""
        if isinstance(self.data, Lists):
            return self._settled_lists(element(type))
        data = self.data
        if data.dtype is not DTYPES[type]:
            data = data.astype(DTYPES[type], copy=False)
        if not (self.valid[0] if len(self.valid) == 1 else self.valid.all()):  # one row is a server's case
            data = data.copy()
            data[~self.valid] = STAND_INS[type]
        elif data is self.data:
            return self
        return Values(data, self.valid)

    def _settled_lists(self, item: str) -> Values:
        lists: Lists = self.data
        flat = lists.flat.astype(DTYPES[item], copy=False)
        lists = Lists(flat, lists.offsets)
        if not self.valid.all():
            lists = lists.kept(np.repeat(self.valid, lists.lengths))
        return Values(lists, self.valid)


def all_valid(data: Any) -> Values:
    """`data` without nulls."""
    return Values(data, np.ones(len(data), dtype=np.bool_))


def objects(items: Sequence[Any]) -> Array:
    """A one-dimensional object array of `items`."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def each(function: Callable[[Any], Any], data: Array) -> list[Any]:
    """`function` of every item, called once per distinct item."""
    if len(data) == 1:
        return [function(data[0])]
    known: dict[Any, Any] = {}
    results = []
    for item in data.tolist():
        if item not in known:
            known[item] = function(item)
        results.append(known[item])
    return results


def from_python(items: Sequence[Any], type: str, name: str) -> Values:
    """Python values (None for null) as a column of `type`; DataError names the column `name`."""
    valid = np.array([item is not None for item in items], dtype=np.bool_)
    if item_type := element(type):
        rows = [[] if row is None else _list(row, item_type, name) for row in items]
        flat = from_python([item for row in rows for item in row], item_type, name).data
        lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        return Values(Lists.of(flat, lengths), valid)
    stand_in = STAND_INS[type]
    plain = [stand_in if item is None else _plain(item, type, name) for item in items]
    data = objects(plain) if type == "string" else np.array(plain, dtype=DTYPES[type])
    return Values(data, valid)


def to_python(values: Values, type: str) -> list[Any]:
    """Inverse of `from_python`; timestamps come back as naive UTC datetimes."""
    if isinstance(values.data, Lists):
        flat, ends = values.data.flat.tolist(), values.data.offsets.tolist()
        items = [flat[start:end] for start, end in itertools.pairwise(ends)]
    else:
        items = values.data.tolist()
    if type == "timestamp":
        items = [EPOCH.replace(tzinfo=None) + item * MICROSECOND for item in items]
    return [item if ok else None for item, ok in zip(items, values.valid.tolist(), strict=True)]


def to_array(values: Values, type: str) -> Array:
    """One numpy array, first axis the rows, as a model takes it.

    Nulls are NaN in float, int and bool columns (which are float64 then), None in text, NaT in timestamps.
    Lists of one length become a matrix; others an object array of arrays.
    """
    data, valid = values.data, values.valid
    if isinstance(data, Lists):
        lengths = data.lengths
        if len(lengths) and (lengths == lengths[0]).all() and valid.all():
            return data.flat.reshape(len(lengths), int(lengths[0]))
        ends = data.offsets.tolist()
        parts = [data.flat[start:end] for start, end in itertools.pairwise(ends)]
        return objects([part if ok else None for part, ok in zip(parts, valid.tolist(), strict=True)])
    if type == "timestamp":
        data = data.view("M8[us]")
    if valid[0] if len(valid) == 1 else valid.all():
        found: Array = data
        return found
    match type:
        case "string":
            data = data.copy()
            data[~valid] = None
        case "timestamp":
            data = np.where(valid, data, np.datetime64("NaT"))
        case _:
            data = np.where(valid, data.astype(np.float64), np.nan)
    return np.asarray(data)


def _list(row: Any, item_type: str, name: str) -> list[Any]:
    if isinstance(row, np.ndarray):
        row = row.tolist()
    if not isinstance(row, list | tuple):
        raise DataError(
            f"column {name!r} has the value {row!r}, and it had lists of {item_type} when fitted",
            hint="send a list; one value alone is a list of one",
        )
    return [item for item in row if item is not None]


def _plain(item: Any, type: str, name: str) -> Any:
    """`item` in the form that `DTYPES[type]` holds."""
    if isinstance(item, np.datetime64):
        item = item.astype("M8[us]").item()
    elif isinstance(item, np.generic):
        item = item.item()
    match item:
        case bool() if type == "bool":
            return item
        case int() if type == "int" and not isinstance(item, bool) and -(2**63) <= item < 2**63:
            return item
        case float() if type == "int" and math.isfinite(item) and item == int(item) and abs(item) < 2**63:
            return int(item)
        case int() | float() if type == "float" and not isinstance(item, bool):
            return _double(item, name)
        case str() if type == "string" and _is_unicode(item):
            return item
        case dt.datetime() if type == "timestamp":
            aware = item if item.tzinfo else item.replace(tzinfo=dt.UTC)
            return (aware - EPOCH) // MICROSECOND
        case dt.date() if type == "timestamp":
            midnight = dt.datetime(item.year, item.month, item.day, tzinfo=dt.UTC)
            return (midnight - EPOCH) // MICROSECOND
    seen = "no value was seen" if type == "empty" else f"it was {type}"
    raise DataError(
        f"column {name!r} has the value {item!r}, and {seen} when the graph was fitted",
        hint="send the types of the training data, or train again on data of this form",
    )


def _is_unicode(text: str) -> bool:
    """False for text with halves of surrogate pairs: JSON can say them, Arrow and a hash cannot."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _double(item: float, name: str) -> float:
    try:
        return float(item)
    except OverflowError:
        raise DataError(f"column {name!r} has a whole number of {len(str(item))} digits: no float") from None
