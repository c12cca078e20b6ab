"""How far two drawn columns lie apart, from what is drawn of them.

The measures are those of the ExampleValidator, in plain Python: its room has the data engine, and a page
must be made without it. A test holds both equal. Where an ExampleValidator measured with thresholds, its
own figures are shown beside these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tidemill.pages.columns import Column, Numbers, Values
from tidemill.pages.shapes import share_below

UNLISTED = 1000
"""Statistics list at least so many of the most frequent values."""
MOVED, FAR = 0.02, 0.1
"""Jensen-Shannon divergences from which a column is said to have moved, and to have moved far."""
_CERTAIN = 4.0
"""How many times what chance alone gives a divergence must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """Two columns of the same kind, compared. None where a measure does not apply."""

    jsd: float
    """Jensen-Shannon divergence, base 2 (Lin, 1991)."""
    chance: float
    """What it is on average without any change, from the numbers of values alone."""
    linf: float | None = None
    """Largest change of the share of one value."""
    ks: float | None = None
    """Kolmogorov-Smirnov: largest difference of the two cumulative distributions."""
    shift: float | None = None
    """Wasserstein distance in interquartile ranges of the second column."""
    missing: float | None = None
    """Change of the share of rows without a value, first minus second."""

    @property
    def level(self) -> str:
        """`far`, `moved`, or empty."""
        if self.jsd < MOVED or self.jsd < _CERTAIN * self.chance:
            return ""
        return "far" if self.jsd >= FAR else "moved"


def distance(a: Column, b: Column) -> Distance | None:
    """The measures that apply to both, or None when they cannot be compared."""
    if not a.count or not b.count:
        return None
    missing = None
    if a.missing_share is not None and b.missing_share is not None:
        missing = a.missing_share - b.missing_share
    if a.numbers and b.numbers:
        return _of_numbers(a, a.numbers, b, b.numbers, missing)
    if a.values and b.values:
        return _of_values(a, a.values, b, b.values, missing)
    return None


def _of_numbers(a: Column, left: Numbers, b: Column, right: Numbers, missing: float | None) -> Distance:
    edges = sorted({v for side in (left, right) for v in side.percentiles[::10]})
    p, q = _masses(a, left, edges), _masses(b, right, edges)
    jsd = _divergence(p, q)
    ks = shift = None
    if left.percentiles and right.percentiles:
        points = sorted({*left.percentiles, *right.percentiles})
        ks = max(abs(share_below(left.percentiles, v) - share_below(right.percentiles, v)) for v in points)
        shift = _shift(left.percentiles, right.percentiles)
    return Distance(jsd=jsd, chance=_chance(p, q, a, b), ks=ks, shift=shift, missing=missing)


def _masses(column: Column, numbers: Numbers, edges: Sequence[float]) -> list[float]:
    """Share of values up to each edge from the one before, and of those that are not finite."""
    odd = (numbers.nan + numbers.infinite) / column.count
    if not numbers.percentiles:
        return [0.0] * len(edges) + [odd]
    ranks = [share_below(numbers.percentiles, edge) for edge in edges]
    steps = [rank - before for rank, before in zip(ranks, [0.0, *ranks], strict=False)]
    return [step * (1 - odd) for step in steps] + [odd]


def _shift(left: Sequence[float], right: Sequence[float]) -> float | None:
    if len(left) != len(right) or not len(left) > 75:
        return None
    # In halves: the difference of two finite numbers need not be finite.
    width = right[75] / 2 - right[25] / 2
    if width <= 0:
        return None
    moved = sum(abs(x / 2 - y / 2) / width for x, y in zip(left, right, strict=True)) / len(left)
    return moved if math.isfinite(moved) else None


def _of_values(a: Column, left: Values, b: Column, right: Values, missing: float | None) -> Distance:
    shares_a, unknown_a = _shares(left, a.count)
    shares_b, unknown_b = _shares(right, b.count)
    linf = 0.0
    for value in shares_a.keys() | shares_b.keys():
        x, y = shares_a.get(value), shares_b.get(value)
        if x is None or y is None:
            gap = (y or 0.0) - unknown_a if x is None else x - unknown_b
        else:
            gap = abs(x - y)
        linf = max(linf, gap)
    known = [
        value
        for value in sorted(shares_a.keys() | shares_b.keys())
        if (value in shares_a or not unknown_a) and (value in shares_b or not unknown_b)
    ]
    p, q = ([side.get(value, 0.0) for value in known] for side in (shares_a, shares_b))
    p.append(max(0.0, 1 - sum(p)))
    q.append(max(0.0, 1 - sum(q)))
    return Distance(jsd=_divergence(p, q), chance=_chance(p, q, a, b), linf=linf, missing=missing)


def _shares(values: Values, count: int) -> tuple[dict[str, float], float]:
    """Share of each listed value, and the largest share that an unlisted one may have."""
    shares = {value: rows / count for value, rows in values.listed}
    if values.complete:
        return shares, 0.0
    return shares, min(shares.values(), default=1 / UNLISTED)


def _divergence(p: Sequence[float], q: Sequence[float]) -> float:
    left, right = math.fsum(p), math.fsum(q)
    if left <= 0 or right <= 0:
        return 0.0
    total = 0.0
    for x, y in zip(p, q, strict=True):
        x, y = x / left, y / right
        middle = (x + y) / 2
        total += sum(side * math.log2(side / middle) for side in (x, y) if side > 0) / 2
    return min(max(total, 0.0), 1.0)


def _chance(p: Sequence[float], q: Sequence[float], a: Column, b: Column) -> float:
    """Mean divergence of two samples of one distribution: (bins - 1)(1/n + 1/m) / (8 ln 2), nearly."""
    bins = sum(1 for x, y in zip(p, q, strict=True) if x > 0 or y > 0)
    return min(1.0, max(bins - 1, 0) * (1 / a.count + 1 / b.count) / (8 * math.log(2)))
