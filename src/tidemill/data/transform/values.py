"""Columns of values in numpy: the form in which every operation is defined.

A null has a harmless stand-in in `data`, so that a kernel can run over all rows; what it computes there
is never seen.
"""

from __future__ import annotations

import datetime as dt
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
    "int": np.int64,
    "float": np.float64,
    "bool": np.bool_,
    "string": object,
    "timestamp": np.int64,
    "empty": np.float64,
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


@dataclass(frozen=True, slots=True)
class Values:
    """`data[i]` counts only where `valid[i]`."""

    data: Array
    valid: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.data)

    def settled(self, type: str) -> Values:
        """With the dtype of `type`, and the stand-in wherever the value is null."""
        data = self.data.astype(DTYPES[type], copy=False)
        if not self.valid.all():
            data = data.copy()
            data[~self.valid] = STAND_INS[type]
        return Values(data, self.valid)


def all_valid(data: Array) -> Values:
    """`data` without nulls."""
    return Values(data, np.ones(len(data), dtype=np.bool_))


def objects(items: Sequence[Any]) -> Array:
    """A one-dimensional object array of `items`."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def each(function: Callable[[Any], Any], data: Array) -> list[Any]:
    """`function` of every item, called once per distinct item."""
    known: dict[Any, Any] = {}
    results = []
    for item in data.tolist():
        if item not in known:
            known[item] = function(item)
        results.append(known[item])
    return results


def from_python(items: Sequence[Any], type: str, name: str) -> Values:
    """Python values (None for null) as a column of `type`; DataError names the column `name`."""
    valid = np.fromiter((item is not None for item in items), dtype=np.bool_, count=len(items))
    stand_in = STAND_INS[type]
    plain = [stand_in if item is None else _plain(item, type, name) for item in items]
    data = objects(plain) if type == "string" else np.array(plain, dtype=DTYPES[type])
    return Values(data, valid)


def to_python(values: Values, type: str) -> list[Any]:
    """Inverse of `from_python`; timestamps come back as naive UTC datetimes."""
    items = values.data.tolist()
    if type == "timestamp":
        items = [EPOCH.replace(tzinfo=None) + item * MICROSECOND for item in items]
    return [item if ok else None for item, ok in zip(items, values.valid.tolist(), strict=True)]


def _plain(item: Any, type: str, name: str) -> Any:
    """`item` in the form that `DTYPES[type]` holds."""
    if isinstance(item, np.generic):
        item = item.item()
    match item:
        case bool() if type == "bool":
            return item
        case int() if type == "int" and not isinstance(item, bool) and -(2**63) <= item < 2**63:
            return item
        case float() if type == "int" and math.isfinite(item) and item == int(item) and abs(item) < 2**63:
            return int(item)
        case int() | float() if type == "float" and not isinstance(item, bool):
            return float(item)
        case str() if type == "string":
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
