"""States of analyses of numbers; see `analyzers` for what all of them promise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.data.quantiles import QuantileSummary
from tidemill.errors import DataError

Floats = NDArray[np.float64]
Params = Mapping[str, Any]


class Moments:
    """Count, mean and squared deviations; merged by Chan, Golub and LeVeque's formula (1979)."""

    def __init__(self, _params: Params) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, columns: Sequence[pl.Series]) -> None:
        """Take in one more batch."""
        values = finite(columns[0])
        if len(values):
            mean = float(values.mean())
            self._merge(len(values), mean, float(np.square(values - mean).sum()))

    def merge(self, other: Moments) -> None:
        """Take in what another state saw after this one."""
        self._merge(other.count, other.mean, other.squares)

    def _merge(self, many: int, mean: float, squares: float) -> None:
        count = self.count + many
        if many:
            delta = mean - self.mean
            self.mean += delta * (many / count)
            self.squares += squares + delta * delta * (self.count * many / count)
            self.count = count

    def plain(self) -> list[Any]:
        """See `State`."""
        return [self.count, self.mean, self.squares]

    def restore(self, value: list[Any]) -> None:
        """See `State`."""
        self.count, self.mean, self.squares = value

    def finish(self) -> dict[str, Any]:
        """`mean`, `var` and `std` (of the population, divided by the count; 0 without spread), `count`."""
        var = self.squares / self.count if self.count else 0.0
        return {
            "mean": finite_or_fail(self.mean),
            "var": finite_or_fail(var),
            "std": math.sqrt(var),
            "count": self.count,
        }


class Range:
    """Smallest and largest value: exact, ints stay ints."""

    def __init__(self, _params: Params) -> None:
        self.count = 0
        self.low: float = 0
        self.high: float = 0

    def add(self, columns: Sequence[pl.Series]) -> None:
        """Take in one more batch."""
        values = finite(columns[0])
        if len(values):
            self._merge(len(values), values.min().item(), values.max().item())

    def merge(self, other: Range) -> None:
        """Take in what another state saw after this one."""
        self._merge(other.count, other.low, other.high)

    def _merge(self, count: int, low: float, high: float) -> None:
        if count:
            self.low, self.high = (min(self.low, low), max(self.high, high)) if self.count else (low, high)
            self.count += count

    def plain(self) -> list[Any]:
        """See `State`."""
        return [self.count, self.low, self.high]

    def restore(self, value: list[Any]) -> None:
        """See `State`."""
        self.count, self.low, self.high = value

    def finish(self) -> dict[str, Any]:
        """`min`, `max`, `width` (max - min; 0 without spread), `count`."""
        width = finite_or_fail(self.high - self.low)
        return {"min": self.low, "max": self.high, "width": width, "count": self.count}


class Sum:
    """The sum of all values: exact for ints."""

    def __init__(self, _params: Params) -> None:
        self.sum: float = 0

    def add(self, columns: Sequence[pl.Series]) -> None:
        """Take in one more batch."""
        values = finite(columns[0])
        if values.dtype == np.int64:  # in two halves, so that nothing wraps around
            self.sum += (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())
        else:
            self.sum += float(values.sum())

    def merge(self, other: Sum) -> None:
        """Take in what another state saw after this one."""
        self.sum += other.sum

    def plain(self) -> Any:
        """See `State`."""
        return self.sum

    def restore(self, value: Any) -> None:
        """See `State`."""
        self.sum = value

    def finish(self) -> dict[str, Any]:
        """`sum`. DataError where it fits neither a float nor 64 bits."""
        if isinstance(self.sum, int) and not -(2**63) <= self.sum < 2**63:
            raise DataError("the sum does not fit in 64 bits", hint='sum cast(column, "float")')
        return {"sum": finite_or_fail(self.sum)}


class Rows:
    """How many rows there are, and in how many of them there is a value."""

    def __init__(self, _params: Params) -> None:
        self.size, self.count = 0, 0

    def add(self, columns: Sequence[pl.Series]) -> None:
        """Take in one more batch."""
        self.size += len(columns[0])
        self.count += len(columns[0]) - columns[0].null_count()

    def merge(self, other: Rows) -> None:
        """Take in what another state saw after this one."""
        self.size, self.count = self.size + other.size, self.count + other.count

    def plain(self) -> list[int]:
        """See `State`."""
        return [self.size, self.count]

    def restore(self, value: list[int]) -> None:
        """See `State`."""
        self.size, self.count = value

    def finish(self) -> dict[str, Any]:
        """`size` and `count`."""
        return {"size": self.size, "count": self.count}


class Quantiles:
    """Where shares of the values lie, in bounded memory: see `data.quantiles` for the error."""

    POINTS = 4096

    def __init__(self, params: Params) -> None:
        self.buckets: int = params["buckets"]
        self.summary = QuantileSummary(self.POINTS)

    def add(self, columns: Sequence[pl.Series]) -> None:
        """Take in one more batch."""
        self.summary.add(finite(columns[0]))

    def merge(self, other: Quantiles) -> None:
        """Take in what another state saw after this one."""
        self.summary.merge(other.summary)

    def plain(self) -> list[object]:
        """See `State`."""
        return self.summary.to_plain()

    def restore(self, value: list[Any]) -> None:
        """See `State`."""
        self.summary = QuantileSummary.from_plain(value)

    def finish(self) -> dict[str, Any]:
        """`boundaries`: ascending, at most `buckets - 1`, above the smallest value; `count`."""
        return {"boundaries": boundaries_of(self.summary, self.buckets), "count": self.summary.count}


