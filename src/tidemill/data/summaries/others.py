"""Truth values, moments in time, and what is only counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidemill.data.quantiles import QuantileSummary
from tidemill.data.statistics import BooleanSummary, TimestampSummary
from tidemill.data.summaries.summary import PERCENTILES, Column, histogram_of


class BooleanState:
    """Truth values."""

    def __init__(self) -> None:
        self.true = self.false = 0

    def add(self, values: Column) -> None:
        """Take in truth values."""
        true = values.true_count
        self.true += true
        self.false += len(values) - true

    def merge(self, other: BooleanState) -> None:
        """Take in the state of later values."""
        self.true += other.true
        self.false += other.false

    def finish(self) -> dict[str, Any]:
        """The field `boolean`."""
        return {"boolean": BooleanSummary(true=self.true, false=self.false)}

    def to_plain(self) -> list[Any]:
        """Both counts."""
        return [self.true, self.false]

    def take_plain(self, value: list[Any]) -> None:
        """Inverse of `to_plain`."""
        self.true, self.false = value


class TimestampState:
    """Dates and moments, in microseconds."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.last: int | None = None
        self.quantiles = QuantileSummary()

    def add(self, values: Column) -> None:
        """Take in dates or time stamps of any unit."""
        instants = values.cast(pa.timestamp("us", getattr(values.type, "tz", None)), safe=False)
        ordered = np.sort(pc.cast(instants, pa.int64()).to_numpy())
        self._widen(int(ordered[0]), int(ordered[-1]))
        self.quantiles.add_sorted(ordered.astype(np.float64))

    def _widen(self, first: int, last: int) -> None:
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)

    def merge(self, other: TimestampState) -> None:
        """Take in the state of later rows."""
        self.quantiles.merge(other.quantiles)
        if other.first is not None and other.last is not None:
            self._widen(other.first, other.last)

    def finish(self) -> dict[str, Any]:
        """The field `timestamp`."""
        if self.first is None or self.last is None:
            return {"timestamp": TimestampSummary(min=None, max=None)}
        inner = self.quantiles.quantiles(PERCENTILES.copy())[1:-1]
        summary = TimestampSummary(
            min=_iso(self.first),
            max=_iso(self.last),
            quantiles=(self.first, *(min(max(int(q), self.first), self.last) for q in inner), self.last),
            histogram=histogram_of(self.quantiles),
        )
        return {"timestamp": summary}

    def to_plain(self) -> list[Any]:
        """Bounds, quantiles."""
        return [self.first, self.last, self.quantiles.to_plain()]

    def take_plain(self, value: list[Any]) -> None:
        """Inverse of `to_plain`."""
        self.first, self.last = value[:2]
        self.quantiles = QuantileSummary.from_plain(value[2])


class NoState:
    """For columns whose values are counted, but not looked into."""

    def add(self, values: Column) -> None:
        """Nothing to take in."""

    def merge(self, other: NoState) -> None:
        """Nothing to merge."""

    def finish(self) -> dict[str, Any]:
        """No field."""
        return {}

    def to_plain(self) -> list[Any]:
        """Nothing."""
        return []

    def take_plain(self, value: list[Any]) -> None:
        """Nothing."""


def _iso(microseconds: int) -> str:
    return str(np.datetime64(microseconds, "us"))
