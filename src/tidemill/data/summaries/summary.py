"""What every summary can do."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from tidemill.data.quantiles import QuantileSummary
from tidemill.data.statistics import Histogram

PERCENTILES = np.arange(101) / 100
BINS = 10

Column = Any
"""An Arrow array without nulls, of the summary's kind."""


class Summary(Protocol):
    """The state of a column's values."""

    def add(self, values: Column) -> None:
        """Take in values; at least one."""
        ...

    def merge(self, other: Any) -> None:
        """Take in another summary of the same class, of later values."""
        ...

    def finish(self) -> dict[str, Any]:
        """Fields of `ColumnStatistics`."""
        ...

    def to_plain(self) -> list[Any]:
        """The state as values that `data.engine.encoding` has a form for."""
        ...

    def take_plain(self, value: list[Any]) -> None:
        """Inverse of `to_plain`, on a new summary."""
        ...


def edges_of(summary: QuantileSummary) -> list[float]:
    """The edges of ten bins of equal width; of one bin when all values are equal."""
    low, high = summary.minimum, summary.maximum
    if low == high:
        return [low, high]
    # halves: the width may exceed the largest float; rounding must not push an edge past the ends
    edges = np.clip(np.linspace(low / 2, high / 2, BINS + 1) * 2, low, high)
    edges[0], edges[-1] = low, high
    return [float(edge) for edge in edges]


def histogram_of(summary: QuantileSummary) -> Histogram:
    """Ten bins of equal width from a summary that has values."""
    edges = edges_of(summary)
    below = np.rint(summary.rank(np.array(edges[1:-1]), inclusive=False)).astype(np.int64)
    counts = np.diff(np.concatenate([[0], below, [int(summary.count)]]))
    return Histogram(edges=tuple(edges), counts=tuple(int(n) for n in counts))
