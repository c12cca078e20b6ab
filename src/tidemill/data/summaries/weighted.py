"""A column again, each row counted as often as its weight says."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.compute as pc
import pyarrow.types as kinds

from tidemill.data.quantiles import QuantileSummary
from tidemill.data.sketch import FREQUENT_VALUES, Moments, texts_from_plain, texts_to_plain
from tidemill.data.statistics import TOP_VALUES, WeightedSummary
from tidemill.data.summaries.numbers import as_numbers
from tidemill.data.summaries.summary import Column, edges_of

Floats = npt.NDArray[np.float64]


class WeightedState:
    """Weight of the rows with a value; moments and quantiles of numbers, the heaviest texts."""

    def __init__(self) -> None:
        self.count = 0.0
        self.moments = Moments()
        self.quantiles = QuantileSummary()
        self._texts = pl.DataFrame(schema={"value": pl.String, "weight": pl.Float64})

    def add(self, kind: str, values: Column, weights: Floats) -> None:
        """Take in values without nulls of a kind, and the weight of each."""
        if kind == "number":
            numbers = as_numbers(values).astype(np.float64)
            fit = np.isfinite(numbers) & (weights > 0)
            self._add_numbers(numbers[fit], weights[fit])
        elif kind == "string":
            coded = values if kinds.is_dictionary(values.type) else pc.dictionary_encode(values)
            sums = np.bincount(coded.indices.to_numpy(), weights, minlength=len(coded.dictionary))
            frame = pl.DataFrame({"value": pl.from_arrow(coded.dictionary), "weight": sums})
            self._take(frame.cast({"value": pl.String}).filter(pl.col("weight") > 0))

    def _add_numbers(self, numbers: Floats, weights: Floats) -> None:
        if not len(numbers):
            return
        order = np.argsort(numbers, kind="stable")
        numbers, weights = numbers[order], weights[order]
        starts = np.flatnonzero(np.concatenate([[True], numbers[1:] != numbers[:-1]]))
        distinct, sums = numbers[starts], np.add.reduceat(weights, starts)
        self.moments.add(distinct, sums)
        self.quantiles.add_weighted(distinct, sums)

    def _take(self, frame: pl.DataFrame) -> None:
        if len(self._texts):
            # a text has at most one row on either side, so the order of the sum is not left to polars
            both = self._texts.join(frame, on="value", how="full", coalesce=True)
            total = pl.col("weight").fill_null(0) + pl.col("weight_right").fill_null(0)
            frame = both.select("value", weight=total)
        self._texts = frame.sort(["weight", "value"], descending=[True, False]).head(FREQUENT_VALUES)

    def merge(self, other: WeightedState) -> None:
        """Take in the state of later rows."""
        self.count += other.count
        self.moments.merge(other.moments)
        self.quantiles.merge(other.quantiles)
        self._take(other._texts)

    def finish(self, missing: float) -> WeightedSummary:
        """The summary; `missing` is the weight of the rows without a value."""
        if not self.quantiles.count:
            heaviest = self._texts.head(TOP_VALUES)
            pairs = zip(heaviest["value"].to_list(), heaviest["weight"].to_list(), strict=True)
            return WeightedSummary(count=self.count, missing=missing, frequencies=tuple(pairs))
        edges = edges_of(self.quantiles)
        below = [0.0, *self.quantiles.rank(np.array(edges[1:-1]), inclusive=False), self.quantiles.count]
        bins = zip(edges, edges[1:], np.diff(below).tolist(), strict=False)
        spread = self.moments.deviation
        return WeightedSummary(
            count=self.count,
            missing=missing,
            mean=self.moments.mean if np.isfinite(self.moments.mean) else None,
            std=spread if np.isfinite(spread) else None,
            median=float(self.quantiles.quantiles(np.array([0.5]))[0]),
            histogram=tuple(bins),
        )

    def to_plain(self) -> list[Any]:
        """Weight, moments, quantiles, texts with their weights."""
        texts = texts_to_plain(self._texts["value"])
        states = [self.moments.to_plain(), self.quantiles.to_plain()]
        return [self.count, *states, *texts, self._texts["weight"].to_numpy()]

    @classmethod
    def from_plain(cls, value: list[Any]) -> WeightedState:
        """Inverse of `to_plain`."""
        made = cls()
        made.count = value[0]
        made.moments = Moments.from_plain(value[1])
        made.quantiles = QuantileSummary.from_plain(value[2])
        made._texts = pl.DataFrame({"value": texts_from_plain(value[3], value[4]), "weight": value[5]})
        return made
