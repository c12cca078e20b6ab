"""Changes to a schema that would make it fit data it does not fit, each with its reason.

The smallest change for each anomaly, never made by itself: it becomes a proposal that somebody accepts or
not (`schema_review`). What is no matter of the schema, such as a span without data, has no proposal. TFDV's
counterparts are `update_schema` and the schema diff of its anomalies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.data.anomalies import Anomalies, Anomaly
from tidemill.data.infer import infer_schema
from tidemill.data.schema import Schema
from tidemill.data.schema_fields import moment
from tidemill.data.schema_file import plain_fields
from tidemill.data.statistics import ColumnStatistics, Statistics
from tidemill.data.validate_column import distinct_values


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One field of the schema as it might be."""

    column: str
    """Empty for the rows as a whole."""
    field: str
    """Such as `max` or `drift.jsd`; empty for the whole column."""
    before: Any
    after: Any
    """Plain values; None for a field that is taken away."""
    because: str


def propose(
    schema: Schema, statistics: Statistics, anomalies: Anomalies, *, max_domain: int = 100
) -> list[Proposal]:
    """What to change for each anomaly of `statistics`, one proposal per field, in order of columns.

    A domain that would get more than `max_domain` values is taken away instead.
    """
    found: dict[tuple[str, str], Proposal] = {}
    for anomaly in anomalies.anomalies:
        for field, after in _after(schema, statistics, anomaly, found, max_domain):
            before = _before(schema, anomaly.column, field)
            if after == before:
                continue
            place = f"{anomaly.name} in {anomaly.split}" if anomaly.split else anomaly.name
            earlier = found.get((anomaly.column, field))
            because = f"{place}: {anomaly.long}"
            found[anomaly.column, field] = Proposal(
                column=anomaly.column, field=field, before=before, after=after,
                because=because if earlier is None else f"{earlier.because}; {because}",
            )  # fmt: skip
    whole = {column for column, field in found if not field}
    kept = [p for (column, field), p in found.items() if not field or column not in whole]
    return sorted(kept, key=lambda p: p.column)


def _before(schema: Schema, column: str, field: str) -> Any:
    if not column:
        return plain_fields(schema.dataset, always=()).get(field)
    if column not in schema.columns:
        return None
    fields: Any = plain_fields(schema.columns[column])
    for part in field.split(".") if field else ():
        fields = (fields or {}).get(part)
    return fields


def _after(
    schema: Schema,
    statistics: Statistics,
    anomaly: Anomaly,
    found: dict[tuple[str, str], Proposal],
    max_domain: int,
) -> list[tuple[str, Any]]:
    """(field, value) that would have prevented an anomaly, over what was proposed before it."""
    if not anomaly.column:
        return _rows(statistics, anomaly)
    splits = [statistics.split(anomaly.split)] if anomaly.split else list(statistics.splits.values())
    column = next((c for split in splits if (c := split.column(anomaly.column)) is not None), None)
    if anomaly.name == "SCHEMA_MISSING_COLUMN":
        return [("required", False)]
    if column is None:
        return []
    if anomaly.name == "SCHEMA_NEW_COLUMN" and anomaly.column in schema.columns:
        return []  # which environments a column belongs to is for people to say
    if anomaly.name in ("SCHEMA_NEW_COLUMN", "UNEXPECTED_DATA_TYPE"):
        everywhere = [s for s in statistics.splits.values() if s.column(anomaly.column) is not None]
        inferred = infer_schema(everywhere, max_domain=max_domain).columns[anomaly.column]
        return [("", plain_fields(inferred))]

    def so_far(field: str) -> Any:
        earlier = found.get((anomaly.column, field))
        return _before(schema, anomaly.column, field) if earlier is None else earlier.after

    if anomaly.name == "ENUM_TYPE_UNEXPECTED_STRING_VALUES":
        return [("domain", _wider(so_far("domain"), column, max_domain))]
    if anomaly.name in _FIELDS:
        return _FIELDS[anomaly.name](column, so_far)
    return []


def _rows(statistics: Statistics, anomaly: Anomaly) -> list[tuple[str, Any]]:
    rows = sum(split.num_rows for split in statistics.splits.values())
    known: dict[str, tuple[str, Any]] = {
        "DATASET_LOW_NUM_EXAMPLES": ("min_examples", 0 if anomaly.split else rows),
        "DATASET_HIGH_NUM_EXAMPLES": ("max_examples", rows),
        "COMPARATOR_LOW_NUM_EXAMPLES": ("min_examples_ratio", None),
        "COMPARATOR_HIGH_NUM_EXAMPLES": ("max_examples_ratio", None),
    }
    return [known[anomaly.name]] if anomaly.name in known else []


def _wider(domain: Any, column: ColumnStatistics, max_domain: int) -> list[str] | None:
    assert column.string is not None
    values = sorted({*(domain or ()), *(value for value, _ in column.string.frequencies)})
    return values if column.string.complete and len(values) <= max_domain else None


Field = Callable[[ColumnStatistics, Callable[[str], Any]], list[tuple[str, Any]]]


def _least(field: str, value: Callable[[ColumnStatistics], Any]) -> Field:
    """The smaller of what was said so far and what was seen."""

    def after(column: ColumnStatistics, so_far: Callable[[str], Any]) -> list[tuple[str, Any]]:
        return [(field, _end(so_far(field), value(column), largest=False))]

    return after


