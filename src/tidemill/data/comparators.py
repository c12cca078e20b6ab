"""A schema that only compares: what DistributionValidator holds two statistics against each other with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidemill.data.schema import MEASURES, ColumnSchema, Comparator, FalseAlarm, Schema, Stage, Threshold
from tidemill.data.schema_fields import CHECKS
from tidemill.data.statistics import ColumnStatistics, Statistics
from tidemill.errors import DataError, did_you_mean

EVERY = "*"
_TYPES = ("int", "float", "string", "bool", "timestamp")


def comparing_schema(
    statistics: Statistics,
    baseline: Statistics,
    splits: Sequence[str],
    comparators: Mapping[str, Mapping[str, float]],
    exclude: Sequence[str] = (),
    false_alarm: float | None = None,
) -> Schema:
    """Every column of either side, with the comparators it gets; nothing else is asked of them.

    DataError for a column, measure or bound that there is not.
    """
    columns: dict[str, ColumnStatistics] = {}
    for side in (baseline, statistics):
        for name in splits:
            if name in side.splits:
                columns |= {c.name: c for c in side.splits[name].columns if c.count or c.name not in columns}
    for name in (*comparators, *exclude):
        if name != EVERY and name not in columns:
            raise DataError(f"there is no column {name!r}", hint=did_you_mean(name, columns))
    for name, bounds in comparators.items():
        _check(name, bounds)
    if false_alarm is not None and not CHECKS["false_alarm"][0](false_alarm):
        raise DataError(f"false_alarm is {false_alarm!r}, expected {CHECKS['false_alarm'][1]}")
    return Schema(
        columns={
            name: _column(name, column, comparators, name in exclude, false_alarm)
            for name, column in sorted(columns.items())
        }
    )


def _check(name: str, bounds: Mapping[str, float]) -> None:
    for measure, bound in bounds.items():
        where = f"comparators[{name!r}]"
        if measure not in MEASURES:
            raise DataError(f"{where}: there is no measure {measure!r}", hint=did_you_mean(measure, MEASURES))
        check, expected = CHECKS[measure]
        if not check(bound):
            raise DataError(f"{where}: {measure} is {bound!r}, expected {expected}")


def _column(
    name: str,
    column: ColumnStatistics,
    comparators: Mapping[str, Mapping[str, float]],
    excluded: bool,
    false_alarm: float | None,
) -> ColumnSchema:
    kind = column.type if column.type in _TYPES else "any"
    if kind in ("int", "float"):
        kind = "float"  # a whole number may become one with a fraction: that is a distance, not another type
    stage: Stage = "disabled" if excluded else "production"
    suits = ColumnSchema(type=kind).measures
    bounds: dict[str, Threshold] = {}
    for measure, bound in comparators.get(name, comparators.get(EVERY, {})).items():
        if measure not in suits:
            if name in comparators:
                what = f"comparators[{name!r}]: {measure} is not for {kind} columns"
                raise DataError(what, hint=f"use {' or '.join(suits)}")
            continue
        rate = false_alarm if measure != "nad" else None
        bounds[measure] = bound if rate is None else FalseAlarm(rate=rate)
    return ColumnSchema(
        type=kind, stage=stage, nesting=len(column.valency), allow_nan=kind == "float",
        allow_infinite=kind == "float", drift=Comparator(**bounds) if bounds else None,
    )  # fmt: skip
