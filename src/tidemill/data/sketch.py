"""Small mergeable states about one column: moments, distinct values, frequent values.

Each has `add` (a batch), `merge` (another state) and answers at the end; memory is bounded whatever
the data, and the same batches merged in the same order give the same bits. Quantiles have a room of
their own. Nothing here knows files, splits or column types.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from tidemill.data.hashing import hash_column

Floats = npt.NDArray[np.float64]

DISTINCT_HASHES = 4096
FREQUENT_VALUES = 10_000


class Moments:
    """Count, mean and spread of finite numbers; merged by the formula of Chan, Golub and LeVeque (1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0
        """Sum of squared distances from the mean."""

    def add(self, values: Floats) -> None:
        """Take in a batch of finite values."""
        if len(values):
            batch = Moments()
            batch.count = len(values)
            with np.errstate(over="ignore", invalid="ignore"):
                batch.mean = float(values.mean())
                batch.squares = float(np.square(values - batch.mean).sum())
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


class DistinctValues:
    """Number of distinct values by the k smallest hashes (KMV; Bar-Yossef et al., 2002).

    Exact below k = 4096 but for collisions of 64-bit hashes; above, the relative error is about
    1/sqrt(k), 1.6 %, at one standard deviation.
    """

    def __init__(self, k: int = DISTINCT_HASHES) -> None:
        self.k = k
        self._smallest = np.empty(0, np.uint64)

    def add(self, hashes: npt.NDArray[np.uint64]) -> None:
        """Take in hashes of values, in any order, repeated or not."""
        self._smallest = np.unique(np.concatenate([self._smallest, hashes]))[: self.k]

    def merge(self, other: DistinctValues) -> None:
        """Take in another state of the same k."""
        self.add(other._smallest)

    @property
    def count(self) -> int:
        """The number of distinct values, estimated from k on."""
        if len(self._smallest) < self.k:
            return len(self._smallest)
        return round((self.k - 1) / (float(self._smallest[-1]) / 2.0**64))


class FrequentValues:
    """How often each text occurs: exact up to `capacity` distinct texts, then the frequent ones.

    Above the capacity counts are lower bounds, at most `lost` too low, and values rarer than that may be
    gone (Misra and Gries, 1982, in the mergeable form of Agarwal et al., 2012): lost <= rows / capacity.
    """

    def __init__(self, capacity: int = FREQUENT_VALUES) -> None:
        self.capacity = capacity
        self.lost = 0
        self.distinct = DistinctValues()
        self._counts = pl.DataFrame(schema={"value": pl.String, "count": pl.Int64})

    def add(self, text: pl.Series) -> None:
        """Take in a batch without nulls."""
        counts = text.alias("value").value_counts(name="count").cast({"count": pl.Int64})
        self.distinct.add(hash_column(counts["value"].to_arrow(compat_level=pl.CompatLevel.oldest())))
        self._take(counts)

    def merge(self, other: FrequentValues) -> None:
        """Take in another state of the same capacity."""
        self.lost += other.lost
        self.distinct.merge(other.distinct)
        self._take(other._counts)

    def _take(self, counts: pl.DataFrame) -> None:
        if len(self._counts):
            counts = pl.concat([self._counts, counts]).group_by("value").agg(pl.col("count").sum())
        if len(counts) > self.capacity:
            cut = int(counts["count"].sort(descending=True)[self.capacity])
            counts = counts.with_columns(pl.col("count") - cut).filter(pl.col("count") > 0)
            self.lost += cut
        self._counts = counts

    @property
    def distinct_count(self) -> int:
        """Distinct values: exact when nothing was lost."""
        return self.distinct.count if self.lost else len(self._counts)

    def top(self, n: int) -> list[tuple[str, int]]:
        """The n most frequent values, most frequent first, ties by value."""
        best = self._counts.sort(["count", "value"], descending=[True, False]).head(n)
        return list(zip(best["value"].to_list(), best["count"].to_list(), strict=True))
