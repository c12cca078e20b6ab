"""States of analyses of numbers by key; see `analyzers` for what all states promise.

A row counts where it has a key and a finite number. Sums go in row order, by numpy: those of a polars
`group_by` depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.data.quantiles import QuantileSummary
from tidemill.data.transform.analyzers_number import boundaries_of, finite_or_fail
from tidemill.errors import DataError

LIMIT = 200_000
"""Distinct keys at most; each has a few numbers."""
QUANTILES_LIMIT = 10_000
"""Distinct keys at most of which each has a quantile summary."""
Floats = NDArray[np.float64]


class _Keyed:
    """Three numbers per key."""

    def __init__(self, _params: Mapping[str, Any]) -> None:
        self.table: dict[str, tuple[float, float, float]] = {}

    def add(self, columns: Sequence[pl.Series]) -> None:
        """Take in one more batch."""
        keys, codes, values = _coded(columns)
        if keys:
            rows = self._of_batch(codes, values, len(keys))
            self._merge(zip(keys, zip(*(row.tolist() for row in rows), strict=True), strict=True))

    def merge(self, other: _Keyed) -> None:
        """Take in what another state saw after this one."""
        self._merge(other.table.items())

    def plain(self) -> list[Any]:
        """See `State`."""
        keys = sorted(self.table)
        flat = [number for key in keys for number in self.table[key]]
        return [keys, np.array(flat, dtype=np.float64)]

    def restore(self, value: list[Any]) -> None:
        """See `State`."""
        rows = value[1].reshape(-1, 3).tolist()
        self.table = {key: tuple(row) for key, row in zip(value[0], rows, strict=True)}

    def _of_batch(self, codes: NDArray[Any], values: Floats, many: int) -> tuple[Floats, Floats, Floats]:
        raise NotImplementedError

    def _together(self, a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
        raise NotImplementedError

    def _merge(self, rows: Any) -> None:
        for key, row in rows:
            held = self.table.get(key)
            self.table[key] = tuple(row) if held is None else self._together(held, row)
        too_many(len(self.table), LIMIT)


class KeyedMoments(_Keyed):
    """Per key: count, mean and squared deviations, merged as in `Moments`."""

    def finish(self) -> dict[str, Any]:
        """`keys`, in order, and for each of them `mean`, `std` (of the population) and `count`."""
        keys = sorted(self.table)
        rows = [self.table[key] for key in keys]
        return {
            "keys": keys,
            "mean": [finite_or_fail(mean) for _, mean, _ in rows],
            "std": [math.sqrt(finite_or_fail(squares / count)) for count, _, squares in rows],
            "count": [int(count) for count, _, _ in rows],
        }

    def _of_batch(self, codes: NDArray[Any], values: Floats, many: int) -> tuple[Floats, Floats, Floats]:
        counts = _counts(codes, many)
        means = np.asarray(np.bincount(codes, values, minlength=many) / counts, dtype=np.float64)
        squares = np.asarray(
            np.bincount(codes, np.square(values - means[codes]), minlength=many), dtype=np.float64
        )
        return counts, means, squares

    def _together(self, a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
        count, delta = a[0] + b[0], b[1] - a[1]
        return count, a[1] + delta * (b[0] / count), a[2] + b[2] + delta * delta * (a[0] * b[0] / count)


class KeyedRange(_Keyed):
    """Per key: smallest and largest value, and their count."""

    def finish(self) -> dict[str, Any]:
        """`keys`, in order, and for each of them `min`, `max`, `width` and `count`."""
        keys = sorted(self.table)
        rows = [self.table[key] for key in keys]
        return {
            "keys": keys,
            "min": [low for low, _, _ in rows],
            "max": [high for _, high, _ in rows],
            "width": [finite_or_fail(high - low) for low, high, _ in rows],
            "count": [int(count) for _, _, count in rows],
        }

    def _of_batch(self, codes: NDArray[Any], values: Floats, many: int) -> tuple[Floats, Floats, Floats]:
        low, high = np.full(many, np.inf), np.full(many, -np.inf)
        np.minimum.at(low, codes, values)
        np.maximum.at(high, codes, values)
        return low, high, _counts(codes, many)

    def _together(self, a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
        return min(a[0], b[0]), max(a[1], b[1]), a[2] + b[2]


class KeyedQuantiles:
    """Per key: a summary of 512 points; see `data.quantiles` for its error."""

    POINTS = 512

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.buckets: int = params["buckets"]
        self.table: dict[str, QuantileSummary] = {}

    def add(self, columns: Sequence[pl.Series]) -> None:
        """Take in one more batch."""
        keys, codes, values = _coded(columns)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes, minlength=len(keys)))
        parts = np.split(values[order], ends[:-1]) if keys else []
        for key, part in zip(keys, parts, strict=True):
            self._of(key).add(part)

    def merge(self, other: KeyedQuantiles) -> None:
        """Take in what another state saw after this one."""
        for key in sorted(other.table):
            self._of(key).merge(other.table[key])

    def plain(self) -> list[Any]:
        """See `State`."""
        return [[key, self.table[key].to_plain()] for key in sorted(self.table)]

    def restore(self, value: list[Any]) -> None:
        """See `State`."""
        self.table = {key: QuantileSummary.from_plain(summary) for key, summary in value}

    def finish(self) -> dict[str, Any]:
        """`keys`, in order, and for each of them `boundaries` (see `Quantiles`) and `count`."""
        keys = sorted(self.table)
        return {
            "keys": keys,
            "boundaries": [boundaries_of(self.table[key], self.buckets) for key in keys],
            "count": [self.table[key].count for key in keys],
        }

    def _of(self, key: str) -> QuantileSummary:
        if key not in self.table:
            self.table[key] = QuantileSummary(self.POINTS)
            too_many(len(self.table), QUANTILES_LIMIT)
        return self.table[key]


def too_many(keys: int, limit: int) -> None:
    """DataError when there are more keys than fit in memory for sure."""
    if keys > limit:
        raise DataError(
            f"the key has more than {limit:,} distinct values",
            hint='make fewer of them: cast(hash_bucket(key, 1000), "string"), or a column with fewer values',
        )


def _counts(codes: NDArray[Any], many: int) -> Floats:
    return np.bincount(codes, minlength=many).astype(np.float64)


def _coded(columns: Sequence[pl.Series]) -> tuple[list[str], NDArray[Any], Floats]:
    """The distinct keys, in order; the place of each row's key among them; and the row's number."""
    frame = pl.DataFrame({"value": columns[0], "key": columns[1]}).drop_nulls()
    frame = frame.filter(pl.col("value").is_finite())
    keys = frame["key"].unique().sort()
    codes = frame["key"].cast(pl.Enum(keys)).to_physical().to_numpy().astype(np.int64)
    return keys.to_list(), codes, frame["value"].to_numpy()
