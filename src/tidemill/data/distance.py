"""How far a column moved from a baseline, from statistics alone: no second look at the rows.

L-infinity distance and Jensen-Shannon divergence, the two measures of TFX's comparators. Both lie
between 0 and 1. When a list of values is not complete, what is not known is never counted as change.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tidemill.data.sketch import FREQUENT_VALUES
from tidemill.data.statistics import ColumnStatistics, NumericSummary

Floats = npt.NDArray[np.float64]


def l_infinity(a: ColumnStatistics, b: ColumnStatistics) -> float:
    """Largest difference of the share of one value, of string or bool columns that have values.

    For a value that only one incomplete list names, the other share may be as large as the smallest
    listed one; only what exceeds that counts.
    """
    shares_a, unknown_a = _shares(a)
    shares_b, unknown_b = _shares(b)
    largest = 0.0
    for value in shares_a.keys() | shares_b.keys():
        left, right = shares_a.get(value), shares_b.get(value)
        if left is None or right is None:
            gap = (right or 0.0) - unknown_a if left is None else left - unknown_b
        else:
            gap = abs(left - right)
        largest = max(largest, gap)
    return largest


def jensen_shannon(a: ColumnStatistics, b: ColumnStatistics) -> float:
    """Jensen-Shannon divergence to base 2 (Lin, 1991), of two columns of numbers, or of string or bool.

    Numbers are put into bins that end at the deciles of either column; NaN and infinities share one
    more; from percentiles the result is right to about 0.02. Texts that an incomplete list does not
    name share one bin.
    """
    if a.numeric is not None and b.numeric is not None:
        return _divergence(*_numeric_bins(a, a.numeric, b, b.numeric))
    shares_a, unknown_a = _shares(a)
    shares_b, unknown_b = _shares(b)
    known = [
        value
        for value in sorted(shares_a.keys() | shares_b.keys())
        if (value in shares_a or not unknown_a) and (value in shares_b or not unknown_b)
    ]
    left = np.array([shares_a.get(value, 0.0) for value in known])
    right = np.array([shares_b.get(value, 0.0) for value in known])
    return _divergence(np.append(left, max(0.0, 1 - left.sum())), np.append(right, max(0.0, 1 - right.sum())))


def _shares(column: ColumnStatistics) -> tuple[Mapping[str, float], float]:
    """Share of each listed value, and the largest share an unlisted one may have (0 when all are listed)."""
    if column.boolean is not None:
        return {"true": column.boolean.true / column.count, "false": column.boolean.false / column.count}, 0.0
    if column.string is None:
        raise ValueError(f"column {column.name!r} is {column.type}: it has no list of values")
    shares = {value: rows / column.count for value, rows in column.string.frequencies}
    if column.string.complete:
        return shares, 0.0
    return shares, min(shares.values(), default=1 / FREQUENT_VALUES)


def _numeric_bins(
    a: ColumnStatistics, left: NumericSummary, b: ColumnStatistics, right: NumericSummary
) -> tuple[Floats, Floats]:
    deciles = [np.array(summary.quantiles, np.float64)[::10] for summary in (left, right)]
    edges = np.unique(np.concatenate(deciles))
    return _masses(a, left, edges), _masses(b, right, edges)


def _masses(column: ColumnStatistics, summary: NumericSummary, edges: Floats) -> Floats:
    """Share of values in (-inf, e0], (e0, e1], ..., and of those that are not finite."""
    odd = (summary.nan + summary.infinite) / column.count
    quantiles = np.array(summary.quantiles, np.float64)
    if not len(quantiles):
        return np.append(np.zeros(len(edges)), odd)
    below = np.searchsorted(quantiles, edges, side="right")
    lower = quantiles[np.maximum(below - 1, 0)]
    upper = quantiles[np.minimum(below, len(quantiles) - 1)]
    width = upper - lower
    inside = np.divide(edges - lower, width, out=np.zeros(len(edges)), where=width > 0)
    ranks = np.where(below == 0, 0.0, np.minimum((below - 1 + inside) / (len(quantiles) - 1), 1.0))
    return np.append(np.diff(ranks, prepend=0.0) * (1 - odd), odd)


def _divergence(p: Floats, q: Floats) -> float:
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    total = 0.0
    for side in (p, q):
        some = side > 0
        total += float((side[some] * np.log2(side[some] / middle[some])).sum()) / 2
    return min(max(total, 0.0), 1.0)
