"""Numbers: whole ones, floats, decimals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as kinds

from tidemill.data.hashing import hash_whole_numbers
from tidemill.data.quantiles import POINTS, QuantileSummary, runs
from tidemill.data.sketch import DistinctValues, Moments
from tidemill.data.statistics import NumericSummary
from tidemill.data.summaries.summary import PERCENTILES, Column, histogram_of

Numbers = npt.NDArray[Any]

NARROW = 1 << 16
"""Whole numbers in a range up to this wide are counted one by one instead of sorted."""


class NumericState:
    """Whole numbers and floats. Both may come, from different files; then all count as floats."""

    def __init__(self) -> None:
        self.moments = Moments()
        self.quantiles = QuantileSummary()
        self.distinct = DistinctValues()
        self.whole = True
        self.zeros = self.nan = self.infinite = 0
        self.minimum: int | float | None = None
        self.maximum: int | float | None = None

    def add(self, values: Column) -> None:
        """Take in numbers; NaN and infinities are counted apart."""
        numbers = as_numbers(values)
        if numbers.dtype.kind == "f":
            self.whole = False
            ordered = np.sort(numbers)  # NaN comes last
            start, end, nan = np.searchsorted(ordered, [-np.inf, np.inf, np.nan], side="left")
            start = np.searchsorted(ordered, -np.inf, side="right")
            self.nan += len(ordered) - int(nan)
            self.infinite += int(start) + int(nan) - int(end)
            self._add_sorted(ordered[start:end])
        elif (low := int(numbers.min())) + NARROW > int(numbers.max()):
            wide = (
                numbers if numbers.dtype.kind == "u" else numbers.astype(np.int64)
            )  # no difference overflows
            counts = np.bincount((wide - wide.dtype.type(low)).astype(np.int64))
            found = np.flatnonzero(counts)
            self._add_runs(found.astype(wide.dtype) + wide.dtype.type(low), counts[found])
        else:
            self._add_sorted(np.sort(numbers))

    def _add_sorted(self, ordered: Numbers) -> None:
        if not len(ordered):
            return
        values, counts = runs(ordered)
        if len(values) <= POINTS or ordered.dtype.kind != "f":
            self._add_runs(values, counts, ordered)
            return
        self._bounds(ordered)
        self.zeros += int(np.searchsorted(ordered, 0, "right") - np.searchsorted(ordered, 0, "left"))
        self.moments.add(ordered)
        self.quantiles.add_sorted(ordered)

    def _add_runs(self, values: Numbers, counts: Numbers, ordered: Numbers | None = None) -> None:
        """Ascending distinct values and how often each occurs; or all of them too, where they are many."""
        self._bounds(values)
        self.zeros += int(counts[values == 0].sum())
        floats = values.astype(np.float64)
        self.moments.add(floats, counts)
        if ordered is None or len(values) <= POINTS:
            self.quantiles.add_weighted(*_merged_runs(floats, counts))
        else:
            self.quantiles.add_sorted(ordered.astype(np.float64))
        if values.dtype.kind != "f":
            self.distinct.add(hash_whole_numbers(values))

    def _bounds(self, ascending: Numbers) -> None:
        self._widen(ascending[0].item(), ascending[-1].item())

    def _widen(self, low: int | float, high: int | float) -> None:
        self.minimum = low if self.minimum is None else min(self.minimum, low)
        self.maximum = high if self.maximum is None else max(self.maximum, high)

    def merge(self, other: NumericState) -> None:
        """Take in the state of later numbers."""
        self.moments.merge(other.moments)
        self.quantiles.merge(other.quantiles)
        self.distinct.merge(other.distinct)
        self.whole = self.whole and other.whole
        self.zeros += other.zeros
        self.nan += other.nan
        self.infinite += other.infinite
        if other.minimum is not None and other.maximum is not None:
            self._widen(other.minimum, other.maximum)

    def finish(self) -> dict[str, Any]:
        """The field `numeric`."""
        some = self.minimum is not None
        low, high = self.minimum, self.maximum
        quantiles: list[Any] = self.quantiles.quantiles(PERCENTILES.copy()).tolist() if some else []
        if some and self.whole:  # percentiles are values of the column, floats only on their way
            quantiles = [low, *(min(max(int(q), low), high) for q in quantiles[1:-1]), high]  # type: ignore[type-var]  # not None: some
        elif some:
            low, high = self.quantiles.minimum, self.quantiles.maximum
        numeric = NumericSummary(
            mean=_finite(self.moments.mean) if some else None,
            std=_finite(self.moments.deviation) if some else None,
            min=low,
            max=high,
            zeros=self.zeros,
            nan=self.nan,
            infinite=self.infinite,
            quantiles=tuple(quantiles),
            histogram=histogram_of(self.quantiles) if some else None,
            distinct=self.distinct.count if self.whole else None,
        )
        return {"numeric": numeric}

    def to_plain(self) -> list[Any]:
        """Moments, quantiles, distinct values, then counts and bounds."""
        states = [self.moments.to_plain(), self.quantiles.to_plain(), self.distinct.to_plain()]
        return [*states, self.whole, self.zeros, self.nan, self.infinite, self.minimum, self.maximum]

    def take_plain(self, value: list[Any]) -> None:
        """Inverse of `to_plain`."""
        self.moments = Moments.from_plain(value[0])
        self.quantiles = QuantileSummary.from_plain(value[1])
        self.distinct = DistinctValues.from_plain(value[2])
        self.whole, self.zeros, self.nan, self.infinite, self.minimum, self.maximum = value[3:]


def as_numbers(values: Column) -> Numbers:
    """An Arrow array of numbers without nulls as int64, uint64 or float64 (or narrower) numpy."""
    if kinds.is_decimal(values.type):
        values = values.cast(pa.float64())
    if kinds.is_float16(values.type):
        values = values.cast(pa.float32())
    numbers: Numbers = values.to_numpy()
    return numbers


def _merged_runs(values: Numbers, counts: Numbers) -> tuple[Numbers, Numbers]:
    """Whole numbers above 2^53 may be the same float; those are counted together."""
    first = np.concatenate([[True], values[1:] != values[:-1]])
    if first.all():
        return values, counts
    starts = np.flatnonzero(first)
    return values[starts], np.add.reduceat(counts, starts)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
