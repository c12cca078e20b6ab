"""How far a column is from another set of statistics of it: no second look at the rows.

L-infinity, Jensen-Shannon divergence and normalized absolute difference as in TFX's comparators, and
population stability index, Kolmogorov-Smirnov, Wasserstein, chi-squared and the change of the missing
rate. When a list of values is not complete, what is not known is never counted as change. Everything is
worked out from a few hundred stored figures in plain Python, so that no library has to be loaded.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tidemill.data.seen import RESOLUTION, Cuts, Distribution, distribution, value_counts, value_total
from tidemill.data.statistics import ColumnStatistics

RARE = 5
"""Values of a bin below which it is put together with others (Cochran, 1954)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binned:
    """Shares of two sides in the same bins, and how coarse they are known."""

    now: tuple[float, ...]
    before: tuple[float, ...]
    resolution: float
    """Largest error of a share that the summaries may have by themselves; 0 when they are exact."""

    @property
    def bins(self) -> int:
        """Bins that either side has anything in."""
        return sum(1 for a, b in zip(self.now, self.before, strict=True) if a or b)


def l_infinity(now: ColumnStatistics, before: ColumnStatistics) -> float:
    """Largest difference of the share of one value, of columns that have a list of values.

    For a value that only one incomplete list names, the other share may be as large as the smallest
    listed one; only what exceeds that counts.
    """
    left, right = value_counts(now), value_counts(before)
    return largest_gap(left.shares, left.unlisted_most, right.shares, right.unlisted_most)


def largest_gap(a: Mapping[str, float], unknown_a: float, b: Mapping[str, float], unknown_b: float) -> float:
    """Largest difference of one value; a value that a side does not list may have up to `unknown` there."""
    largest = 0.0
    for value in a.keys() | b.keys():
        left, right = a.get(value), b.get(value)
        if left is None or right is None:
            gap = (right or 0.0) - unknown_a if left is None else left - unknown_b
        else:
            gap = abs(left - right)
        largest = max(largest, gap)
    return largest


def normalized_absolute(now: ColumnStatistics, before: ColumnStatistics) -> float:
    """Largest difference of the number of one value, over the values of both sides (TFDV, metrics.cc)."""
    left, right = value_counts(now), value_counts(before)
    total = value_total(now) + value_total(before)
    sides = [
        {value: share * value_total(c) / total for value, share in v.shares.items()}
        for c, v in ((now, left), (before, right))
    ]
    return largest_gap(
        sides[0],
        left.unlisted_most * value_total(now) / total,
        sides[1],
        right.unlisted_most * value_total(before) / total,
    )


def binned(now: ColumnStatistics, before: ColumnStatistics, *, both: bool = False) -> Binned:
    """Both sides in common bins.

    Listed values are a bin each; texts that an incomplete list does not name share one. Numbers are put
    into the ten bins between the deciles of `before`, or with `both` into those that end at a decile of
    either side; NaN and infinities share one more.
    """
    if not listed(now) or not listed(before):
        return _number_bins(distribution(now), distribution(before), both=both)
    left, right = value_counts(now), value_counts(before)
    known = [
        value
        for value in sorted(left.shares.keys() | right.shares.keys())
        if (value in left.shares or left.complete) and (value in right.shares or right.complete)
    ]
    shares = [[side.shares.get(value, 0.0) for value in known] for side in (left, right)]
    rest = [max(0.0, 1 - math.fsum(side)) for side in shares]
    if left.complete and right.complete:
        rest = [0.0, 0.0]
    return Binned(now=(*shares[0], rest[0]), before=(*shares[1], rest[1]), resolution=0.0)


def pooled(bins: Binned, n: int, m: int) -> Binned:
    """Without empty bins, and with the rare ones put together: those of which fewer than `RARE` values are
    to be expected on the smaller side, where neither chi-squared nor PSI say anything."""
    kept: list[tuple[float, float]] = []
    rare = [0.0, 0.0]
    for p, q in zip(bins.now, bins.before, strict=True):
        if min(n, m) * (n * p + m * q) / (n + m) >= RARE:
            kept.append((p, q))
        else:
            rare = [rare[0] + p, rare[1] + q]
    if rare != [0.0, 0.0]:
        kept.append((rare[0], rare[1]))
    if len(kept) < 2:  # too little to say anything; as it is, rather than as if all were alike
        kept = [(p, q) for p, q in zip(bins.now, bins.before, strict=True) if p or q]
    now, before = zip(*kept, strict=True)
    return Binned(now=now, before=before, resolution=bins.resolution)


def listed(column: ColumnStatistics) -> bool:
    """Whether the values of a column are compared one by one, not as numbers on a line."""
    return column.numeric is None


def _number_bins(now: Distribution, before: Distribution, *, both: bool) -> Binned:
    cuts = Cuts.at(before.deciles, now.deciles) if both else Cuts.within(before.deciles)
    exact = now.exact and before.exact
    return Binned(now=now.masses(cuts), before=before.masses(cuts), resolution=0.0 if exact else RESOLUTION)


