"""The state of one column: rows with a value, how many values they have, and a summary of these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from tidemill.data.column_types import Kind, kind_of
from tidemill.data.statistics import ColumnStatistics, Valency
from tidemill.data.summaries.numbers import NumericState
from tidemill.data.summaries.others import BooleanState, NoState, TimestampState
from tidemill.data.summaries.summary import Column, Summary
from tidemill.data.summaries.texts import BytesState, Lengths, StringState
from tidemill.data.summaries.weighted import WeightedState

Floats = npt.NDArray[np.float64]

_SUMMARIES: dict[str, Callable[[], Summary]] = {
    "number": NumericState,
    "string": StringState,
    "bool": BooleanState,
    "timestamp": TimestampState,
    "decimal": NumericState,
    "bytes": BytesState,
    "other": NoState,
    "empty": NoState,
}
"""By what files have; where they disagree and are equally many, the first one here counts."""


class ColumnState:
    """Everything about one column. Files may have it with different types: each has a summary then."""

    def __init__(self, *, weighted: bool = False) -> None:
        self.count = 0
        self.weighted = WeightedState() if weighted else None
        self._levels: list[_Level] = []
        self._summaries: dict[str, Summary] = {}
        self._rows: dict[str, int] = {}
        """Rows with a value of each kind; int and float apart, though they share a summary."""

    def add(self, column: Column, weights: Floats | None = None) -> None:
        """Take in the column of one row group, with the weight of each row."""
        array = _one_array(column)
        present: Column = pc.drop_null(array) if array.null_count else array
        if self.weighted is not None and weights is not None:
            weights = weights[_is_there(array)]
            self.weighted.count += float(weights.sum())
        values, weights = self._flattened(present, weights)
        kind = _declared(values.type)
        summary = self._summary(kind)
        self.count += len(present)
        self._rows[kind] += len(present)
        if len(values) or kind == "float":  # whole numbers that come with no floats are floats all the same
            summary.add(values)
            if self.weighted is not None and weights is not None:
                self.weighted.add(_shared(kind), values, weights)

    def _summary(self, kind: str) -> Summary:
        self._rows.setdefault(kind, 0)
        shared = _shared(kind)
        if shared not in self._summaries:
            self._summaries[shared] = _SUMMARIES[shared]()
        return self._summaries[shared]

    def _flattened(self, array: Column, weights: Floats | None) -> tuple[Column, Floats | None]:
        """The values of lists, of lists in lists, and so on, without nulls; of other columns as they are."""
        depth = 0
        while _is_list(array.type):
            if depth == len(self._levels):
                self._levels.append(_Level())
            lengths, inner = _lengths_and_values(array)
            self._levels[depth].add(lengths, inner.null_count)
            if weights is not None:
                weights = np.repeat(weights, lengths)
                weights = weights[_is_there(inner)]
            array, depth = pc.drop_null(_plain(inner)), depth + 1
        return array, weights

    def merge(self, other: ColumnState) -> None:
        """Take in the state of later rows."""
        self.count += other.count
        for kind, rows in other._rows.items():
            self._summary(kind)
            self._rows[kind] += rows
        for shared, summary in other._summaries.items():
            self._summaries[shared].merge(summary)
        for depth, level in enumerate(other._levels):
            if depth == len(self._levels):
                self._levels.append(_Level())
            self._levels[depth].merge(level)
        if self.weighted is not None and other.weighted is not None:
            self.weighted.merge(other.weighted)

    def finish(self, name: str, rows: int, weight: float) -> ColumnStatistics:
        """The statistics of a column of that name among `rows` rows, which weigh `weight`."""
        totals = {shared: sum(self._rows.get(k, 0) for k in _members(shared)) for shared in self._summaries}
        main = max(totals, key=lambda shared: (totals[shared], shared != "empty"), default="empty")
        held = [shared for shared in totals if totals[shared]]
        missing = rows - self.count
        weighted = None
        if self.weighted is not None:
            weighted = self.weighted.finish(weight - self.weighted.count if missing else 0.0)
        ranked = sorted(held, key=lambda shared: (-totals[shared], list(_SUMMARIES).index(shared)))
        return ColumnStatistics(
            name=name,
            type=self._kind(ranked[0] if ranked else main),
            count=self.count,
            missing=missing,
            valency=tuple(level.finish() for level in self._levels),
            weighted=weighted,
            types=tuple((self._kind(s), totals[s]) for s in ranked) if len(ranked) > 1 else (),
            **(self._summaries[ranked[0] if ranked else main].finish() if self._summaries else {}),
        )

    def _kind(self, shared: str) -> Kind:
        if shared == "number":
            return "float" if "float" in self._rows else "int"
        kind: Kind = "other" if shared in ("decimal", "bytes") else shared  # type: ignore[assignment]  # the rest are kinds
        return kind

    def to_plain(self) -> list[Any]:
        """Rows by kind, summaries, levels of lists, weighted state; kinds in a fixed order."""
        return [
            self.count,
            {kind: self._rows[kind] for kind in sorted(self._rows)},
            {s: self._summaries[s].to_plain() for s in sorted(self._summaries)},
            [level.to_plain() for level in self._levels],
            None if self.weighted is None else self.weighted.to_plain(),
        ]

    @classmethod
    def from_plain(cls, value: list[Any]) -> ColumnState:
        """Inverse of `to_plain`."""
        made = cls()
        made.count, made._rows = value[:2]
        for shared, plain in value[2].items():
            made._summaries[shared] = _SUMMARIES[shared]()
            made._summaries[shared].take_plain(plain)
        made._levels = [_Level.from_plain(plain) for plain in value[3]]
        made.weighted = None if value[4] is None else WeightedState.from_plain(value[4])
        return made


class _Level:
    """How many values the lists of one level have."""

    def __init__(self) -> None:
        self.lengths = Lengths()
        self.nulls = 0

    def add(self, lengths: Any, nulls: int) -> None:
        self.lengths.add(lengths)
        self.nulls += nulls

    def merge(self, other: _Level) -> None:
        self.lengths.merge(other.lengths)
        self.nulls += other.nulls

    def finish(self) -> Valency:
        lengths = self.lengths
        return Valency(
            min=lengths.minimum,
            max=lengths.maximum,
            avg=lengths.average,
            total=lengths.total,
            nulls=self.nulls,
        )

    def to_plain(self) -> list[Any]:
        return [self.lengths.to_plain(), self.nulls]

    @classmethod
    def from_plain(cls, value: list[Any]) -> _Level:
        made = cls()
        made.lengths, made.nulls = Lengths.from_plain(value[0]), value[1]
        return made


def _one_array(column: Column) -> Column:
    if isinstance(column, pa.ChunkedArray):
        if column.num_chunks == 1:
            column = column.chunk(0)
        elif kinds.is_string(column.type):  # several chunks may be too long together for 32-bit offsets
            column = column.cast(pa.large_string()).combine_chunks()
        else:
            column = column.combine_chunks()
    return _plain(column)


def _plain(array: Column) -> Column:
    """Without extension types, and without dictionaries of anything but text."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if kinds.is_dictionary(array.type) and not _is_text(array.type.value_type):
        array = array.dictionary_decode()
    if kinds.is_string_view(array.type):
        array = array.cast(pa.large_string())
    return array.cast(pa.large_binary()) if kinds.is_binary_view(array.type) else array


