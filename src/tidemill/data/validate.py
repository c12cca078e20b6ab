"""Holding statistics against a schema, and against the statistics of earlier data.

Pure: statistics and a schema go in, anomalies come out. Whether an anomaly stops anything is not
decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tidemill.data.anomalies import ANOMALIES, Anomalies, Anomaly, Measure
from tidemill.data.distance import jensen_shannon, l_infinity
from tidemill.data.schema import ColumnSchema, Schema
from tidemill.data.statistics import ColumnStatistics, NumericSummary, SplitStatistics, Statistics
from tidemill.errors import did_you_mean

_NUMERIC = ("int", "float")
_LISTED = ("string", "bool")
Distance = Callable[[ColumnStatistics, ColumnStatistics], float]
_DISTANCES: Mapping[str, tuple[Distance, str, str]] = {
    "linf": (l_infinity, "COMPARATOR_L_INFTY_HIGH", "L-infinity distance"),
    "jsd": (jensen_shannon, "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH", "Jensen-Shannon divergence"),
}


def validate_statistics(
    statistics: Statistics,
    schema: Schema,
    *,
    splits: Sequence[str],
    baseline: Statistics | None = None,
    min_examples: int | None = None,
) -> Anomalies:
    """Every anomaly of the given splits, and every distance from `baseline` that could be measured.

    `min_examples` takes the place of the schema's. Distances without a threshold are measured too: the
    larger of them are where thresholds are worth setting.
    """
    check = _Check(schema)
    check.dataset({name: statistics.split(name) for name in splits}, min_examples)
    for name in splits:
        check.split = name
        _check_columns(check, statistics.split(name))
    if baseline is not None:
        check.split = ""
        _compare_rows(check, statistics, baseline, splits)
        for name in splits:
            check.split = name
            _compare_columns(check, statistics.split(name), baseline.splits.get(name))
    return Anomalies(anomalies=tuple(check.anomalies), measures=tuple(check.measures))


class _Check:
    """Collects anomalies and measures of one validation."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.split = ""
        self.anomalies: list[Anomaly] = []
        self.measures: list[Measure] = []

    def found(self, name: str, column: str, short: str, long: str) -> None:
        severity = self.schema.severity.get(name, ANOMALIES[name])
        self.anomalies.append(
            Anomaly(name=name, severity=severity, split=self.split, column=column, short=short, long=long)
        )

    def dataset(self, splits: Mapping[str, SplitStatistics], min_examples: int | None) -> None:
        bounds = self.schema.dataset
        least = bounds.min_examples if min_examples is None else min_examples
        rows = sum(split.num_rows for split in splits.values())
        if rows < least:
            long = f"{rows} rows in {', '.join(splits)}, at least {least} expected"
            self.found("DATASET_LOW_NUM_EXAMPLES", "", "too few rows", long)
        elif least > 0:
            for self.split, split in splits.items():
                if not split.num_rows:
                    self.found("DATASET_LOW_NUM_EXAMPLES", "", "no rows", "the split has no rows")
            self.split = ""
        if bounds.max_examples is not None and rows > bounds.max_examples:
            long = f"{rows} rows in {', '.join(splits)}, at most {bounds.max_examples} expected"
            self.found("DATASET_HIGH_NUM_EXAMPLES", "", "too many rows", long)


# -- against the schema


def _check_columns(check: _Check, split: SplitStatistics) -> None:
    present = [column.name for column in split.columns]
    for name, expected in check.schema.columns.items():
        column = split.column(name)
        if column is not None:
            _check_column(check, column, expected)
        elif expected.required:
            hint = did_you_mean(name, [n for n in present if n not in check.schema.columns])
            near = f"; {hint}" if hint.startswith("did you mean") else ""
            check.found("SCHEMA_MISSING_COLUMN", name, "column is missing", f"the schema requires it{near}")
    for column in split.columns:
        if column.name not in check.schema.columns:
            long = f"the schema has no such column; its type is {column.type}"
            check.found("SCHEMA_NEW_COLUMN", column.name, "column is new", long)


def _check_column(check: _Check, column: ColumnStatistics, expected: ColumnSchema) -> None:
    rows = column.count + column.missing
    if rows and column.fraction_present < expected.min_fraction:
        long = (
            f"{column.count} of {rows} rows have a value ({_share(column.fraction_present)}), "
            f"at least {_share(expected.min_fraction)} expected"
        )
        check.found("FEATURE_TYPE_LOW_FRACTION_PRESENT", column.name, "values are missing", long)
    if not column.count:
        return
    if not _fits(column.type, expected.type):
        long = f"the column is {column.type}, the schema says {expected.type}"
        check.found("UNEXPECTED_DATA_TYPE", column.name, "type differs", long)
        return
    if column.numeric is not None:
        _check_numbers(check, column, column.numeric, expected)
    if column.string is not None and expected.domain is not None:
        _check_domain(check, column, expected, expected.domain)


