"""Operations on timestamps: microseconds since 1970-01-01 UTC, in the proleptic Gregorian calendar."""

from __future__ import annotations

import numpy as np

from tidemill.data.transform.op import INT, TIME, Op
from tidemill.data.transform.values import Array, Values

SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
"""Microseconds."""
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""Years 1 to 9999, as seconds since 1970-01-01 UTC."""


def _from_unix(seconds: Array) -> Values:
    fits = (seconds >= FIRST_SECOND) & (seconds <= LAST_SECOND)
    return Values(np.where(fits, seconds, 0) * SECOND, fits)


def _within(x: Array, larger: str, smaller: str) -> Array:
    stamps = x.view("M8[us]")
    since: Array = stamps.astype(f"M8[{smaller}]") - stamps.astype(f"M8[{larger}]").astype(f"M8[{smaller}]")
    return since.astype(np.int64) + 1


def _month(x: Array) -> Array:
    months: Array = x.view("M8[us]").astype("M8[M]").astype(np.int64)
    return months % 12 + 1


def _year(x: Array) -> Array:
    years: Array = x.view("M8[us]").astype("M8[Y]").astype(np.int64)
    return years + 1970


OPS: dict[str, Op] = {
    "from_unix": Op((INT,), "timestamp", _from_unix),
    "to_unix": Op((TIME,), "int", lambda x: x // SECOND),
    "year": Op((TIME,), "int", _year, lambda x: x.dt.year()),
    "month": Op((TIME,), "int", _month, lambda x: x.dt.month()),
    "day": Op((TIME,), "int", lambda x: _within(x, "M", "D"), lambda x: x.dt.day()),
    "day_of_year": Op((TIME,), "int", lambda x: _within(x, "Y", "D"), lambda x: x.dt.ordinal_day()),
    "weekday": Op((TIME,), "int", lambda x: (x // DAY + 3) % 7 + 1, lambda x: x.dt.weekday()),
    "hour": Op((TIME,), "int", lambda x: x // HOUR % 24, lambda x: x.dt.hour()),
    "minute": Op((TIME,), "int", lambda x: x // MINUTE % 60, lambda x: x.dt.minute()),
    "second": Op((TIME,), "int", lambda x: x // SECOND % 60, lambda x: x.dt.second()),
}
