"""Computing statistics: one mergeable state per column, one row group at a time.

A state is made empty, takes in a row group (`add`) or another state (`merge`), and is asked at the
end (`finish`). Row groups are merged in file order and columns are independent of each other, so
the result does not depend on the number of threads. This room reads splits; it writes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from tidemill.data.column_types import Kind, kind_of
from tidemill.data.parquet import count_rows, read_schema, read_tables
from tidemill.data.quantiles import QuantileSummary
from tidemill.data.sketch import FrequentValues, Moments
from tidemill.data.statistics import (
    TOP_VALUES,
    BooleanSummary,
    ColumnStatistics,
    Histogram,
    NumericSummary,
    SplitStatistics,
    StringSummary,
    TimestampSummary,
)
from tidemill.errors import DataError

PERCENTILES = np.arange(101) / 100
BINS = 10
LISTED_VALUES = 1000

Column = Any
"""An Arrow array without nulls, of the state's kind."""


class Summary(Protocol):
    """The part of a state that depends on the kind of column; sees values only, no nulls."""

    def add(self, values: Column) -> None:
        """Take in values."""
        ...

    def merge(self, other: Any) -> None:
        """Take in another state of the same class."""
        ...

    def finish(self) -> dict[str, Any]:
        """Fields of `ColumnStatistics`."""
        ...


class ColumnState:
    """Everything about one column."""

    def __init__(self, name: str, kind: Kind) -> None:
        self.name = name
        self.kind = kind
        self.count = 0
        self.missing = 0
        self.summary: Summary = _SUMMARIES[kind]()

    def add(self, column: Column) -> None:
        """Take in the column of one row group."""
        values = pc.drop_null(column)
        self.count += len(values)
        self.missing += len(column) - len(values)
        if len(values):
            self.summary.add(values)

    def merge(self, other: ColumnState) -> None:
        """Take in the state of later row groups."""
        self.count += other.count
        self.missing += other.missing
        self.summary.merge(other.summary)

    def finish(self) -> ColumnStatistics:
        """The statistics of all that was taken in."""
        return ColumnStatistics(
            name=self.name, type=self.kind, count=self.count, missing=self.missing, **self.summary.finish()
        )


def analyze_tables(tables: Iterable[pa.Table], schema: pa.Schema) -> SplitStatistics:
    """Statistics of tables that have `schema`. Memory: one table, and the bounded states."""
    states = {field.name: ColumnState(field.name, kind_of(field.type)) for field in schema}
    rows = 0
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for table in tables:
            rows += table.num_rows
            add: Callable[[str], None] = _adder(states, table)
            for _ in pool.map(add, states):
                pass
    return SplitStatistics(num_rows=rows, columns=tuple(state.finish() for state in states.values()))


def analyze_split(folder: Path) -> SplitStatistics:
    """Statistics of the Parquet files of a split. DataError when they cannot be read, or not to the end."""
    statistics = analyze_tables(read_tables(folder), read_schema(folder))
    if (promised := count_rows(folder)) != statistics.num_rows:
        raise DataError(
            f"the footers say {promised} rows, but {statistics.num_rows} were read", where=str(folder)
        )
    return statistics


def _adder(states: dict[str, ColumnState], table: pa.Table) -> Callable[[str], None]:
    def add(name: str) -> None:
        partial = ColumnState(name, states[name].kind)
        partial.add(table.column(name))
        states[name].merge(partial)

    return add


class _NumericState:
    def __init__(self) -> None:
        self.moments = Moments()
        self.quantiles = QuantileSummary()
        self.zeros = self.nan = self.infinite = 0
        self.minimum: int | float | None = None
        self.maximum: int | float | None = None

    def add(self, values: Column) -> None:
        numbers: npt.NDArray[Any] = values.to_numpy()
        if numbers.dtype.kind == "f":
            finite = np.isfinite(numbers)
            if not finite.all():
                self.nan += int(np.isnan(numbers).sum())
                self.infinite += int(np.isinf(numbers).sum())
                numbers = numbers[finite]
        if not len(numbers):
            return
        self._bounds(numbers.min().item(), numbers.max().item())
        self.zeros += int((numbers == 0).sum())
        floats = numbers.astype(np.float64)
        self.moments.add(floats)
        self.quantiles.add(floats)

    def _bounds(self, low: int | float, high: int | float) -> None:
        self.minimum = low if self.minimum is None else min(self.minimum, low)
        self.maximum = high if self.maximum is None else max(self.maximum, high)

    def merge(self, other: _NumericState) -> None:
        self.moments.merge(other.moments)
        self.quantiles.merge(other.quantiles)
        self.zeros += other.zeros
        self.nan += other.nan
        self.infinite += other.infinite
        if other.minimum is not None and other.maximum is not None:
            self._bounds(other.minimum, other.maximum)

    def finish(self) -> dict[str, Any]:
        whole = isinstance(self.minimum, int)
        some = self.moments.count > 0
        quantiles = self.quantiles.quantiles(PERCENTILES.copy()).tolist() if some else []
        if whole:  # percentiles are values of the column, floats only on their way
            quantiles = [self.minimum, *(int(q) for q in quantiles[1:-1]), self.maximum]
        numeric = NumericSummary(
            mean=_finite(self.moments.mean) if some else None,
            std=_finite(self.moments.deviation) if some else None,
            min=self.minimum,
            max=self.maximum,
            zeros=self.zeros,
            nan=self.nan,
            infinite=self.infinite,
            quantiles=tuple(quantiles),
            histogram=_histogram(self.quantiles) if some else None,
        )
        return {"numeric": numeric}


