"""Slices: rows with the same values in some columns. Which there are, and which one a row belongs to.

First the rows are looked through for the values of their key columns (`SliceFinder`), in bounded memory;
then each batch is told the number of the slice of each of its rows (`Slices.slicings`). A specification says
what TFMA's SlicingSpec says (config.proto): `feature_keys` are crossed, `feature_values` restrict. Numbers
can be put into bins. What is measured of a slice is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from tidemill.data.evaluation import Key
from tidemill.data.evaluation_file import plain
from tidemill.data.metrics.tally import Ints, Slicing, whole
from tidemill.data.quantiles import QuantileSummary
from tidemill.data.slice_specs import MOST_SLICES, SliceSpec
from tidemill.errors import DataError

MOST_ALTOGETHER = 1000
"""Slices measured of all specifications; those that come first go first. A histogram of scores takes
160 KB for each slice and model."""
TRACKED = 10_000
"""Values counted at once of one specification; of more, the rarest are dropped as batches are merged."""
_ROWS = "rows"


@dataclass(frozen=True, slots=True)
class Found:
    """The slices of one specification that are measured."""

    spec: SliceSpec
    keys: tuple[Key, ...]
    start: int
    """Number of the first; the others follow."""
    table: pl.DataFrame
    """Their key columns, binned, and `number`."""
    edges: Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Slices:
    """Every slice that is measured. Slice 0 is that of all rows."""

    found: tuple[Found, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    too_small: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def keys(self) -> list[Key]:
        """The key of each slice, by number."""
        return [{}, *(key for found in self.found for key in found.keys)]

    def slicings(self, keys: pa.Table) -> tuple[Slicing, ...]:
        """The slices of each row; `keys` has all columns that any specification needs."""
        frame = _frame(keys)
        return (whole(keys.num_rows), *(_slicing(frame, found) for found in self.found))


class SliceFinder:
    """Counts the rows of each slice. `add` batches of key columns, then ask for the largest slices.

    Specifications with a number of bins need the columns' quantiles: `look` at all batches first.
    """

    def __init__(self, specs: Sequence[SliceSpec]) -> None:
        self.specs = list(specs)
        self._quantiles = {
            name: QuantileSummary()
            for spec in specs
            for name, bins in spec.bins.items()
            if isinstance(bins, int)
        }
        self._counts: list[pl.DataFrame | None] = [None] * len(self.specs)
        self._dropped = [0] * len(self.specs)

    @property
    def needs_look(self) -> list[str]:
        """Columns whose quantiles are needed."""
        return list(self._quantiles)

    def look(self, table: pa.Table) -> None:
        """Take in the columns that `needs_look` names."""
        frame = _frame(table)
        for name, summary in self._quantiles.items():
            column = _numbers(frame, name).drop_nulls()
            values = column.to_numpy()
            summary.add(values[np.isfinite(values)])

    def _edges(self, spec: SliceSpec) -> dict[str, Sequence[float]]:
        found: dict[str, Sequence[float]] = {}
        for name, bins in spec.bins.items():
            if not isinstance(bins, int):
                found[name] = bins
                continue
            summary = self._quantiles[name]
            shares = np.arange(1, bins) / bins
            cuts = {summary.cut(share) for share in shares} if summary.count else set()
            found[name] = sorted(cuts)
        return found

    def add(self, table: pa.Table) -> None:
        """Count the rows of a batch."""
        frame = _frame(table)
        for at, spec in enumerate(self.specs):
            rows = _restricted(_binned(frame, spec, self._edges(spec)), spec)
            counted = rows.group_by(spec.columns).agg(pl.len().alias(_ROWS).cast(pl.Int64))
            known = self._counts[at]
            if known is not None:
                both = pl.concat([known, counted], how="vertical_relaxed")
                counted = both.group_by(spec.columns).agg(pl.col(_ROWS).sum())
            if counted.height > TRACKED:
                kept = _ordered(counted, spec).head(TRACKED)
                self._dropped[at] += counted.height - kept.height
                counted = kept
            self._counts[at] = counted

    def slices(self, *, min_size: int = 1) -> Slices:
        """The largest slices with at least `min_size` rows, at most `MOST_SLICES` of each specification."""
        found, left_out, too_small = list[Found](), dict[str, int](), dict[str, int]()
        notes, start = list[str](), 1
        for at, spec in enumerate(self.specs):
            counted = self._counts[at]
            if counted is None or not counted.height:
                notes.append(f"slices of {spec.name}: no rows")
                continue
            large = counted.filter(pl.col(_ROWS) >= min_size)
            if small := counted.height - large.height:
                too_small[spec.name] = too_small.get(spec.name, 0) + small
            kept = _ordered(large, spec).head(min(MOST_SLICES, MOST_ALTOGETHER + 1 - start))
            if rest := large.height - kept.height:
                left_out[spec.name] = left_out.get(spec.name, 0) + rest
            if self._dropped[at]:
                notes.append(
                    f"slices of {spec.name}: more than {TRACKED} values; the largest are found approximately"
                )
            table = kept.drop(_ROWS).with_columns(pl.Series("number", np.arange(kept.height) + start))
            keys = tuple({n: plain(row[n]) for n in spec.columns} for row in kept.iter_rows(named=True))
            found.append(Found(spec, keys, start, table, self._edges(spec)))
            start += kept.height
        notes += [
            f"slices of {name}: {many} more, with less rows, are left out" for name, many in left_out.items()
        ]
        return Slices(tuple(found), left_out, too_small, tuple(notes))


def _ordered(counted: pl.DataFrame, spec: SliceSpec) -> pl.DataFrame:
    """Largest first, of equally large ones by their values."""
    texts = [pl.col(name).cast(pl.String).fill_null("￿") for name in spec.columns]
    return counted.sort([pl.col(_ROWS), *texts], descending=[True, *[False] * len(texts)])


def _frame(table: pa.Table) -> pl.DataFrame:
    for name in table.column_names:
        kind = table.schema.field(name).type
        if pa.types.is_nested(kind) and not pa.types.is_dictionary(kind):
            raise DataError(f"the column {name!r} is {kind}, and slices need single values")
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _numbers(frame: pl.DataFrame, name: str) -> pl.Series:
    column = frame.get_column(name)
    if not column.dtype.is_numeric():
        raise DataError(f"the column {name!r} is {column.dtype}, and bins need numbers")
    return column.cast(pl.Float64)


def _binned(frame: pl.DataFrame, spec: SliceSpec, edges: Mapping[str, Sequence[float]]) -> pl.DataFrame:
    """The columns of a specification, numbers with bins replaced by the names of these."""
    made = []
    for name, cuts in edges.items():
        names = pl.Series([_bin_name(cuts, at) for at in range(len(cuts) + 1)], dtype=pl.String)
        values = _numbers(frame, name)
        places = np.searchsorted(np.array(cuts, np.float64), values.to_numpy(), side="right")
        text = names.gather(pl.Series(places.astype(np.uint32)))
        missing = values.is_null() | values.is_nan().fill_null(True)
        made.append(text.zip_with(~missing, pl.Series([None], dtype=pl.String)).alias(name))
    return frame.select(spec.columns).with_columns(made)


def _bin_name(cuts: Sequence[float], at: int) -> str:
    if not cuts:
        return "any"
    if at == 0:
        return f"< {cuts[0]:.6g}"
    return f">= {cuts[-1]:.6g}" if at == len(cuts) else f"[{cuts[at - 1]:.6g}, {cuts[at]:.6g})"


def _restricted(frame: pl.DataFrame, spec: SliceSpec) -> pl.DataFrame:
    for name, value in spec.values.items():
        frame = frame.filter(_equals(frame, name, value))
    return frame


def _equals(frame: pl.DataFrame, name: str, value: Any) -> pl.Expr:
    """Rows whose column has the value; a text stands for a number or truth value too, as in TFMA."""
    column = pl.col(name)
    if value is None:
        return column.is_null()
    kind = frame.schema[name]
    if isinstance(value, str) and not isinstance(kind, (pl.String, pl.Categorical, pl.Enum)):
        return (column.cast(pl.String).str.to_lowercase() == value.lower()).fill_null(False)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return (
            column.cast(pl.String) == str(value).lower() if kind != pl.String else column == str(value)
        ).fill_null(False)
    if not kind.is_numeric():
        return (column.cast(pl.String) == str(value)).fill_null(False)
    return (column == value).fill_null(False)


def _slicing(frame: pl.DataFrame, found: Found) -> Slicing:
    keys = _binned(frame, found.spec, found.edges)
    # Columns of one file may be int and of another float: they meet at the type of the known slices.
    keys = keys.with_columns(pl.col(n).cast(found.table.schema[n], strict=False) for n in found.spec.columns)
    joined = keys.join(
        found.table, on=list(found.spec.columns), how="left", nulls_equal=True, maintain_order="left"
    )
    codes: Ints = joined.get_column("number").fill_null(-1).to_numpy().astype(np.int64)
    return Slicing(codes, found.start, found.start + found.table.height)
