"""Small mergeable states about one column: moments, distinct values, frequent values.

Each has `add` (a batch), `merge` (another state) and answers at the end; memory is bounded whatever
the data, and the same batches merged in the same order give the same bits. Quantiles have a room of
their own. Nothing here knows files, splits or column types.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from tidemill.data.hashing import hash_column, offsets_and_data
from tidemill.data.quantiles import runs

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]

DISTINCT_HASHES = 4096
FREQUENT_VALUES = 10_000
NEARLY_UNIQUE = 0.9
"""Distinct values per value from which on a batch is not counted value by value."""
_SAMPLE = 1000
_WAITING = 4
"""How many times the capacity of texts may wait to be summed up."""
_HEAVY = 50
"""Frequent values that are looked up one by one in a batch that is nearly unique otherwise."""


class Moments:
    """Count, mean and spread of finite numbers; merged by the formula of Chan, Golub and LeVeque (1979)."""

    def __init__(self) -> None:
        self.count: float = 0
        """Values, or their weight."""
        self.mean = 0.0
        self.squares = 0.0
        """Sum of squared distances from the mean."""

    def add(self, values: Floats, weights: npt.NDArray[Any] | None = None) -> None:
        """Take in a batch of finite values, each as often as its weight says."""
        if not len(values):
            return
        batch = Moments()
        with np.errstate(over="ignore", invalid="ignore"):
            if weights is None:
                batch.count = len(values)
                batch.mean = float(values.mean())
                batch.squares = float(np.square(values - batch.mean).sum())
            elif total := weights.sum().item():
                batch.count = total
                batch.mean = float((values * weights).sum()) / total
                if not np.isfinite(batch.mean):  # the sum is beyond the range of floats, the mean is not
                    batch.mean = float((values * (weights / total)).sum())
                batch.squares = float((np.square(values - batch.mean) * weights).sum())
        self.merge(batch)

    def merge(self, other: Moments) -> None:
        """Take in another state."""
        if not other.count:
            return
        total = self.count + other.count
        apart = other.mean - self.mean
        self.mean += apart * (other.count / total)
        with np.errstate(over="ignore", invalid="ignore"):
            between = np.float64(apart) * apart * (self.count * (other.count / total))
        self.squares += other.squares + float(between)
        self.count = total

    @property
    def deviation(self) -> float:
        """Standard deviation of the values themselves (division by n); 0 without values."""
        return float(np.sqrt(self.squares / self.count)) if self.count else 0.0

    def to_plain(self) -> list[Any]:
        """The state as plain values."""
        return [self.count, self.mean, self.squares]

    @classmethod
    def from_plain(cls, value: list[Any]) -> Moments:
        """Inverse of `to_plain`."""
        made = cls()
        made.count, made.mean, made.squares = value
        return made


class DistinctValues:
    """Number of distinct values by the k smallest hashes (KMV; Bar-Yossef et al., 2002).

    Exact below k = 4096 but for collisions of 64-bit hashes; above, the relative error is about
    1/sqrt(k), 1.6 %, at one standard deviation.
    """

    def __init__(self, k: int = DISTINCT_HASHES) -> None:
        self.k = k
        self._smallest: Hashes = np.empty(0, np.uint64)

    def add(self, hashes: Hashes) -> None:
        """Take in hashes of values, in any order, repeated or not."""
        if len(self._smallest) == self.k:
            hashes = hashes[hashes < self._smallest[-1]]
        if len(hashes):
            together = np.sort(np.concatenate([self._smallest, hashes]))
            self._smallest = runs(together)[0][: self.k]

    def merge(self, other: DistinctValues) -> None:
        """Take in another state of the same k."""
        self.add(other._smallest)

    @property
    def count(self) -> int:
        """The number of distinct values, estimated from k on."""
        if len(self._smallest) < self.k:
            return len(self._smallest)
        return round((self.k - 1) / (float(self._smallest[-1]) / 2.0**64))

    def to_plain(self) -> list[Any]:
        """The state as plain values and arrays."""
        return [self.k, self._smallest]

    @classmethod
    def from_plain(cls, value: list[Any]) -> DistinctValues:
        """Inverse of `to_plain`."""
        made = cls(value[0])
        made._smallest = value[1]
        return made


class FrequentValues:
    """How often each text occurs: exact up to `capacity` distinct texts, then the frequent ones.

    Above the capacity counts are lower bounds, at most `lost` too low, and values rarer than that may be
    gone (Misra and Gries, 1982, in the mergeable form of Agarwal et al., 2012): lost <= rows / capacity
    while no batch is nearly unique, and about twice that otherwise.

    A batch is nearly unique when it has more distinct texts than the capacity, and they make up 90 % of it.
    Then only texts that occur more often than rows / capacity are counted; hashes tell which, and how often
    the most frequent of the others occurs.
    """

    def __init__(self, capacity: int = FREQUENT_VALUES) -> None:
        self.capacity = capacity
        self.rows = 0
        self.lost = 0
        self.distinct = DistinctValues()
        self._counts = pl.DataFrame(schema={"value": pl.String, "count": pl.Int64})
        self._waiting: list[pl.DataFrame] = []

    def add(self, text: Any) -> None:
        """Take in a batch: an Arrow array of text without nulls."""
        if self._looks_unique(text) and self._add_nearly_unique(text):
            return
        series = cast("pl.Series", pl.from_arrow(text))
        self.add_counts(series.alias("value").value_counts(name="count").cast({"count": pl.Int64}))

    def add_counts(self, counts: pl.DataFrame) -> None:
        """Take in distinct texts (column `value`), and how often each occurs (`count`, int64)."""
        self.rows += int(counts["count"].sum())
        self.distinct.add(hash_text(counts["value"]))
        self._take(counts)

    def _looks_unique(self, text: Any) -> bool:
        if len(text) <= self.capacity:
            return False
        return len(text.slice(0, _SAMPLE).unique()) > NEARLY_UNIQUE * _SAMPLE

    def _add_nearly_unique(self, text: Any) -> bool:
        hashes = hash_column(text)
        distinct, times = runs(np.sort(hashes))
        heavy = times > len(text) // self.capacity
        if len(distinct) <= max(self.capacity, NEARLY_UNIQUE * len(text)) or heavy.sum() > _HEAVY:
            return False
        self.rows += len(text)
        self.distinct.add(distinct)
        self.lost += int(times[~heavy].max(initial=0))
        if heavy.any():
            at = [int(np.argmax(hashes == value)) for value in distinct[heavy]]
            counts = pl.Series("count", times[heavy], dtype=pl.Int64)
            self._take(pl.DataFrame({"value": pl.from_arrow(text.take(pa.array(at))), "count": counts}))
        return True

    def merge(self, other: FrequentValues) -> None:
        """Take in another state of the same capacity."""
        other._settle()  # so that it makes no difference whether it came from its bytes
        self.rows += other.rows
        self.lost += other.lost
        self.distinct.merge(other.distinct)
        self._take(other._counts)

    def _take(self, counts: pl.DataFrame) -> None:
        """Put distinct texts with their counts aside, to be summed up when they are many."""
        if len(counts):
            self._waiting.append(counts)
            if sum(map(len, self._waiting)) > _WAITING * self.capacity:
                self._settle()

    def _settle(self) -> None:
        if not self._waiting:
            return
        parts = [frame for frame in (self._counts, *self._waiting) if len(frame)]
        self._waiting = []
        counts = parts[0]
        if len(parts) > 1:
            counts = pl.concat(parts).group_by("value").agg(pl.col("count").sum())
        if len(counts) > self.capacity:
            cut = int(counts["count"].sort(descending=True)[self.capacity])
            counts = counts.with_columns(pl.col("count") - cut).filter(pl.col("count") > 0)
            self.lost += cut
        self._counts = counts

    @property
    def distinct_count(self) -> int:
        """Distinct values: exact when nothing was lost."""
        self._settle()
        return self.distinct.count if self.lost else len(self._counts)

    def top(self, n: int) -> list[tuple[str, int]]:
        """The n most frequent values, most frequent first, ties by value."""
        self._settle()
        best = self._counts
        if len(best) > 1:
            best = best.sort(["count", "value"], descending=[True, False]).head(n)
        return list(zip(best["value"].to_list(), best["count"].to_list(), strict=True))

    def to_plain(self) -> list[Any]:
        """The state as plain values and arrays: texts ascending, as their bytes and lengths."""
        self._settle()
        ordered = self._counts if len(self._counts) < 2 else self._counts.sort("value")
        counts = ordered["count"].to_numpy()
        head = [self.capacity, self.rows, self.lost]
        return [*head, self.distinct.to_plain(), *texts_to_plain(ordered["value"]), counts]

    @classmethod
    def from_plain(cls, value: list[Any]) -> FrequentValues:
        """Inverse of `to_plain`."""
        made = cls(value[0])
        made.rows, made.lost = value[1:3]
        made.distinct = DistinctValues.from_plain(value[3])
        texts = texts_from_plain(value[4], value[5]).alias("value")
        made._counts = pl.DataFrame([texts, pl.Series("count", value[6], dtype=pl.Int64)])
        return made


def hash_text(text: pl.Series) -> Hashes:
    """One hash per text."""
    return hash_column(text.to_arrow(compat_level=pl.CompatLevel.oldest()))


def texts_to_plain(text: pl.Series) -> tuple[bytes, npt.NDArray[np.int64]]:
    """Texts as their UTF-8 bytes, one after the other, and the number of bytes of each."""
    column: Any = text.to_arrow(compat_level=pl.CompatLevel.oldest())
    offsets, data = offsets_and_data(column.cast(pa.large_string()))
    return data.tobytes(), np.diff(offsets)


def texts_from_plain(data: bytes, lengths: npt.NDArray[np.int64]) -> pl.Series:
    """Inverse of `texts_to_plain`."""
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    column = pa.LargeStringArray.from_buffers(
        len(lengths), pa.py_buffer(offsets.tobytes()), pa.py_buffer(data)
    )
    return cast("pl.Series", pl.from_arrow(column))
