"""Which split a row goes to: by the hash of a value, or by where it lies in an order.

Both rules look at a row alone and do not depend on batches, files or machines, so the same row
always lands in the same split. This room does not read or write files.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tidemill.data.column_types import kind_of
from tidemill.data.hashing import hash_column, hash_rows
from tidemill.data.quantiles import QuantileSummary
from tidemill.errors import DataError, did_you_mean

Positions = npt.NDArray[np.intp]

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class SplitRule(Protocol):
    """Position of the split of each row of a table."""

    def assign(self, table: pa.Table) -> Positions:
        """One position per row, counting from 0."""
        ...


@dataclass(frozen=True)
class HashRule:
    """Buckets in the order of the splits: a row goes where hash mod (sum of all buckets) falls.

    The hash is that of the `partition_by` column, so rows with equal values stay together, or of the
    whole row. Same arithmetic as TFX's hash buckets, with `hashing.HASH_VERSION` as the hash.
    """

    buckets: tuple[int, ...]
    partition_by: str | None = None

    def assign(self, table: pa.Table) -> Positions:
        """One position per row, by hash."""
        hashes = (
            hash_rows(table) if self.partition_by is None else hash_column(table.column(self.partition_by))
        )
        upper = np.cumsum(self.buckets, dtype=np.uint64)
        positions: Positions = np.searchsorted(upper, hashes % upper[-1], side="right")
        return positions


@dataclass(frozen=True)
class OrderRule:
    """Rows below the first cut go to the first split, and so on; rows on a cut go to the later one."""

    column: str
    cuts: tuple[float, ...]
    """Ascending; for time stamps microseconds since 1970-01-01."""

    def assign(self, table: pa.Table) -> Positions:
        """One position per row, by order."""
        return np.searchsorted(np.array(self.cuts), ordered_values(table, self.column), side="right")


def ordered_values(table: pa.Table, column: str) -> npt.NDArray[np.float64]:
    """A numeric or time stamp column as floats. DataError for nulls, NaN or another kind of column."""
    values: Any = table.column(column)
    kind = kind_of(values.type)
    if kind not in ("int", "float", "timestamp"):
        raise DataError(f"order_by needs numbers or time stamps, but column {column!r} is {kind}")
    if kind == "timestamp":
        values = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    floats: npt.NDArray[np.float64] = values.cast(pa.float64(), safe=False).to_numpy()
    if np.isnan(floats).any():
        without = int(np.isnan(floats).sum())
        raise DataError(
            f"order_by needs a value in every row, but in column {column!r} {without} have none",
            hint="use another column, or split by hash",
        )
    return floats


def cut_rule(
    tables: Iterable[pa.Table], column: str, weights: Sequence[int], cut_points: Sequence[str | float]
) -> OrderRule:
    """The order rule for data that is read once for it, in bounded memory.

    Without `cut_points` the cuts are the quantiles that give the splits their weights. A cut point is a
    number, an ISO date or time, or HH:MM, which is that time on the last day in the column.
    """
    summary = QuantileSummary()
    timed = False
    for table in tables:
        timed = kind_of(table.schema.field(column).type) == "timestamp"
        summary.add(ordered_values(table, column))
    if not summary.count:
        return OrderRule(column, tuple(0.0 for _ in weights[1:]))
    if not cut_points:
        shares = np.cumsum(weights)[:-1] / sum(weights)
        return OrderRule(column, tuple(summary.cut(float(share)) for share in shares))
    if len(cut_points) != len(weights) - 1:
        raise DataError(f"{len(weights)} splits need {len(weights) - 1} cut_points, got {list(cut_points)}")
    cuts = tuple(_cut_value(point, timed, summary.maximum) for point in cut_points)
    if list(cuts) != sorted(cuts):
        raise DataError(f"cut_points must ascend, got {list(cut_points)}")
    return OrderRule(column, cuts)


def check_splits(splits: Mapping[str, int]) -> None:
    """DataError unless there is a split, each has a file-safe name and a weight of at least 1."""
    if not splits:
        raise DataError("splits is empty", hint="name at least one, such as {'train': 2, 'eval': 1}")
    for name, weight in splits.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise DataError(f"{name!r} is no name for a split", hint="use letters, digits, _ and -")
        if type(weight) is not int or weight < 1:
            raise DataError(f"split {name!r} has weight {weight!r}, but needs a whole number of at least 1")


def check_column(name: str, parameter: str, columns: Sequence[str]) -> None:
    """DataError when a parameter names a column that the data does not have."""
    if name not in columns:
        raise DataError(f"{parameter} names {name!r}, which is no column", hint=did_you_mean(name, columns))


def _cut_value(point: str | float, timed: bool, maximum: float) -> float:
    if not timed:
        if isinstance(point, (int, float)):
            return float(point)
        raise DataError(f"cut point {point!r} is not a number, but the column is")
    if isinstance(point, str):
        if match := _CLOCK.fullmatch(point):
            day = maximum // 86_400_000_000 * 86_400_000_000
            return day + (int(match[1]) * 60 + int(match[2])) * 60_000_000
        try:
            moment = datetime.datetime.fromisoformat(point)
        except ValueError:
            pass
        else:
            moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
            return float(
                (moment - datetime.datetime.fromtimestamp(0, datetime.UTC)) // datetime.timedelta(0, 0, 1)
            )
    raise DataError(f"cut point {point!r} is neither HH:MM nor an ISO date or time")


def rows_of(table: pa.Table, positions: Positions, split: int) -> pa.Table:
    """The rows of one split, in their order."""
    return table.take(pa.array(np.flatnonzero(positions == split), pa.int64()))
