"""Texts and bytes."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from tidemill.data.hashing import hash_column
from tidemill.data.sketch import DistinctValues, FrequentValues
from tidemill.data.statistics import TOP_VALUES, BytesSummary, StringSummary
from tidemill.data.summaries.summary import Column

LISTED_VALUES = 1000


class Lengths:
    """Fewest, most and all of something per value."""

    def __init__(self) -> None:
        self.values = 0
        self.total = 0
        self.minimum: int | None = None
        self.maximum: int | None = None

    def add(self, lengths: Any, counts: Any = None) -> None:
        """Take in a numpy array of lengths, each as often as `counts` says."""
        if len(lengths):
            self.values += len(lengths) if counts is None else int(counts.sum())
            total = lengths.sum(dtype=np.int64) if counts is None else (lengths * counts).sum()
            self._widen(int(total), int(lengths.min()), int(lengths.max()))

    def _widen(self, total: int, low: int, high: int) -> None:
        self.total += total
        self.minimum = low if self.minimum is None else min(self.minimum, low)
        self.maximum = high if self.maximum is None else max(self.maximum, high)

    def merge(self, other: Lengths) -> None:
        """Take in those of later values."""
        self.values += other.values
        if other.minimum is not None and other.maximum is not None:
            self._widen(other.total, other.minimum, other.maximum)

    @property
    def average(self) -> float:
        """Mean; 0 without values."""
        return self.total / self.values if self.values else 0.0

    def to_plain(self) -> list[Any]:
        """The state as plain values."""
        return [self.values, self.total, self.minimum, self.maximum]

    @classmethod
    def from_plain(cls, value: list[Any]) -> Lengths:
        """Inverse of `to_plain`."""
        made = cls()
        made.values, made.total, made.minimum, made.maximum = value
        return made


class StringState:
    """Texts, plain or as a dictionary; the form makes no difference to the state."""

    def __init__(self) -> None:
        self.frequent = FrequentValues()
        self.lengths = Lengths()

    def add(self, values: Column) -> None:
        """Take in texts."""
        if kinds.is_dictionary(values.type):
            counts = _counted(values)
            lengths = counts["value"].str.len_chars().cast(pl.Int64).to_numpy()
            self.lengths.add(lengths, counts["count"].to_numpy())
            self.frequent.add_counts(counts)
        else:
            characters: Column = pc.utf8_length(values)
            self.lengths.add(characters.to_numpy())
            self.frequent.add(values)

    def merge(self, other: StringState) -> None:
        """Take in the state of later texts."""
        self.frequent.merge(other.frequent)
        self.lengths.merge(other.lengths)

    def finish(self) -> dict[str, Any]:
        """The field `string`."""
        distinct = self.frequent.distinct_count
        listed = self.frequent.top(LISTED_VALUES)
        if distinct > LISTED_VALUES:
            listed = [pair for at, pair in enumerate(listed) if at < TOP_VALUES or pair[1] > 1]
        string = StringSummary(
            distinct=distinct,
            exact=not self.frequent.lost,
            avg_length=self.lengths.average,
            frequencies=tuple(listed),
            min_length=self.lengths.minimum,
            max_length=self.lengths.maximum,
            lost=self.frequent.lost,
        )
        return {"string": string}

    def to_plain(self) -> list[Any]:
        """Frequent values, lengths."""
        return [self.frequent.to_plain(), self.lengths.to_plain()]

    def take_plain(self, value: list[Any]) -> None:
        """Inverse of `to_plain`."""
        self.frequent = FrequentValues.from_plain(value[0])
        self.lengths = Lengths.from_plain(value[1])


class BytesState:
    """Bytes: their number, distinct values and lengths."""

    def __init__(self) -> None:
        self.distinct = DistinctValues()
        self.lengths = Lengths()

    def add(self, values: Column) -> None:
        """Take in bytes."""
        if kinds.is_fixed_size_binary(values.type):
            values = values.cast(pa.binary())
        lengths: Column = pc.binary_length(values)
        self.lengths.add(lengths.to_numpy())
        self.distinct.add(hash_column(values))

    def merge(self, other: BytesState) -> None:
        """Take in the state of later values."""
        self.distinct.merge(other.distinct)
        self.lengths.merge(other.lengths)

    def finish(self) -> dict[str, Any]:
        """The field `bytes`."""
        lengths = self.lengths
        summary = BytesSummary(
            distinct=self.distinct.count,
            avg_length=lengths.average,
            min_length=lengths.minimum,
            max_length=lengths.maximum,
        )
        return {"bytes": summary}

    def to_plain(self) -> list[Any]:
        """Distinct values, lengths."""
        return [self.distinct.to_plain(), self.lengths.to_plain()]

    def take_plain(self, value: list[Any]) -> None:
        """Inverse of `to_plain`."""
        self.distinct = DistinctValues.from_plain(value[0])
        self.lengths = Lengths.from_plain(value[1])


def _counted(values: Column) -> pl.DataFrame:
    """Distinct texts of a dictionary array without nulls, and how often each occurs."""
    counts = np.bincount(values.indices.to_numpy(), minlength=len(values.dictionary))
    found = np.flatnonzero(counts)
    texts = values.dictionary.take(pa.array(found)) if len(found) < len(counts) else values.dictionary
    frame = pl.DataFrame(
        [
            cast("pl.Series", pl.from_arrow(texts)).alias("value"),
            pl.Series("count", counts[found], dtype=pl.Int64),
        ]
    )
    if frame["value"].n_unique() < len(frame):  # a writer may have put a text into its dictionary twice
        frame = frame.group_by("value").agg(pl.col("count").sum())
    return frame
