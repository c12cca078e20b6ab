"""What statistics know of a column's distribution: shares of listed values, and ranks of numbers.

The measures of `distance` and the thresholds of `false_alarm` ask here, so that neither depends on how
statistics are stored. Plain Python: a hundred figures do not need a library.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidemill.data.statistics import ColumnStatistics

RESOLUTION = 0.01
"""Largest error of a rank that was read from percentiles, where the values jump."""


def value_total(column: ColumnStatistics) -> int:
    """Number of values that the summary of a column is of: elements of lists, and of one type only."""
    if column.types:
        return column.types[0][1]
    if column.valency:
        return column.valency[-1].total - column.valency[-1].nulls
    return column.count


@dataclass(frozen=True, slots=True)
class ValueCounts:
    """Values that are compared one by one."""

    shares: Mapping[str, float]
    """Share of each listed value among all values."""
    complete: bool
    unlisted_most: float
    """Largest share that a value may have without being listed; 0 when all are listed."""


def value_counts(column: ColumnStatistics) -> ValueCounts:
    """The listed values of a column that has values. ValueError when it has no such list."""
    total = value_total(column)
    if column.boolean is not None:
        shares = {"true": column.boolean.true / total, "false": column.boolean.false / total}
        return ValueCounts(shares, True, 0.0)
    if column.string is None:
        raise ValueError(f"column {column.name!r} is {column.type}: it has no list of values")
    shares = {value: rows / total for value, rows in column.string.frequencies}
    if column.string.complete:
        return ValueCounts(shares, True, 0.0)
    lost = column.string.lost / total
    return ValueCounts(shares, False, min(shares.values(), default=1e-4) + lost)


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where bins end: a value, and whether it belongs to the bin below."""

    ends: tuple[tuple[float, bool], ...]

    @classmethod
    def at(cls, *deciles: Sequence[float]) -> Cuts:
        """Bins that end at, and include, each value given."""
        return cls(tuple((value, True) for value in sorted({v for side in deciles for v in side})))

    @classmethod
    def within(cls, deciles: Sequence[float]) -> Cuts:
        """Bins between the inner deciles. A value that several deciles share is a bin of its own."""
        inner = deciles[1:-1]
        ends: list[tuple[float, bool]] = []
        for value in sorted(set(inner)):
            if sum(1 for other in deciles if other == value) > 1:
                ends.append((value, False))
            ends.append((value, True))
        return cls(tuple(ends))


@dataclass(frozen=True, slots=True)
class Distribution:
    """Numbers of a column as a distribution function, from its percentiles."""

    quantiles: tuple[float, ...]
    """Of the finite values, at equal steps from the least to the largest; or empty."""
    odd: float
    """Share of values that are NaN or infinite."""
    exact: bool = False

    @property
    def points(self) -> tuple[float, ...]:
        """Where the function is known."""
        return self.quantiles

    @property
    def deciles(self) -> tuple[float, ...]:
        """Eleven of them, least and largest included; or none."""
        return self.quantiles[:: max(1, (len(self.quantiles) - 1) // 10)]

    @property
    def unit(self) -> float:
        """Interquartile range; where it is 0 the whole range. 0 when all values are equal."""
        quarter = (len(self.quantiles) - 1) // 4
        inner = _width(self.quantiles[quarter], self.quantiles[3 * quarter])
        return inner or _width(self.quantiles[0], self.quantiles[-1])

    def below(self, x: float, *, inclusive: bool) -> float:
        """Share of all values that are finite and below x, or equal to it with `inclusive`."""
        known = self.quantiles
        if not known:
            return 0.0
        at = (bisect_right if inclusive else bisect_left)(known, x)
        if at == 0:
            return 0.0
        if at == len(known):
            return 1 - self.odd
        lower, upper = known[at - 1], known[at]
        if x == upper:  # the halves below, which cannot overflow, may be 0 for the smallest numbers
            return at / (len(known) - 1) * (1 - self.odd)
        width = upper / 2 - lower / 2
        inside = (x / 2 - lower / 2) / width if width > 0 else 0.0
        return (at - 1 + min(inside, 1.0)) / (len(known) - 1) * (1 - self.odd)

    def ranks(self, points: Sequence[float]) -> list[tuple[float, float]]:
        """For each of ascending points what `below` says without and with it, in one pass."""
        known, last = self.quantiles, len(self.quantiles) - 1
        if not known:
            return [(0.0, 0.0)] * len(points)
        whole = 1 - self.odd
        step = whole / max(last, 1)
        found, at = [], 0
        for x in points:
            while at <= last and known[at] < x:
                at += 1
            through = at
            while through <= last and known[through] <= x:
                through += 1
            if through > at:  # one of the percentiles, or several
                found.append((at * step if at else 0.0, whole if through > last else (through - 1) * step))
            elif 0 < at <= last:
                lower, width = known[at - 1] / 2, known[at] / 2 - known[at - 1] / 2
                rank = (at - 1 + (min((x / 2 - lower) / width, 1.0) if width > 0 else 0.0)) * step
                found.append((rank, rank))
            else:
                found.append((whole if at else 0.0, whole if at else 0.0))
        return found

    def masses(self, cuts: Cuts) -> tuple[float, ...]:
        """Shares of all values between the cuts, above the last, and of those that are not finite."""
        ranks = [self.below(value, inclusive=inclusive) for value, inclusive in cuts.ends]
        whole = 1 - self.odd if self.quantiles else 0.0
        steps = [high - low for low, high in zip([0.0, *ranks], [*ranks, whole], strict=True)]
        return (*steps, self.odd)


def distribution(column: ColumnStatistics) -> Distribution:
    """The distribution of a column of numbers that has values. ValueError when it has no numbers."""
    if column.numeric is None:
        raise ValueError(f"column {column.name!r} is {column.type}: it has no numbers")
    odd = (column.numeric.nan + column.numeric.infinite) / value_total(column)
    return Distribution(tuple(column.numeric.quantiles), odd)


def _width(low: float, high: float) -> float:
    return min((high / 2 - low / 2) * 2, 1e308)


def finite(value: float) -> float:
    """The value, or the largest float where it is infinite."""
    return value if math.isfinite(value) else math.copysign(1e308, value)