class Buckets:
    """How many rows have each of the whole numbers 0 to `size` - 1; others are not counted."""

    def __init__(self, params: Params) -> None:
        self.counts = np.zeros(params["size"], dtype=np.int64)

    def add(self, columns: Sequence[pl.Series]) -> None:
        """Take in one more batch."""
        values = columns[0].drop_nulls().to_numpy()
        size = len(self.counts)
        self.counts += np.bincount(values[(values >= 0) & (values < size)], minlength=size)

    def merge(self, other: Buckets) -> None:
        """Take in what another state saw after this one."""
        self.counts += other.counts

    def plain(self) -> Any:
        """See `State`."""
        return self.counts

    def restore(self, value: Any) -> None:
        """See `State`."""
        self.counts = value

    def finish(self) -> dict[str, Any]:
        """`counts`, in order."""
        return {"counts": self.counts.tolist()}


class Documents:
    """In how many rows of lists each of the ids 0 to `size` - 1 occurs, and how many rows there are."""

    def __init__(self, params: Params) -> None:
        self.rows = 0
        self.counts = np.zeros(params["size"], dtype=np.int64)

    def add(self, columns: Sequence[pl.Series]) -> None:
        """Take in one more batch."""
        lists = columns[0].drop_nulls()
        self.rows += len(lists)
        ids = lists.list.unique().explode(empty_as_null=False).to_numpy()
        size = len(self.counts)
        self.counts += np.bincount(ids[(ids >= 0) & (ids < size)], minlength=size)

    def merge(self, other: Documents) -> None:
        """Take in what another state saw after this one."""
        self.rows += other.rows
        self.counts += other.counts

    def plain(self) -> list[Any]:
        """See `State`."""
        return [self.rows, self.counts]

    def restore(self, value: list[Any]) -> None:
        """See `State`."""
        self.rows, self.counts = value

    def finish(self) -> dict[str, Any]:
        """`rows`, and `documents`: the count of each id that occurs."""
        seen = np.flatnonzero(self.counts)
        return {"rows": self.rows, "documents": {str(i): int(self.counts[i]) for i in seen}}


class Covariance:
    """How several columns vary together, over rows in which each has a finite value.

    Sums go in row order, by `einsum`: those of a matrix product depend on the number of threads.
    """

    def __init__(self, params: Params) -> None:
        self.axes: int = params["axes"]
        self.width: int = params["width"]
        self.count = 0
        self.mean = np.zeros(self.width)
        self.products = np.zeros((self.width, self.width))

    def add(self, columns: Sequence[pl.Series]) -> None:
        """Take in one more batch."""
        frame = pl.DataFrame([column.alias(str(i)) for i, column in enumerate(columns)]).drop_nulls()
        matrix = np.ascontiguousarray(frame.to_numpy())
        matrix = matrix[np.isfinite(matrix).all(axis=1)]
        if len(matrix):
            mean = matrix.mean(axis=0)
            apart = matrix - mean
            self._merge(len(matrix), mean, np.einsum("ni,nj->ij", apart, apart))

    def merge(self, other: Covariance) -> None:
        """Take in what another state saw after this one."""
        if other.count:
            self._merge(other.count, other.mean, other.products)

    def _merge(self, many: int, mean: Floats, products: Floats) -> None:
        count = self.count + many
        delta = mean - self.mean
        self.mean = self.mean + delta * (many / count)
        self.products = self.products + products + np.outer(delta, delta) * (self.count * many / count)
        self.count = count

    def plain(self) -> list[Any]:
        """See `State`."""
        return [self.count, self.mean, self.products.ravel()]

    def restore(self, value: list[Any]) -> None:
        """See `State`."""
        self.count, self.mean = value[:2]
        self.products = value[2].reshape(self.width, self.width)

    def finish(self) -> dict[str, Any]:
        """`mean`, `covariance` (of the population), `count`; for axes > 0 `axes`, the principal ones.

        `axes[i][j]` is the weight of column i in axis j; axes are ordered by falling variance and turned so
        that the largest weight is positive.
        """
        covariance = self.products / max(self.count, 1)
        if not np.isfinite(covariance).all():
            finite_or_fail(math.inf)
        found: dict[str, Any] = {
            "mean": self.mean.tolist(),
            "covariance": covariance.tolist(),
            "count": self.count,
        }
        if self.axes:
            _, vectors = np.linalg.eigh(covariance)
            axes = vectors[:, ::-1][:, : self.axes]
            largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None, :], axis=0)
            found["axes"] = (axes * np.where(largest < 0, -1.0, 1.0)).tolist()
        return found


def boundaries_of(summary: QuantileSummary, buckets: int) -> list[float]:
    """Ascending boundaries of `buckets` equal shares, above the smallest value; none without values."""
    if not summary.count:
        return []
    cuts = {summary.cut(i / buckets) for i in range(1, buckets)}
    return sorted(cut for cut in cuts if summary.minimum < cut <= summary.maximum)


def finite(column: pl.Series) -> NDArray[Any]:
    """The values of a column of numbers (or of its lists) that are neither null, NaN nor infinite."""
    column = column.drop_nulls()
    if isinstance(column.dtype, pl.List):
        column = column.explode(empty_as_null=False)
    values: NDArray[Any] = column.to_numpy()
    return values if values.dtype == np.int64 else values[np.isfinite(values)]


def finite_or_fail(value: Any) -> Any:
    """`value`; DataError when a sum or a spread left the range of floats."""
    if not math.isfinite(value):
        raise DataError(
            "the values are too large to scale: their spread exceeds a 64 bit float",
            hint="clip the column, or take log1p of it, before scaling",
        )
    return value
