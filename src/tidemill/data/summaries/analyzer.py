"""The analyzer that statistics are made with: all columns of a split, its slices, samples and weights.

A state is kept for later under `version`, which holds every choice that changes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tidemill.data.engine.analyzer import Analyzer
from tidemill.data.engine.encoding import pack, unpack
from tidemill.data.hashing import hash_whole_numbers
from tidemill.data.sketch import FrequentValues
from tidemill.data.statistics import SliceStatistics, SplitStatistics
from tidemill.data.summaries.column import ColumnState
from tidemill.errors import DataError, did_you_mean

STATES = "tidemill.statistics-state/1"
"""Form and meaning of the states; a change of either needs a new number."""

Floats = npt.NDArray[np.float64]


@dataclass
class SplitState:
    """All columns of some rows, and of the slices of these."""

    rows: int = 0
    seen: int = 0
    """Rows given, those left out of the sample included."""
    weight: float = 0.0
    columns: dict[str, ColumnState] = field(default_factory=dict)
    slices: dict[tuple[str, str], SplitState] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StatisticsAnalyzer(Analyzer[SplitState, SplitStatistics]):
    """Statistics of every column."""

    sample_rate: float = 1.0
    """Share of the rows to look at: chosen by a hash of their place in the block, so always the same."""
    weight_column: str | None = None
    slices: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Columns, and the values as text that get a slice."""
    dictionaries: bool = True

    @property
    def version(self) -> str:  # type: ignore[override]  # one of its own for each choice
        """Names the form of the states and every parameter."""
        return STATES + json.dumps([self.sample_rate, self.weight_column, self.slices])

    def empty(self) -> SplitState:
        """No rows, no columns."""
        return SplitState()

    def add(self, state: SplitState, table: pa.Table) -> SplitState:
        """Every column of the table, and of each slice of it."""
        if self.sample_rate < 1:
            places = np.arange(state.seen, state.seen + table.num_rows)
            state.seen += table.num_rows
            chosen = hash_whole_numbers(places) < np.uint64(self.sample_rate * 2.0**64)
            table = table.take(np.flatnonzero(chosen))
        weights = self._weights(table)
        self._add(state, table, weights)
        for column, values in self.slices:
            _check_sliced(column, table.schema)
            order, ends = _places(as_text(table[column]), values)
            sorted_rows = table.take(order)
            for value, start, end in zip(values, ends, ends[1:], strict=False):
                part = state.slices.setdefault((column, value), SplitState())
                if end > start:
                    of_part = None if weights is None else weights[order[start:end]]
                    self._add(part, sorted_rows.slice(start, end - start), of_part)
        return state

    def _add(self, state: SplitState, table: pa.Table, weights: Floats | None) -> None:
        state.rows += table.num_rows
        if weights is not None:
            state.weight += float(weights.sum())
        for name, column in zip(table.column_names, table.columns, strict=True):
            if name not in state.columns:
                state.columns[name] = ColumnState(weighted=self.weight_column is not None)
            state.columns[name].add(column, weights)

    def _weights(self, table: pa.Table) -> Floats | None:
        if self.weight_column is None:
            return None
        if self.weight_column not in table.column_names:
            hint = did_you_mean(self.weight_column, table.column_names)
            raise DataError(f"there is no weight column {self.weight_column!r}", hint=hint)
        column: Any = table[self.weight_column]
        kind = _plain_type(column.type)
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise DataError(f"the weight column {self.weight_column!r} is {kind}, not a number")
        weights: Floats = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        if bad := int((~(np.isfinite(weights) & (weights >= 0))).sum()):
            raise DataError(
                f"the weight column {self.weight_column!r} has {bad} values that are no weights",
                hint="weights are finite, at least 0, and never missing",
            )
        return weights

    def merge(self, state: SplitState, later: SplitState) -> SplitState:
        """Column by column, slice by slice."""
        state.rows += later.rows
        state.weight += later.weight
        for name, column in later.columns.items():
            if name in state.columns:
                state.columns[name].merge(column)
            else:  # merged with nothing a state is what it was
                state.columns[name] = column
        for key, part in later.slices.items():
            self.merge(state.slices.setdefault(key, SplitState()), part)
        return state

    def finish(self, state: SplitState) -> SplitStatistics:
        """The statistics. Slices without rows are left out."""
        weighted = self.weight_column is not None
        found = {key: self.finish(part) for key, part in state.slices.items() if part.rows}
        return SplitStatistics(
            num_rows=state.rows,
            columns=tuple(
                column.finish(name, state.rows, state.weight) for name, column in state.columns.items()
            ),
            weight=state.weight if weighted else None,
            slices=tuple(
                SliceStatistics(column=column, value=value, statistics=found[column, value])
                for column, values in self.slices
                for value in values
                if (column, value) in found
            ),
        )

    def to_bytes(self, state: SplitState) -> bytes:
        """Lists in the order of the data; see the classes for what is in them."""
        return pack(_to_plain(state))

    def from_bytes(self, data: bytes) -> SplitState:
        """Inverse of `to_bytes`."""
        return _from_plain(unpack(data))


