"""Statistics of Examples as plain values, and their file: `statistics.json`.

What is in them follows TFX's `statistics.proto` where a field has a counterpart. They hold no NaN
and no infinity, so that any JSON reader can read them. How they are computed is not known here.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.data.column_types import Kind
from tidemill.errors import DataError, did_you_mean

FILE = "statistics.json"
FORMAT = "tidemill.statistics/1"
TOP_VALUES = 20

Number = int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Bins of equal width: `counts[i]` values in [edges[i], edges[i+1]), the last one closed.

    One bin with equal edges when all values are equal. Counts come from the quantile summary: exact up
    to 1024 values, then within its rank error.
    """

    edges: tuple[Number, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericSummary:
    """Numbers of a column, NaN and infinities apart. None where there is no finite value, or where the
    result has no finite representation."""

    mean: float | None
    std: float | None
    """Standard deviation of the values (division by n)."""
    min: Number | None
    max: Number | None
    zeros: int
    nan: int
    infinite: int
    quantiles: tuple[Number, ...]
    """Percentiles 0, 1, ..., 100 of the finite values, or empty."""
    histogram: Histogram | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StringSummary:
    """Texts of a column."""

    distinct: int
    exact: bool
    """Whether `distinct` and `frequencies` are exact: up to 10 000 distinct values."""
    avg_length: float
    """Mean number of characters; 0 without values."""
    frequencies: tuple[tuple[str, int], ...]
    """(value, rows), most frequent first, ties by value. All values up to 1000; of more, the 20 most
    frequent and those of the first 1000 that occur more than once."""

    @property
    def top_values(self) -> tuple[tuple[str, int], ...]:
        """The 20 most frequent values."""
        return self.frequencies[:TOP_VALUES]

    @property
    def complete(self) -> bool:
        """Whether `frequencies` lists every value."""
        return self.exact and len(self.frequencies) == self.distinct


@dataclass(frozen=True, slots=True, kw_only=True)
class BooleanSummary:
    """Truth values of a column."""

    true: int
    false: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampSummary:
    """First and last moment of a column, ISO 8601, UTC where the data has no zone; None without values."""

    min: str | None
    max: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnStatistics:
    """One column of one split. At most one of the summaries is set, the one of `type`."""

    name: str
    type: Kind
    count: int
    """Rows with a value; NaN is one."""
    missing: int
    """Rows without."""
    numeric: NumericSummary | None = None
    string: StringSummary | None = None
    boolean: BooleanSummary | None = None
    timestamp: TimestampSummary | None = None

    @property
    def fraction_present(self) -> float:
        """Share of rows with a value; 0 when there are no rows."""
        rows = self.count + self.missing
        return self.count / rows if rows else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitStatistics:
    """All columns of one split, in the order of the data."""

    num_rows: int
    columns: tuple[ColumnStatistics, ...]

    def column(self, name: str) -> ColumnStatistics | None:
        """The column of that name, if there is one."""
        return next((c for c in self.columns if c.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """All splits, in order."""

    splits: Mapping[str, SplitStatistics]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        return {
            "format": FORMAT,
            "splits": {
                name: {"num_rows": split.num_rows, "columns": [_column_to_json(c) for c in split.columns]}
                for name, split in self.splits.items()
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Statistics:
        """Inverse of `to_json`. KeyError or TypeError when `value` is something else."""
        return cls(
            splits={
                name: SplitStatistics(
                    num_rows=split["num_rows"], columns=tuple(map(_column_from_json, split["columns"]))
                )
                for name, split in value["splits"].items()
            }
        )

    def split(self, name: str) -> SplitStatistics:
        """One split; DataError when there is none of that name."""
        if name not in self.splits:
            raise DataError(f"the statistics have no split {name!r}", hint=did_you_mean(name, self.splits))
        return self.splits[name]


def write_statistics(folder: Path, statistics: Statistics) -> None:
    """Write the file; equal statistics give equal bytes."""
    text = json.dumps(statistics.to_json(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def read_statistics(folder: Path) -> Statistics:
    """Read the file of an artifact. DataError when it is absent, broken or of another format."""
    path = folder / FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] != FORMAT:
            raise DataError(f"format is {value['format']!r}, expected {FORMAT!r}", where=str(path))
        return Statistics.from_json(value)
    except FileNotFoundError:
        raise DataError("there are no statistics here", where=str(path)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"not readable as statistics: {error!r}", where=str(path)) from error


_SUMMARIES = ("numeric", "string", "boolean", "timestamp")


def _column_to_json(column: ColumnStatistics) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(column).items() if v is not None}


def _column_from_json(value: Mapping[str, Any]) -> ColumnStatistics:
    rest = {key: v for key, v in value.items() if key not in _SUMMARIES}
    numeric, string = value.get("numeric"), value.get("string")
    boolean, timestamp = value.get("boolean"), value.get("timestamp")
    return ColumnStatistics(
        **rest,
        numeric=None if numeric is None else _numeric_from_json(numeric),
        string=None
        if string is None
        else StringSummary(**{**string, "frequencies": tuple((v, n) for v, n in string["frequencies"])}),
        boolean=None if boolean is None else BooleanSummary(**boolean),
        timestamp=None if timestamp is None else TimestampSummary(**timestamp),
    )


def _numeric_from_json(value: Mapping[str, Any]) -> NumericSummary:
    bins = value["histogram"]
    histogram = None if bins is None else Histogram(edges=tuple(bins["edges"]), counts=tuple(bins["counts"]))
    return NumericSummary(**{**value, "quantiles": tuple(value["quantiles"]), "histogram": histogram})