def _most(field: str, value: Callable[[ColumnStatistics], Any]) -> Field:
    """The larger of what was said so far and what was seen."""

    def after(column: ColumnStatistics, so_far: Callable[[str], Any]) -> list[tuple[str, Any]]:
        return [(field, _end(so_far(field), value(column), largest=True))]

    return after


def _end(said: Any, seen: Any, *, largest: bool) -> Any:
    if seen is None or said is None:
        return None
    if isinstance(said, str):
        a, b = moment(said), moment(seen)
        if a is None or b is None:
            return None
        return seen if (b > a) == largest else said
    return max(said, seen) if largest else min(said, seen)


def _becomes(**fields: Any) -> Field:
    """Fields that get a value whatever was seen."""
    return lambda column, so_far: list(fields.items())  # noqa: ARG005 - the form that all have


def _fraction(column: ColumnStatistics) -> float:
    """Share of rows with a value, rounded down so that the same data fits."""
    return math.floor(column.fraction_present * 10_000) / 10_000


def _numbers(column: ColumnStatistics, end: str) -> Any:
    return None if column.numeric is None else getattr(column.numeric, end)


def _moments(column: ColumnStatistics, end: str) -> Any:
    return None if column.timestamp is None else getattr(column.timestamp, end)


_FIELDS: dict[str, Field] = {
    "FEATURE_TYPE_NOT_PRESENT": _becomes(min_fraction=None, min_count=None),
    "FEATURE_TYPE_LOW_FRACTION_PRESENT": _least("min_fraction", _fraction),
    "FEATURE_TYPE_LOW_NUMBER_PRESENT": _least("min_count", lambda c: c.count),
    "FEATURE_TYPE_UNEXPECTED_REPEATED": lambda c, _: [("nesting", len(c.valency))],
    "VALUE_NESTEDNESS_MISMATCH": lambda c, _: [
        ("nesting", len(c.valency) or None),
        ("min_values", None),
        ("max_values", None),
        ("shape", None),
    ],
    "FEATURE_TYPE_NO_VALUES": _becomes(min_values=None),
    "FEATURE_TYPE_LOW_NUMBER_VALUES": _least("min_values", lambda c: c.valency[0].min),
    "FEATURE_TYPE_HIGH_NUMBER_VALUES": _most("max_values", lambda c: c.valency[0].max),
    "INVALID_FEATURE_SHAPE": _becomes(shape=None),
    "FEATURE_TYPE_LOW_UNIQUE": _least("min_unique", distinct_values),
    "FEATURE_TYPE_HIGH_UNIQUE": _most("max_unique", distinct_values),
    "FEATURE_TYPE_NO_UNIQUE": _becomes(min_unique=None, max_unique=None),
    "BOOL_TYPE_SMALL_INT": _becomes(bool_domain=None),
    "BOOL_TYPE_BIG_INT": _becomes(bool_domain=None),
    "BOOL_TYPE_UNEXPECTED_FLOAT": _becomes(bool_domain=None),
    "BOOL_TYPE_UNEXPECTED_STRING": _becomes(bool_domain=None),
    "INT_TYPE_NOT_INT_STRING": _becomes(text_of=None),
    "FLOAT_TYPE_STRING_NOT_FLOAT": _becomes(text_of=None),
    "INT_TYPE_SMALL_INT": _least("min", lambda c: _numbers(c, "min")),
    "INT_TYPE_BIG_INT": _most("max", lambda c: _numbers(c, "max")),
    "FLOAT_TYPE_SMALL_FLOAT": _least("min", lambda c: _numbers(c, "min")),
    "FLOAT_TYPE_BIG_FLOAT": _most("max", lambda c: _numbers(c, "max")),
    "TIMESTAMP_TYPE_SMALL_TIMESTAMP": _least("min", lambda c: _moments(c, "min")),
    "TIMESTAMP_TYPE_BIG_TIMESTAMP": _most("max", lambda c: _moments(c, "max")),
    "FLOAT_TYPE_HAS_NAN": _becomes(allow_nan=True),
    "FLOAT_TYPE_HAS_INF": _becomes(allow_infinite=True),
}


def propose_thresholds(
    schema: Schema, anomalies: Anomalies, splits: Sequence[str] | None = None
) -> list[Proposal]:
    """For each distance above its threshold the threshold that would have let it pass, rounded up.

    A threshold that was a false-alarm rate becomes a distance: somebody decides that this much may differ.
    """
    worst: dict[tuple[str, str], tuple[float, str]] = {}
    for m in anomalies.measures:
        if not m.column or m.threshold is None or m.value <= m.threshold:
            continue
        if splits is not None and m.split not in splits:
            continue
        field = f"{'drift' if m.against == 'baseline' else 'skew'}.{m.measure}"
        because = f"{m.measure} in {m.split} is {m.value:.6g}, at most {m.threshold:.6g} expected"
        if (m.column, field) not in worst or worst[m.column, field][0] < m.value:
            worst[m.column, field] = m.value, because
    return [
        Proposal(
            column=column, field=field, before=_before(schema, column, field),
            after=_rounded_up(value), because=because,
        )
        for (column, field), (value, because) in sorted(worst.items())
    ]  # fmt: skip


def _rounded_up(value: float) -> float:
    """Two digits, not less."""
    if not value:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit) * unit:.3g}")