class _StringState:
    def __init__(self) -> None:
        self.values = FrequentValues()
        self.count = 0
        self.characters = 0

    def add(self, values: Column) -> None:
        text = cast("pl.Series", pl.from_arrow(values))
        self.count += len(text)
        self.characters += int(text.str.len_chars().cast(pl.Int64).sum())
        self.values.add(text)

    def merge(self, other: _StringState) -> None:
        self.count += other.count
        self.characters += other.characters
        self.values.merge(other.values)

    def finish(self) -> dict[str, Any]:
        distinct = self.values.distinct_count
        listed = self.values.top(LISTED_VALUES)
        if distinct > LISTED_VALUES:
            listed = [pair for at, pair in enumerate(listed) if at < TOP_VALUES or pair[1] > 1]
        string = StringSummary(
            distinct=distinct,
            exact=not self.values.lost,
            avg_length=self.characters / self.count if self.count else 0.0,
            frequencies=tuple(listed),
        )
        return {"string": string}


class _BooleanState:
    def __init__(self) -> None:
        self.true = self.false = 0

    def add(self, values: Column) -> None:
        true = int(pc.sum(values).as_py())
        self.true += true
        self.false += len(values) - true

    def merge(self, other: _BooleanState) -> None:
        self.true += other.true
        self.false += other.false

    def finish(self) -> dict[str, Any]:
        return {"boolean": BooleanSummary(true=self.true, false=self.false)}


class _TimestampState:
    def __init__(self) -> None:
        self.first: int | None = None
        self.last: int | None = None

    def add(self, values: Column) -> None:
        instants = values.cast(pa.timestamp("us", getattr(values.type, "tz", None)), safe=False)
        ends: Any = pc.min_max(instants.cast(pa.int64())).as_py()
        self._bounds(ends["min"], ends["max"])

    def _bounds(self, first: int, last: int) -> None:
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)

    def merge(self, other: _TimestampState) -> None:
        if other.first is not None and other.last is not None:
            self._bounds(other.first, other.last)

    def finish(self) -> dict[str, Any]:
        return {"timestamp": TimestampSummary(min=_iso(self.first), max=_iso(self.last))}


class _NoState:
    """For columns whose values are counted, but not looked into."""

    def add(self, values: Column) -> None:
        pass

    def merge(self, other: _NoState) -> None:
        pass

    def finish(self) -> dict[str, Any]:
        return {}


_SUMMARIES: dict[str, Callable[[], Summary]] = {
    "int": _NumericState,
    "float": _NumericState,
    "string": _StringState,
    "bool": _BooleanState,
    "timestamp": _TimestampState,
    "other": _NoState,
    "empty": _NoState,
}


def _histogram(summary: QuantileSummary) -> Histogram:
    low, high = summary.minimum, summary.maximum
    if low == high:
        return Histogram(edges=(low, high), counts=(summary.count,))
    edges = np.linspace(low / 2, high / 2, BINS + 1) * 2  # halves: the width may exceed the largest float
    edges[0], edges[-1] = low, high
    below = np.rint(summary.rank(edges[1:-1], inclusive=False)).astype(np.int64)
    counts = np.diff(np.concatenate([[0], below, [summary.count]]))
    return Histogram(edges=tuple(edges.tolist()), counts=tuple(int(n) for n in counts))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _iso(microseconds: int | None) -> str | None:
    return None if microseconds is None else str(np.datetime64(microseconds, "us"))
