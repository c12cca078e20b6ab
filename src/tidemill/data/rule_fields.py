"""The figures of a column by the names that rules know them by.

Flat names over the summaries of `statistics`: a rule says `mean`, whatever record holds it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tidemill.data.seen import value_total
from tidemill.data.statistics import (
    BooleanSummary,
    BytesSummary,
    ColumnStatistics,
    NumericSummary,
    StringSummary,
    TimestampSummary,
)

_SUMMARIES = {
    "numeric": NumericSummary, "string": StringSummary, "boolean": BooleanSummary,
    "timestamp": TimestampSummary, "bytes": BytesSummary,
}  # fmt: skip
_VALENCY = ("min_values", "max_values", "avg_values", "total_values")
_OWN = ("rows", "fraction_present", "median", "first_value")
COLUMN_FIELDS = sorted(
    {f.name for cls in (ColumnStatistics, *_SUMMARIES.values()) for f in dataclasses.fields(cls)}
    - {*_SUMMARIES, "quantiles", "histogram", "frequencies", "name", "valency", "weighted", "types"}
    | {*_OWN, *_VALENCY}
)
"""Every name that may stand for a figure; most columns have only some."""


def field_of(column: ColumnStatistics, name: str) -> Any:
    """A figure of a column by the name rules know it by; None when the column has none."""
    if name == "rows":
        return column.count + column.missing
    if name == "median":
        return quantile(column, 0.5)
    if name == "first_value":
        return column.string.frequencies[0][0] if column.string and column.string.frequencies else None
    if name in _VALENCY:
        return getattr(column.valency[0], name.removesuffix("_values")) if column.valency else None
    for owner in (column, column.numeric, column.string, column.boolean, column.timestamp, column.bytes):
        if owner is not None and hasattr(type(owner), name):
            found = getattr(owner, name)
            return found if isinstance(found, (int, float, str)) else None
    return None


def quantile(column: ColumnStatistics, share: float) -> float | None:
    """Interpolated between percentiles; None without numbers."""
    if column.numeric is None or not column.numeric.quantiles:
        return None
    quantiles = column.numeric.quantiles
    at = share * (len(quantiles) - 1)
    low = int(at)
    high = min(low + 1, len(quantiles) - 1)
    return quantiles[low] * (1 - (at - low)) + quantiles[high] * (at - low)


def share(column: ColumnStatistics, value: str) -> float | None:
    """Share of the rows with a value that have this text; None when an incomplete list does not name it."""
    if column.string is None or not column.count:
        return None
    found = dict(column.string.frequencies).get(value)
    if found is None:
        return 0.0 if column.string.complete else None
    return found / value_total(column)
