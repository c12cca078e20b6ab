"""What is learned from the data: one small state per analyzing operation, fed batch by batch.

States of parts of the data can be merged; merged in the same order they give the same result to the
last bit. Only plain numbers and texts come out. Nulls, NaN and infinities are never part of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.data.quantiles import QuantileSummary
from tidemill.errors import DataError

Floats = NDArray[np.float64]


class Moments:
    """Count, mean and squared deviations; merged by Chan, Golub and LeVeque's formula (1979)."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, column: pl.Series) -> None:
        """Take in one more batch."""
        values = _finite(column)
        batch = Moments()
        if len(values):
            batch.count, batch.mean = len(values), float(values.mean())
            batch.squares = float(np.square(values - batch.mean).sum())
        self.merge(batch)

    def merge(self, other: Moments) -> None:
        """Take in what another state saw after this one."""
        count = self.count + other.count
        if not other.count:
            return
        delta = other.mean - self.mean
        self.mean += delta * (other.count / count)
        self.squares += other.squares + delta * delta * (self.count * other.count / count)
        self.count = count

    def finish(self, _params: Mapping[str, Any]) -> dict[str, Any]:
        """`center` (mean) and `width` (population standard deviation; 0 without spread)."""
        width = math.sqrt(self.squares / self.count) if self.count else 0.0
        return {"center": _finite_or_fail(self.mean), "width": _finite_or_fail(width), "count": self.count}


class Range:
    """Smallest and largest value."""

    def __init__(self) -> None:
        self.count, self.low, self.high = 0, math.inf, -math.inf

    def add(self, column: pl.Series) -> None:
        """Take in one more batch."""
        values = _finite(column)
        if len(values):
            self.count += len(values)
            self.low = min(self.low, float(values.min()))
            self.high = max(self.high, float(values.max()))

    def merge(self, other: Range) -> None:
        """Take in what another state saw after this one."""
        self.count += other.count
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def finish(self, _params: Mapping[str, Any]) -> dict[str, Any]:
        """`center` (min) and `width` (max - min; 0 without spread)."""
        low, width = (self.low, self.high - self.low) if self.count else (0.0, 0.0)
        return {"center": low, "width": _finite_or_fail(width), "count": self.count}


class Quantiles:
    """Where shares of the values lie, in bounded memory: see `data.quantiles` for the error."""

    POINTS = 4096

    def __init__(self) -> None:
        self.summary = QuantileSummary(self.POINTS)

    def add(self, column: pl.Series) -> None:
        """Take in one more batch."""
        self.summary.add(_finite(column))

    def merge(self, other: Quantiles) -> None:
        """Take in what another state saw after this one."""
        self.summary.merge(other.summary)

    def finish(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """`boundaries`: ascending, at most `buckets - 1`, above the smallest value."""
        if not self.summary.count:
            return {"boundaries": [], "count": 0}
        buckets = params["buckets"]
        cuts = {self.summary.cut(i / buckets) for i in range(1, buckets)}
        inner = sorted(cut for cut in cuts if self.summary.minimum < cut <= self.summary.maximum)
        return {"boundaries": inner, "count": self.summary.count}


class Vocabulary:
    """How often each text occurs: exact, so its memory grows with the number of distinct texts."""

    def __init__(self) -> None:
        self.counts = pl.DataFrame(schema={"text": pl.String, "count": pl.Int64})
        self.waiting: list[pl.DataFrame] = []

    def add(self, column: pl.Series) -> None:
        """Take in one more batch."""
        counted = column.drop_nulls().rename("text").value_counts(name="count")
        self._take(counted.cast({"count": pl.Int64}))

    def merge(self, other: Vocabulary) -> None:
        """Take in what another state saw after this one."""
        other._settle()
        self._take(other.counts)

    def finish(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """`values`: the kept texts, most frequent first, equals in code point order."""
        self._settle()
        kept = self.counts.filter(pl.col("count") >= params["frequency_threshold"])
        ordered = kept.sort(["count", "text"], descending=[True, False])
        return {"values": ordered["text"].head(params["top_k"] or len(ordered)).to_list()}

    def _take(self, counted: pl.DataFrame) -> None:
        self.waiting.append(counted)
        if sum(len(frame) for frame in self.waiting) > max(len(self.counts), 100_000):
            self._settle()

    def _settle(self) -> None:
        together = pl.concat([self.counts, *self.waiting])
        self.counts, self.waiting = together.group_by("text").agg(pl.col("count").sum()), []


ANALYZERS: dict[str, type[Moments | Range | Quantiles | Vocabulary]] = {
    "moments": Moments,
    "range": Range,
    "quantiles": Quantiles,
    "vocabulary": Vocabulary,
}
"""By the names that `ops` uses. Each has `add(column)` for batches, `merge(other)` for states of later
parts of the data, and `finish(params)`: the fitted values as JSON, for the operation's parameters."""


def _finite(column: pl.Series) -> Floats:
    values: Floats = column.drop_nulls().to_numpy()
    return values[np.isfinite(values)]


def _finite_or_fail(value: float) -> float:
    if not math.isfinite(value):
        raise DataError(
            "the values are too large to scale: their spread exceeds a 64 bit float",
            hint="clip the column, or take log1p of it, before scaling",
        )
    return value