@dataclass(frozen=True)
class SliceValues(Analyzer[dict[str, FrequentValues], dict[str, FrequentValues]]):
    """How often each value of some columns occurs, as text: which of them get a slice."""

    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]  # those that are counted
        """The columns that are counted."""
        return self.names

    @property
    def version(self) -> str:  # type: ignore[override]  # one of its own for each choice
        """Names the columns too."""
        return "tidemill.slice-values/1" + json.dumps(self.names)

    def empty(self) -> dict[str, FrequentValues]:
        """No values."""
        return {name: FrequentValues() for name in self.names}

    def add(self, state: dict[str, FrequentValues], table: pa.Table) -> dict[str, FrequentValues]:
        """Count the values; nulls have no slice."""
        for name in self.names:
            _check_sliced(name, table.schema)
            state[name].add(as_text(table[name]).drop_null())
        return state

    def merge(
        self, state: dict[str, FrequentValues], later: dict[str, FrequentValues]
    ) -> dict[str, FrequentValues]:
        """Column by column."""
        for name, counted in later.items():
            state[name].merge(counted)
        return state

    def to_bytes(self, state: dict[str, FrequentValues]) -> bytes:
        """By column."""
        return pack({name: counted.to_plain() for name, counted in state.items()})

    def from_bytes(self, data: bytes) -> dict[str, FrequentValues]:
        """Inverse of `to_bytes`."""
        return {name: FrequentValues.from_plain(plain) for name, plain in unpack(data).items()}


def as_text(column: Any) -> Any:
    """Values that name slices: text as it is, whole numbers in decimals, `true` and `false`."""
    return pc.cast(column, pa.large_string()).combine_chunks()


def _check_sliced(name: str, schema: pa.Schema) -> None:
    if name not in schema.names:
        raise DataError(f"there is no column {name!r} to slice by", hint=did_you_mean(name, schema.names))
    kind = _plain_type(schema.field(name).type)
    good = (
        pa.types.is_integer,
        pa.types.is_boolean,
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_null,
    )
    if not any(is_it(kind) for is_it in good):
        raise DataError(
            f"column {name!r} is {kind}, and slices are made by text, whole numbers and truth values",
            hint="slice by another column, or make one in Transform that puts the values into classes",
        )


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _places(texts: Any, values: tuple[str, ...]) -> tuple[npt.NDArray[np.int64], list[int]]:
    """The rows that have one of the values, those of the first value first; and where each value's begin."""
    found: Any = pc.index_in(texts, pa.array(values, pa.large_string()))
    codes = pc.fill_null(found, len(values)).to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(values) + 1))
    return order[: ends[-1]], ends.tolist()


def _to_plain(state: SplitState) -> list[Any]:
    return [
        state.rows,
        state.weight,
        {name: column.to_plain() for name, column in state.columns.items()},
        [[*key, _to_plain(part)] for key, part in state.slices.items()],
    ]


def _from_plain(value: list[Any]) -> SplitState:
    rows, weight, columns, slices = value
    held: Mapping[str, Any] = columns
    return SplitState(
        rows=rows,
        weight=weight,
        columns={name: ColumnState.from_plain(plain) for name, plain in held.items()},
        slices={(column, name): _from_plain(part) for column, name, part in slices},
    )
