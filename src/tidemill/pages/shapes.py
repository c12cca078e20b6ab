"""How numbers become shapes: bars of a distribution from a histogram or from percentiles.

Pure arithmetic on plain lists. What is drawn are densities, so that two sets whose bins differ can lie
over each other: the share of values in a bin, divided by its part of the range.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

BINS = 28
WHOLE_MOST = 40
"""Most whole numbers that get a bar each."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Densities: `heights[i]` from `edges[i]` to `edges[i+1]`; the edges are parts of a range, 0 to 1."""

    edges: tuple[float, ...]
    heights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """Where a chart begins and ends on its axis."""

    low: float
    high: float

    def part(self, value: float) -> float:
        """Where a value lies, 0 to 1; outside of the range at its ends. Safe for numbers of any size."""
        # Halves first: the difference of two finite numbers need not be finite.
        width = self.high / 2 - self.low / 2
        return min(max((value / 2 - self.low / 2) / width, 0.0), 1.0) if width > 0 else 0.5


def full_range(sides: Sequence[Sequence[float]]) -> Range:
    """From the least to the largest of all percentiles."""
    return Range(min(side[0] for side in sides), max(side[-1] for side in sides))


def middle_range(sides: Sequence[Sequence[float]]) -> Range:
    """What lies between the first and the last percentile of any set: 98 % of the values, or more."""
    low = min(_at(side, 0.01) for side in sides)
    high = max(_at(side, 0.99) for side in sides)
    return Range(low, high) if high > low else full_range(sides)


def whole_numbers(sides: Sequence[Sequence[float]], found: Range) -> bool:
    """Whether the percentiles are few whole numbers, so that each gets a bar of its own."""
    return found.high - found.low <= WHOLE_MOST and all(v == int(v) for side in sides for v in side)


def from_histogram(edges: Sequence[float], counts: Sequence[int], shown: Range) -> Bars:
    """Densities of a histogram."""
    total = sum(counts)
    places = [shown.part(edge) for edge in edges]
    if total <= 0 or len(places) != len(counts) + 1:
        return Bars((), ())
    if places[-1] <= places[0]:
        return Bars((0.46, 0.54), (1 / 0.08,))
    widths = [max(right - left, 1e-9) for left, right in itertools.pairwise(places)]
    return Bars(tuple(places), tuple(n / total / w for n, w in zip(counts, widths, strict=True)))


def from_percentiles(percentiles: Sequence[float], shown: Range, *, whole: bool) -> Bars:
    """Densities in bins of equal width, from evenly spaced quantiles, linear between two of them.

    `whole`: one bin for each whole number instead; its share is that of the percentiles that equal it.
    """
    if shown.high <= shown.low:
        return Bars((0.46, 0.54), (1 / 0.08,))
    if whole:
        first, last = int(shown.low), int(shown.high)
        counts = dict.fromkeys(range(first, last + 1), 0)
        for value in percentiles:
            if int(value) in counts:
                counts[int(value)] += 1
        steps = len(counts)
        heights = tuple(n / len(percentiles) * steps for n in counts.values())
        return Bars(tuple(i / steps for i in range(steps + 1)), heights)
    edges = tuple(i / BINS for i in range(BINS + 1))
    below = [share_below(percentiles, _inside(shown, edge)) for edge in edges]
    # Values that equal the lowest edge belong to the first bin, as they do in any histogram.
    below[0] = bisect.bisect_left(percentiles, shown.low) / max(1, len(percentiles) - 1)
    heights = tuple(max(0.0, right - left) * BINS for left, right in itertools.pairwise(below))
    return Bars(edges, heights)


def share_below(percentiles: Sequence[float], value: float) -> float:
    """Share of values up to `value`, linear between two of the evenly spaced quantiles."""
    last = len(percentiles) - 1
    position = bisect.bisect_right(percentiles, value)
    if position == 0:
        return 0.0
    if position > last:
        return 1.0
    lower, upper = percentiles[position - 1], percentiles[position]
    width = upper / 2 - lower / 2
    inside = (value / 2 - lower / 2) / width if width > 0 else 0.0
    return (position - 1 + inside) / last


def _inside(shown: Range, part: float) -> float:
    return shown.low * (1 - part) + shown.high * part


def _at(percentiles: Sequence[float], share: float) -> float:
    return percentiles[round(share * (len(percentiles) - 1))]
