"""Statistics of Examples as plain values, and their file: `statistics.json`.

What is in them follows TFX's `statistics.proto` where a field has a counterpart. They hold no NaN
and no infinity, so that any JSON reader can read them. How they are computed is not known here.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tidemill.data.column_types import Kind
from tidemill.errors import DataError, did_you_mean

FILE = "statistics.json"
FORMAT = "tidemill.statistics/2"
READABLE = ("tidemill.statistics/1", FORMAT)
"""Version 1 is version 2 without what has a default here."""
TOP_VALUES = 20

DECILES = 10

Number = int | float
Summary = TypeVar("Summary")


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
    result has no finite representation. Counterpart: NumericStatistics of TFMD's statistics.proto."""

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
    """Ten bins of equal width (TFMD: STANDARD)."""
    distinct: int | None = None
    """Distinct whole numbers: exact below 4096, then within about 1.6 %. None for floats."""

    @property
    def median(self) -> Number | None:
        """The lower median; None where there are no percentiles."""
        return self.quantiles[len(self.quantiles) // 2] if self.quantiles else None

    @property
    def quantile_histogram(self) -> Histogram | None:
        """Ten bins with a tenth of the values each, and deciles for edges (TFMD: QUANTILES)."""
        return _tenths(self.quantiles, self.histogram)


@dataclass(frozen=True, slots=True, kw_only=True)
class StringSummary:
    """Texts of a column. Counterpart: StringStatistics of TFMD's statistics.proto."""

    distinct: int
    exact: bool
    """Whether `distinct` and `frequencies` are exact: up to 10 000 distinct values, unless nearly every
    value occurred once only."""
    avg_length: float
    """Mean number of characters; 0 without values."""
    frequencies: tuple[tuple[str, int], ...]
    """(value, rows), most frequent first, ties by value. All values up to 1000; of more, the 20 most
    frequent and those of the first 1000 that occur more than once. It is TFMD's rank_histogram as well."""
    min_length: int | None = None
    """Fewest and most characters; None without values, and in statistics of version 1."""
    max_length: int | None = None
    lost: int = 0
    """By how much a count in `frequencies` may be too low at most; 0 when `exact`."""

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
    quantiles: tuple[int, ...] = ()
    """Percentiles 0, 1, ..., 100 in microseconds since 1970-01-01T00:00Z, or empty."""
    histogram: Histogram | None = None
    """Ten bins of equal width; edges as in `quantiles`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesSummary:
    """Bytes of a column. Counterpart: BytesStatistics of TFMD's statistics.proto."""

    distinct: int
    """Exact below 4096, then within about 1.6 %."""
    avg_length: float
    """Mean number of bytes; 0 without values."""
    min_length: int | None
    max_length: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Valency:
    """How many values the lists of a column have, nulls in them counted. None where there is no list.

    Counterpart: min_num_values and so on of TFMD's CommonStatistics.
    """

    min: int | None
    max: int | None
    avg: float
    total: int
    nulls: int
    """Values that are null: they are in no summary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedSummary:
    """The column again with each row counted as often as its weight says; TFMD's weighted_* messages.

    What does not suit the type is None or empty. Values of lists have the weight of their row.
    """

    count: float
    """Weight of the rows with a value."""
    missing: float
    mean: float | None = None
    std: float | None = None
    median: Number | None = None
    histogram: tuple[tuple[Number, Number, float], ...] = ()
    """(from, to, weight) of ten bins of equal width."""
    frequencies: tuple[tuple[str, float], ...] = ()
    """(value, weight) of the 20 heaviest; with more than 10 000 values, of those that were kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnStatistics:
    """One column of one split.

    At most one of the summaries is set, the one of `type`. Lists are summarised by all of their values: the
    type is that of the values, and `valency` says how many there are. Dictionaries count as their values.
    Columns of type `other` may have `bytes`, or `numeric` for decimals.
    """

    name: str
    type: Kind
    count: int
    """Rows with a value; NaN and an empty list are one."""
    missing: int
    """Rows without, those of files that lack the column included."""
    numeric: NumericSummary | None = None
    string: StringSummary | None = None
    boolean: BooleanSummary | None = None
    timestamp: TimestampSummary | None = None
    bytes: BytesSummary | None = None
    valency: tuple[Valency, ...] = ()
    """Of lists: values per row, then of lists in lists, values per inner list, and so on."""
    weighted: WeightedSummary | None = None
    """Set where a weight column was given."""
    types: tuple[tuple[Kind, int], ...] = ()
    """Where files disagree about the type beyond int and float: each with its rows, most rows first. The
    summary is then of the first one only."""

    @property
    def fraction_present(self) -> float:
        """Share of rows with a value; 0 when there are no rows."""
        rows = self.count + self.missing
        return self.count / rows if rows else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitStatistics:
    """All columns of one split, in the order of the data."""

    num_rows: int
    """Rows taken in: fewer than the data has where it was sampled."""
    columns: tuple[ColumnStatistics, ...]
    weight: float | None = None
    """Weight of all rows, where a weight column was given."""
    slices: tuple[SliceStatistics, ...] = ()
    """Of each column that was asked for, the most frequent values first, ties by value."""
    slices_left_out: tuple[tuple[str, int], ...] = ()
    """(column, rows) of the values that have no slice because there were too many."""

    def column(self, name: str) -> ColumnStatistics | None:
        """The column of that name, if there is one."""
        return next((c for c in self.columns if c.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceStatistics:
    """The rows of a split in which a column has a certain value."""

    column: str
    value: str
    """As text: whole numbers in decimals, truth values as `true` and `false`."""
    statistics: SplitStatistics
    """Without slices of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """All splits, in order."""

    splits: Mapping[str, SplitStatistics]
    sample_rate: float = 1.0
    """Share of the rows that were looked at."""
    weight_column: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        given = {"sample_rate": self.sample_rate, "weight_column": self.weight_column}
        splits = {name: _split_to_json(split) for name, split in self.splits.items()}
        return {
            "format": FORMAT,
            **_told(given, {"sample_rate": 1.0, "weight_column": None}),
            "splits": splits,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Statistics:
        """Inverse of `to_json`. KeyError or TypeError when `value` is something else."""
        return cls(
            splits={name: _split_from_json(split) for name, split in value["splits"].items()},
            sample_rate=value.get("sample_rate", 1.0),
            weight_column=value.get("weight_column"),
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
        if value["format"] not in READABLE:
            known = " or ".join(map(repr, READABLE))
            hint = "a newer tidemill wrote it: upgrade, or compute the statistics again"
            raise DataError(f"format is {value['format']!r}, expected {known}", where=str(path), hint=hint)
        return Statistics.from_json(value)
    except FileNotFoundError:
        raise DataError("there are no statistics here", where=str(path)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"not readable as statistics: {error!r}", where=str(path)) from error


def _told(value: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from its default: ten thousand columns would repeat the rest ten thousand times."""
    return {k: v for k, v in value.items() if k not in defaults or v != defaults[k]}


def _fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass, the inner ones as such, without those that have their default."""
    fields = dataclasses.fields(value)
    defaults = {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}
    return _told({f.name: getattr(value, f.name) for f in fields}, defaults)


def _split_to_json(split: SplitStatistics) -> dict[str, Any]:
    value = _fields(split)
    value["columns"] = [_column_to_json(column) for column in split.columns]
    if split.slices:
        value["slices"] = [
            {"column": s.column, "value": s.value, "statistics": _split_to_json(s.statistics)}
            for s in split.slices
        ]
    return value


def _column_to_json(column: ColumnStatistics) -> dict[str, Any]:
    return {name: _plain(field) for name, field in _fields(column).items()}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {name: _plain(field) for name, field in _fields(value).items()}
    if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        return [_plain(item) for item in value]
    return value


def _split_from_json(value: Mapping[str, Any]) -> SplitStatistics:
    return SplitStatistics(
        num_rows=value["num_rows"],
        columns=tuple(map(_column_from_json, value["columns"])),
        weight=value.get("weight"),
        slices=tuple(
            SliceStatistics(
                column=s["column"], value=s["value"], statistics=_split_from_json(s["statistics"])
            )
            for s in value.get("slices", ())
        ),
        slices_left_out=_pairs(value.get("slices_left_out", ())),
    )


_SUMMARIES: dict[str, type[Any]] = {
    "numeric": NumericSummary,
    "string": StringSummary,
    "boolean": BooleanSummary,
    "timestamp": TimestampSummary,
    "bytes": BytesSummary,
    "weighted": WeightedSummary,
}


def _column_from_json(value: Mapping[str, Any]) -> ColumnStatistics:
    fields = dict(value)
    for name, summary in _SUMMARIES.items():
        if name in fields:
            fields[name] = _summary_from_json(summary, fields[name])
    fields["valency"] = tuple(Valency(**item) for item in value.get("valency", ()))
    fields["types"] = _pairs(value.get("types", ()))
    return ColumnStatistics(**fields)


def _summary_from_json(summary: type[Summary], value: Mapping[str, Any]) -> Summary:
    fields = dict(value)
    if "frequencies" in fields:
        fields["frequencies"] = _pairs(fields["frequencies"])
    if "quantiles" in fields:
        fields["quantiles"] = tuple(fields["quantiles"])
    bins = fields.get("histogram")
    if isinstance(bins, Mapping):
        fields["histogram"] = Histogram(edges=tuple(bins["edges"]), counts=tuple(bins["counts"]))
    elif bins is not None:
        fields["histogram"] = _pairs(bins)
    return summary(**fields)


def _pairs(values: Any) -> tuple[Any, ...]:
    return tuple(map(tuple, values))


def _tenths(quantiles: tuple[Number, ...], histogram: Histogram | None) -> Histogram | None:
    if not quantiles or histogram is None:
        return None
    count = sum(histogram.counts)
    ends = [round(count * at / DECILES) for at in range(DECILES + 1)]
    return Histogram(
        edges=quantiles[:: len(quantiles) // DECILES],
        counts=tuple(after - before for before, after in itertools.pairwise(ends)),
    )
