"""One type of value as another: the table of casts, and their numpy kernel."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tidemill.data.transform.values import DTYPES, Values, each, element, objects

CASTS = {
    ("int", "float"), ("int", "string"), ("int", "bool"), ("float", "int"), ("float", "string"),
    ("string", "int"), ("string", "float"), ("bool", "int"), ("bool", "float"), ("bool", "string"),
}  # fmt: skip


def cast_problem(source: str, to: str) -> str:
    """Why a column of type `source` cannot be cast to `to`; empty when it can."""
    inner = element(source)
    if source in (to, "empty") or ((inner or source, to) in CASTS and not (inner and to == "bool")):
        return ""
    return f"there is no cast from {source} to {to}"


def cast_values(x: Values, *, to: str) -> Values:
    """`x` as type `to`; null where a value has no form in it. See `functions.cast` for the rules."""
    data, dtype = x.data, DTYPES[to]
    if data.dtype == object and to != "string":
        parsed = each(_whole_number if to == "int" else _number, data)
        good = np.array([item is not None for item in parsed], dtype=np.bool_)
        return Values(np.array([0 if i is None else i for i in parsed], dtype=dtype), x.valid & good)
    if to == "string":
        return Values(objects([_text(item) for item in data.tolist()]), x.valid)
    if to == "int" and data.dtype == np.float64:
        fits = (data >= -(2.0**63)) & (data < 2.0**63)
        return Values(np.where(fits, data, 0).astype(np.int64), x.valid & fits)
    return Values(data.astype(dtype), x.valid)


_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,30}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def _whole_number(text: str) -> int | None:
    number = int(text) if _WHOLE_NUMBER.fullmatch(text) else None
    return number if number is not None and -(2**63) <= number < 2**63 else None


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _text(item: Any) -> str:
    return str(item).lower() if isinstance(item, bool) else str(item)
