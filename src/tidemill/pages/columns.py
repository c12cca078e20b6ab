"""What a page needs to know of statistics, read from the JSON that StatisticsGen writes.

A reader of its own, and a lenient one: it takes the fields it draws and leaves out what it does not find,
so that pages of old artifacts, and of later ones with more in them, can be made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.errors import DataError
from tidemill.pages.text import finite

FORMAT = "tidemill.statistics/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The finite numbers of a column, and how many are odd."""

    mean: float | None
    std: float | None
    least: Any
    most: Any
    zeros: int
    nan: int
    infinite: int
    percentiles: tuple[float, ...]
    """Evenly spaced quantiles from the least to the most; empty without finite values."""
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """The values of a column that is no number."""

    listed: tuple[tuple[str, int], ...]
    """Value and rows, the most frequent first."""
    distinct: int
    exact: bool
    complete: bool
    """Whether every value is listed."""
    average_length: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of one set."""

    name: str
    kind: str
    count: int
    missing: int
    numbers: Numbers | None = None
    values: Values | None = None
    first: str = ""
    last: str = ""
    """First and last moment of a column of timestamps."""
    moments: Numbers | None = None
    """The moments themselves, in microseconds since 1970; their percentiles and histogram only."""
    lists: str = ""
    """How many values a row's list has, such as `1 to 5`; empty where rows have single values."""
    kinds: tuple[str, ...] = ()
    """The types that files disagree about."""

    @property
    def rows(self) -> int:
        """With a value and without."""
        return self.count + self.missing

    @property
    def missing_share(self) -> float | None:
        """Share of rows without a value; None without rows."""
        return self.missing / self.rows if self.rows else None

    @property
    def zero_share(self) -> float | None:
        """Share of values that are 0; None where there are no numbers."""
        return self.numbers.zeros / self.count if self.numbers and self.count else None

    @property
    def distinct(self) -> int | None:
        """Number of different values, where it is known."""
        return self.values.distinct if self.values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """All columns of one split, in the order of the data."""

    rows: int
    columns: Mapping[str, Column]


def read_splits(document: Any) -> dict[str, Split]:
    """The splits of `statistics.json`. DataError when it is something else."""
    try:
        form = document["format"]
        if not isinstance(form, str) or not form.startswith(FORMAT):
            raise DataError(f"format is {form!r}, expected {FORMAT}...")
        return {name: _split(split) for name, split in document["splits"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"not readable as statistics: {type(error).__name__}: {error}") from error


def _split(value: Mapping[str, Any]) -> Split:
    columns = [_column(column) for column in value["columns"]]
    return Split(rows=int(value["num_rows"]), columns={column.name: column for column in columns})


def _column(value: Mapping[str, Any]) -> Column:
    moments = value.get("timestamp") or {}
    numeric = value.get("numeric")
    return Column(
        name=str(value["name"]),
        kind=str(value["type"]),
        count=int(value["count"]),
        missing=int(value["missing"]),
        numbers=_numbers(numeric) if numeric else None,
        values=_values(value),
        first=str(moments.get("min") or ""),
        last=str(moments.get("max") or ""),
        moments=_numbers(moments) if moments.get("quantiles") else None,
        lists=_lists(value.get("valency") or ()),
        kinds=tuple(str(kind) for kind, _ in value.get("types") or ()),
    )


def _lists(valency: Sequence[Mapping[str, Any]]) -> str:
    if not valency:
        return ""
    least, most = valency[0].get("min"), valency[0].get("max")
    if least is None or most is None:
        return "none"
    return f"{int(least)}" if least == most else f"{int(least)} to {int(most)}"


def _numbers(value: Mapping[str, Any]) -> Numbers:
    histogram = value.get("histogram") or {}
    edges = _floats(histogram.get("edges") or ())
    counts = tuple(max(0, int(n)) for n in histogram.get("counts") or ())
    return Numbers(
        mean=finite(value.get("mean")),
        std=finite(value.get("std")),
        least=value.get("min"),
        most=value.get("max"),
        zeros=int(value.get("zeros") or 0),
        nan=int(value.get("nan") or 0),
        infinite=int(value.get("infinite") or 0),
        percentiles=_floats(value.get("quantiles") or ()),
        edges=edges if len(edges) == len(counts) + 1 else (),
        counts=counts,
    )


def _floats(numbers: Sequence[Any]) -> tuple[float, ...]:
    """Numbers in order; those that no float can be are left out."""
    return tuple(sorted(n for n in map(finite, numbers) if n is not None))


def _values(value: Mapping[str, Any]) -> Values | None:
    if boolean := value.get("boolean"):
        both = [("true", int(boolean["true"])), ("false", int(boolean["false"]))]
        listed = tuple(sorted(((v, n) for v, n in both if n), key=lambda item: -item[1]))
        return Values(listed=listed, distinct=len(listed), exact=True, complete=True)
    texts = value.get("string")
    if not texts:
        return None
    listed = tuple((str(v), int(n)) for v, n in texts.get("frequencies") or ())
    distinct, exact = int(texts.get("distinct") or 0), bool(texts.get("exact", True))
    return Values(
        listed=listed,
        distinct=distinct,
        exact=exact,
        complete=exact and len(listed) == distinct,
        average_length=finite(texts.get("avg_length")),
    )
