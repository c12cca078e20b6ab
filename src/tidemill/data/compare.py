"""Holding statistics against other statistics: drift from a baseline, skew from serving, numbers of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from tidemill.data.anomalies import Measure
from tidemill.data.check import Check
from tidemill.data.distance import DISTANCES
from tidemill.data.false_alarm import threshold as threshold_of_rate
from tidemill.data.schema import CHECKED_STAGES, MEASURES, Comparator, FalseAlarm, Threshold
from tidemill.data.seen import finite, value_total
from tidemill.data.statistics import ColumnStatistics, SplitStatistics, Statistics
from tidemill.data.validate_column import fits

Against = Literal["baseline", "serving"]

_ANOMALIES: Mapping[str, tuple[str, str]] = {
    "linf": ("COMPARATOR_L_INFTY_HIGH", "L-infinity distance"),
    "jsd": ("COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH", "Jensen-Shannon divergence"),
    "psi": ("COMPARATOR_POPULATION_STABILITY_INDEX_HIGH", "population stability index"),
    "ks": ("COMPARATOR_KOLMOGOROV_SMIRNOV_HIGH", "Kolmogorov-Smirnov distance"),
    "wasserstein": ("COMPARATOR_WASSERSTEIN_HIGH", "Wasserstein distance in interquartile ranges"),
    "chi2": ("COMPARATOR_CHI_SQUARED_HIGH", "root of chi-squared over the rows"),
    "nad": ("COMPARATOR_NORMALIZED_ABSOLUTE_DIFFERENCE_HIGH", "normalized absolute difference"),
    "missing": ("COMPARATOR_MISSING_RATE_CHANGE_HIGH", "change of the share of missing values"),
}
_LISTED = ("string", "bool")
_NUMERIC = ("int", "float")
_USUAL = {"listed": ("linf", "jsd", "psi", "chi2"), "numbers": ("jsd", "psi", "ks", "wasserstein", "chi2")}


def compare_rows(check: Check, statistics: Statistics, baseline: Statistics, splits: Sequence[str]) -> None:
    """Number of rows against that of the same splits of the baseline."""
    bounds = check.schema.dataset
    rows = sum(statistics.split(name).num_rows for name in splits)
    before = sum(baseline.splits[name].num_rows for name in splits if name in baseline.splits)
    if not before:
        if bounds.min_examples_ratio is not None or bounds.max_examples_ratio is not None:
            long = "the baseline has no rows, so the number of rows cannot be compared"
            check.found("COMPARATOR_CONTROL_DATA_MISSING", "", "nothing to compare with", long)
        return
    ratio = rows / before
    least, most = bounds.min_examples_ratio, bounds.max_examples_ratio
    check.measures.append(
        Measure(split="", column="", measure="examples_ratio", value=ratio, threshold=least or most)
    )
    shown = f"{rows} rows, the baseline has {before}: {ratio:.4g} times as many"
    if least is not None and ratio < least:
        long = f"{shown}, at least {least} expected"
        check.found("COMPARATOR_LOW_NUM_EXAMPLES", "", "far fewer rows", long)
    if most is not None and ratio > most:
        long = f"{shown}, at most {most} expected"
        check.found("COMPARATOR_HIGH_NUM_EXAMPLES", "", "far more rows", long)


def compare_serving(check: Check, split: SplitStatistics, serving: SplitStatistics) -> None:
    """Columns that only one of training and serving has, or has as another type."""
    trained = {column.name: column for column in split.columns}
    served = {column.name: column for column in serving.columns}
    for name, expected in check.schema.columns.items():
        if expected.stage not in CHECKED_STAGES:
            continue
        here, there = trained.get(name), served.get(name)
        if (here is None) != (there is None):
            if expected.not_in_environment or expected.in_environment or not expected.required:
                continue
            has, lacks = ("training", "serving") if there is None else ("serving", "training")
            long = f"the {has} data has the column, the {lacks} data has not"
            check.found("SCHEMA_TRAINING_SERVING_SKEW", name, "column on one side only", long)
        elif here and there and here.count and there.count and not _alike(here, there):
            long = f"the column is {here.type} in training and {there.type} in serving"
            check.found("SCHEMA_TRAINING_SERVING_SKEW", name, "different types", long)


def compare_columns(
    check: Check, split: SplitStatistics, other: SplitStatistics | None, against: Against
) -> None:
    """Distances of every column that is checked; those above their threshold are anomalies."""
    known = {column.name: column for column in split.columns}
    others = {} if other is None else {column.name: column for column in other.columns}
    for name, expected in check.schema.columns.items():
        if expected.stage not in CHECKED_STAGES:
            continue
        comparator = expected.drift if against == "baseline" else expected.skew
        bounds = _bounds(comparator)
        now, before = known.get(name), others.get(name)
        if now is not None and now.count and not fits(now, expected.type):
            continue  # reported as UNEXPECTED_DATA_TYPE
        _compare_missing(check, now, before, bounds, against)
        if why := _cannot_compare(now, before, against):
            if bounds.keys() - {"missing"} or (bounds and (now is None or before is None)):
                side = "TREATMENT" if now is None or not value_total(now) else "CONTROL"
                check.found(f"COMPARATOR_{side}_DATA_MISSING", name, "cannot be compared", why)
            continue
        assert now is not None
        assert before is not None
        usual = _USUAL["listed" if _is_listed(now) else "numbers"]
        for measure in sorted({*usual, *bounds} - {"missing"}):
            _judge(check, measure, now, before, bounds.get(measure), against)


def _bounds(comparator: Comparator | None) -> dict[str, Threshold]:
    if comparator is None:
        return {}
    found = {measure: getattr(comparator, measure) for measure in MEASURES}
    return {measure: bound for measure, bound in found.items() if bound is not None}


def _is_listed(column: ColumnStatistics) -> bool:
    return column.type in _LISTED


def _compare_missing(
    check: Check,
    now: ColumnStatistics | None,
    before: ColumnStatistics | None,
    bounds: Mapping[str, Threshold],
    against: Against,
) -> None:
    if now is None or before is None or not now.count + now.missing or not before.count + before.missing:
        return
    if now.missing or before.missing or "missing" in bounds:
        _judge(check, "missing", now, before, bounds.get("missing"), against)


def _judge(
    check: Check,
    measure: str,
    now: ColumnStatistics,
    before: ColumnStatistics,
    bound: Threshold | None,
    against: Against,
) -> None:
    value = finite(DISTANCES[measure](now, before))
    rate = bound.rate if isinstance(bound, FalseAlarm) else None
    most = threshold_of_rate(measure, rate, now, before) if rate is not None else None
    if isinstance(bound, (int, float)):
        most = bound
    check.measures.append(
        Measure(
            split=check.split, column=now.name, measure=measure, value=value, threshold=most,
            against=against, false_alarm=rate,
        )
    )  # fmt: skip
    if most is not None and value > most:
        anomaly, words = _ANOMALIES[measure]
        other = "the baseline" if against == "baseline" else "the serving data"
        allowed = f", which {share_of(rate)} of unchanged data would exceed" if rate is not None else ""
        long = f"{words} from {other} is {value:.6g}, at most {most:.6g} expected{allowed}"
        short = "column has drifted" if against == "baseline" else "training and serving differ"
        check.found(anomaly, now.name, short, long)


def share_of(rate: float) -> str:
    """A rate in words: 0.001 is `1 in 1000`."""
    return f"1 in {1 / rate:.4g}"


def _alike(now: ColumnStatistics, before: ColumnStatistics) -> bool:
    return now.type == before.type or (now.type in _NUMERIC and before.type in _NUMERIC)


def _cannot_compare(now: ColumnStatistics | None, before: ColumnStatistics | None, against: Against) -> str:
    """Why two columns have no distance; empty when they have one."""
    what = "drift" if against == "baseline" else "skew"
    other = "the baseline has" if against == "baseline" else "the serving data has"
    if now is None or not value_total(now):
        return f"the column has no values, so its {what} cannot be measured"
    if before is None or not value_total(before):
        return f"{other} no values of the column, so its {what} cannot be measured"
    if _alike(now, before) and now.type in (*_NUMERIC, *_LISTED):
        return ""
    if now.type == before.type:
        return f"there is no distance between columns of type {now.type}"
    return f"the column is {now.type}, {other} it as {before.type}: there is no distance between them"