def jensen_shannon(now: ColumnStatistics, before: ColumnStatistics) -> float:
    """Jensen-Shannon divergence to base 2 (Lin, 1991), of two columns of numbers, or of listed values.

    Numbers are binned at the deciles of either side; from percentiles the result is right to about 0.02.
    """
    bins = binned(now, before, both=True)
    total = 0.0
    for p, q in zip(_normal(bins.now), _normal(bins.before), strict=True):
        middle = (p + q) / 2
        total += sum(side * math.log2(side / middle) for side in (p, q) if side > 0) / 2
    return min(max(total, 0.0), 1.0)


def stability_index(now: ColumnStatistics, before: ColumnStatistics) -> float:
    """Population stability index: sum of (p - q) ln(p / q) over the bins.

    Half a row is added to each bin of both sides, so that an empty one makes it large and not infinite.
    """
    bins = pooled(binned(now, before), value_total(now), value_total(before))
    sides = []
    for shares, rows in ((bins.now, value_total(now)), (bins.before, value_total(before))):
        sides.append([(s * rows + 0.5) / (rows + 0.5 * len(shares)) for s in shares])
    return max(0.0, math.fsum((p - q) * math.log(p / q) for p, q in zip(*sides, strict=True)))


def chi_squared(now: ColumnStatistics, before: ColumnStatistics) -> float:
    """Root of chi-squared of the two rows of counts, over all values: Cramer's V, 0 to 1."""
    n, m = value_total(now), value_total(before)
    bins = pooled(binned(now, before), n, m)
    total = 0.0
    for p, q in zip(bins.now, bins.before, strict=True):
        total += (p - q) ** 2 / ((n * p + m * q) / (n + m))
    # n (p - pooled)^2 / pooled + m (q - pooled)^2 / pooled, summed, is nm/(n+m) (p - q)^2 / pooled
    return min(1.0, math.sqrt(total * (n / (n + m)) * (m / (n + m))))


def kolmogorov_smirnov(now: ColumnStatistics, before: ColumnStatistics) -> float:
    """Largest difference of the two distribution functions; from percentiles right to about 0.02.

    NaN and infinities lie beyond all numbers.
    """
    a, b = distribution(now), distribution(before)
    points = sorted({*a.points, *b.points})
    sides = zip(a.ranks(points), b.ranks(points), strict=True)
    gaps = [max(abs(x[0] - y[0]), abs(x[1] - y[1])) for x, y in sides]
    return max([abs(a.odd - b.odd), *gaps])


def wasserstein(now: ColumnStatistics, before: ColumnStatistics) -> float:
    """Mean distance that values moved (Wasserstein distance of order 1) in interquartile ranges of `before`.

    Of finite values. Where the middle half of `before` is one value, its whole range is the unit; where all
    of it is, any move is infinitely far, which is said as 1e308.
    """
    a, b = distribution(now), distribution(before)
    if not a.points or not b.points:
        return 0.0 if bool(a.points) == bool(b.points) else 1e308
    moved = _area(a.quantiles, b.quantiles)
    unit = b.unit
    if not moved:
        return 0.0
    return min(moved / unit, 1e308) if unit else 1e308


def _area(a: Sequence[float], b: Sequence[float]) -> float:
    """Area between two quantile functions, each given at equal steps and straight between them."""
    steps = max(len(a), len(b)) - 1
    left, right = (_at_steps(q, steps) for q in (a, b))
    # halves: a range may exceed the largest float
    gaps = [_half_gap(x, y) for x, y in zip(left, right, strict=True)]
    total = math.fsum(_trapezoid(g, h) / steps for g, h in itertools.pairwise(gaps))
    return min(total * 2, 1e308)


def _half_gap(x: float, y: float) -> float:
    """Half the signed distance of two values."""
    return x / 2 - y / 2


def _trapezoid(g: float, h: float) -> float:
    """Area of |f| over one step, where f goes straight from g to h."""
    if (g >= 0) == (h >= 0):
        return (abs(g) + abs(h)) / 2
    share = abs(g) / (abs(g) + abs(h))
    return (abs(g) * share + abs(h) * (1 - share)) / 2


def _at_steps(quantiles: Sequence[float], steps: int) -> list[float]:
    if len(quantiles) == steps + 1:
        return [float(q) for q in quantiles]
    last = len(quantiles) - 1
    found = []
    for step in range(steps + 1):
        at = step * last / steps
        low = min(int(at), last)
        high = min(low + 1, last)
        found.append(quantiles[low] * (1 - (at - low)) + quantiles[high] * (at - low))
    return found


def missing_change(now: ColumnStatistics, before: ColumnStatistics) -> float:
    """Difference of the shares of rows without a value."""
    return abs(now.fraction_present - before.fraction_present)


def _normal(shares: Sequence[float]) -> list[float]:
    total = math.fsum(shares)
    return [s / total for s in shares]


Distance = Callable[[ColumnStatistics, ColumnStatistics], float]
DISTANCES: Mapping[str, Distance] = {
    "linf": l_infinity,
    "jsd": jensen_shannon,
    "psi": stability_index,
    "ks": kolmogorov_smirnov,
    "wasserstein": wasserstein,
    "chi2": chi_squared,
    "nad": normalized_absolute,
    "missing": missing_change,
}
"""Each takes the column that is judged, then the one it is compared with."""