def _fits(found: str, declared: str) -> bool:
    return declared == "any" or found in (declared, "empty") or (found == "int" and declared == "float")


def _check_numbers(
    check: _Check, column: ColumnStatistics, numbers: NumericSummary, expected: ColumnSchema
) -> None:
    kind = expected.type.upper()
    if expected.type == "any":
        return
    if expected.min is not None and numbers.min is not None and numbers.min < expected.min:
        long = f"the smallest value is {numbers.min}, at least {expected.min} expected"
        check.found(f"{kind}_TYPE_SMALL_{kind}", column.name, "value too small", long)
    if expected.max is not None and numbers.max is not None and numbers.max > expected.max:
        long = f"the largest value is {numbers.max}, at most {expected.max} expected"
        check.found(f"{kind}_TYPE_BIG_{kind}", column.name, "value too large", long)
    if numbers.nan and not expected.allow_nan:
        long = f"{numbers.nan} of {column.count} values are NaN"
        check.found("FLOAT_TYPE_HAS_NAN", column.name, "values are NaN", long)
    if numbers.infinite and not expected.allow_infinite:
        long = f"{numbers.infinite} of {column.count} values are infinite"
        check.found("FLOAT_TYPE_HAS_INF", column.name, "values are infinite", long)


def _check_domain(
    check: _Check, column: ColumnStatistics, expected: ColumnSchema, domain: tuple[str, ...]
) -> None:
    assert column.string is not None
    allowed = set(domain)
    inside = sum(rows for value, rows in column.string.frequencies if value in allowed)
    if inside >= column.count * expected.min_domain_mass:
        return
    outside = [(value, rows) for value, rows in column.string.frequencies if value not in allowed]
    shown = ", ".join(f"{_quoted(value)} ({rows})" for value, rows in outside[:5])
    more = ", ..." if len(outside) > 5 or not column.string.complete else ""
    odd = column.count - inside
    long = (
        f"{odd} of {column.count} values ({_share(odd / column.count)}) are not among the {len(domain)} "
        f"of the domain, {_share(1 - expected.min_domain_mass)} tolerated: {shown}{more}"
    )
    check.found("ENUM_TYPE_UNEXPECTED_STRING_VALUES", column.name, "values outside the domain", long)


# -- against the baseline


def _compare_rows(check: _Check, statistics: Statistics, baseline: Statistics, splits: Sequence[str]) -> None:
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


def _compare_columns(check: _Check, split: SplitStatistics, baseline: SplitStatistics | None) -> None:
    for name, expected in check.schema.columns.items():
        thresholds = {
            measure: threshold
            for measure in _DISTANCES
            if expected.drift is not None and (threshold := getattr(expected.drift, measure)) is not None
        }
        now = split.column(name)
        before = baseline.column(name) if baseline is not None else None
        if now is not None and now.count and not _fits(now.type, expected.type):
            continue  # reported as UNEXPECTED_DATA_TYPE
        if (why := _cannot_compare(now, before)) or now is None or before is None:
            if thresholds:
                side = "TREATMENT" if now is None or not now.count else "CONTROL"
                check.found(f"COMPARATOR_{side}_DATA_MISSING", name, "cannot be compared", why)
            continue
        usual = "linf" if now.type in _LISTED else "jsd"
        for measure in sorted({usual, *thresholds}):
            _compare(check, measure, now, before, thresholds.get(measure))


def _compare(
    check: _Check, measure: str, now: ColumnStatistics, before: ColumnStatistics, threshold: float | None
) -> None:
    distance, anomaly, words = _DISTANCES[measure]
    value = distance(now, before)
    check.measures.append(
        Measure(split=check.split, column=now.name, measure=measure, value=value, threshold=threshold)
    )
    if threshold is not None and value > threshold:
        long = f"{words} from the baseline is {value:.6g}, at most {threshold:.6g} expected"
        check.found(anomaly, now.name, "column has drifted", long)


def _cannot_compare(now: ColumnStatistics | None, before: ColumnStatistics | None) -> str:
    """Why two columns have no distance; empty when they have one."""
    if now is None or not now.count:
        return "the column has no values, so its drift cannot be measured"
    if before is None or not before.count:
        return "the baseline has no values of the column, so its drift cannot be measured"
    numbers = now.type in _NUMERIC and before.type in _NUMERIC
    if numbers or (now.type == before.type and now.type in _LISTED):
        return ""
    return (
        f"the column is {now.type}, the baseline has it as {before.type}: there is no distance between them"
    )


def _share(value: float) -> str:
    return f"{value * 100:.4g} %"


def _quoted(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:37] + "...")