def _lengths_and_values(lists: Column) -> tuple[Any, Column]:
    """How many values each list has, and all values; no list is null."""
    lengths: Column = pc.list_value_length(lists)
    return lengths.to_numpy(), pc.list_flatten(lists)


def _is_there(array: Column) -> npt.NDArray[np.bool_]:
    """Which values are not null."""
    valid: Column = pc.is_valid(array)
    there: npt.NDArray[np.bool_] = valid.to_numpy(zero_copy_only=False)
    return there


def _is_list(type: pa.DataType) -> bool:
    return kinds.is_list(type) or kinds.is_large_list(type) or kinds.is_fixed_size_list(type)


def _is_text(type: pa.DataType) -> bool:
    return kinds.is_string(type) or kinds.is_large_string(type)


def _declared(type: pa.DataType) -> str:
    """What a column of that type is summarised as; int and float apart."""
    if kinds.is_dictionary(type):
        return "string"
    if kinds.is_decimal(type):
        return "decimal"
    if kinds.is_binary(type) or kinds.is_large_binary(type) or kinds.is_fixed_size_binary(type):
        return "bytes"
    return kind_of(type)


def _shared(kind: str) -> str:
    return "number" if kind in ("int", "float") else kind


def _members(shared: str) -> tuple[str, ...]:
    return ("int", "float") if shared == "number" else (shared,)
