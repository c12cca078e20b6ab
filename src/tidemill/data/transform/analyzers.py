"""What can be learned from the data: one small state per analysis, fed batch by batch.

States of parts of the data can be merged; merged in the same order they give the same result to the
last bit. Only plain numbers and texts come out. Nulls, NaN and infinities are never part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import polars as pl

from tidemill.data.transform.analyzers_keyed import KeyedMoments, KeyedQuantiles, KeyedRange
from tidemill.data.transform.analyzers_number import (
    Buckets,
    Covariance,
    Documents,
    Moments,
    Quantiles,
    Range,
    Rows,
    Sum,
)
from tidemill.data.transform.analyzers_text import Vocabulary


class State(Protocol):
    """What an analysis holds of the rows it saw. Made with the parameters of its analysis."""

    def add(self, columns: Sequence[pl.Series]) -> None:
        """Take in one more batch: the analysis' columns, in order."""
        ...

    def merge(self, other: Any) -> None:
        """Take in what another state saw after this one."""
        ...

    def plain(self) -> Any:
        """The state as the data engine can pack it; equal for equal states."""
        ...

    def restore(self, value: Any) -> None:
        """Become the state that `plain` gave."""
        ...

    def finish(self) -> dict[str, Any]:
        """What was learned, as JSON."""
        ...


class Maker(Protocol):
    """Makes the state before any row."""

    def __call__(self, params: Mapping[str, Any], /) -> State:
        """A new state for an analysis with these parameters."""
        ...


ANALYZERS: dict[str, Maker] = {
    "moments": Moments,
    "range": Range,
    "sum": Sum,
    "rows": Rows,
    "quantiles": Quantiles,
    "vocabulary": Vocabulary,
    "buckets": Buckets,
    "documents": Documents,
    "covariance": Covariance,
    "moments_by_key": KeyedMoments,
    "range_by_key": KeyedRange,
    "quantiles_by_key": KeyedQuantiles,
}
"""By the names that graphs use. A name and what it learns never change."""
