"""Holding statistics against a schema, and against statistics of earlier or of serving data.

Pure: statistics and a schema go in, anomalies come out. Whether an anomaly stops anything is not
decided here. Single columns are judged in `validate_column`, distances in `compare`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidemill.data.anomalies import Anomalies
from tidemill.data.check import Check
from tidemill.data.compare import compare_columns, compare_rows, compare_serving
from tidemill.data.rules import holds, sides_of
from tidemill.data.schema import CHECKED_STAGES, ColumnSchema, Schema
from tidemill.data.statistics import SplitStatistics, Statistics
from tidemill.data.validate_column import check_column
from tidemill.errors import DataError, did_you_mean


def validate_statistics(
    statistics: Statistics,
    schema: Schema,
    *,
    splits: Sequence[str],
    baseline: Statistics | None = None,
    serving: Statistics | None = None,
    environment: str | None = None,
    span: int | None = None,
    min_examples: int | None = None,
) -> Anomalies:
    """Every anomaly of the given splits, and every distance that could be measured.

    `baseline` is what drift is measured from, split by split; `serving` what skew is measured from, its only
    split or the one of the same name. In an `environment` columns that do not belong to it are not expected.
    With a `span`, no rows at all are NO_DATA_IN_SPAN. `min_examples` takes the place of the schema's.
    Distances without a threshold are measured too: the larger of them are where thresholds are worth setting.
    DataError for an environment that the schema does not name.
    """
    check = Check(schema, _known(environment, schema))
    _check_rows(check, {name: statistics.split(name) for name in splits}, min_examples, span)
    for name in splits:
        check.split = name
        _check_columns(check, statistics.split(name))
    if baseline is not None:
        check.split = ""
        compare_rows(check, statistics, baseline, splits)
        for name in splits:
            check.split = name
            compare_columns(check, statistics.split(name), baseline.splits.get(name), "baseline")
    for name in splits:
        check.split = name
        served = None if serving is None else _serving_split(serving, name)
        if served is not None:
            compare_serving(check, statistics.split(name), served)
            compare_columns(check, statistics.split(name), served, "serving")
        _check_rules(
            check,
            statistics.split(name),
            {"baseline": None if baseline is None else baseline.splits.get(name), "serving": served},
        )
    return Anomalies(anomalies=tuple(check.anomalies), measures=tuple(check.measures))


def _known(environment: str | None, schema: Schema) -> str | None:
    if environment is not None and environment not in schema.environments:
        raise DataError(
            f"the schema does not name the environment {environment!r}",
            hint=did_you_mean(environment, schema.environments)
            if schema.environments
            else "list it under `default_environments:`, and leave columns out with `not_in_environment:`",
        )
    return environment


def _serving_split(serving: Statistics, name: str) -> SplitStatistics:
    if len(serving.splits) == 1:
        return next(iter(serving.splits.values()))
    if name not in serving.splits:
        raise DataError(
            f"the serving statistics have {len(serving.splits)} splits and none called {name!r}",
            hint="make them of one split, or of splits with the same names",
        )
    return serving.splits[name]


def _check_rows(
    check: Check, splits: Mapping[str, SplitStatistics], min_examples: int | None, span: int | None
) -> None:
    bounds = check.schema.dataset
    least = bounds.min_examples if min_examples is None else min_examples
    rows = sum(split.num_rows for split in splits.values())
    if not rows and least and span is not None:
        long = f"span {span} has no rows in {', '.join(splits)}, at least {least} expected"
        check.found("NO_DATA_IN_SPAN", "", "no rows", long)
    elif rows < least:
        long = f"{rows} rows in {', '.join(splits)}, at least {least} expected"
        check.found("DATASET_LOW_NUM_EXAMPLES", "", "too few rows", long)
    elif least > 0:
        for check.split, split in splits.items():
            if not split.num_rows:
                check.found("DATASET_LOW_NUM_EXAMPLES", "", "no rows", "the split has no rows")
        check.split = ""
    if bounds.max_examples is not None and rows > bounds.max_examples:
        long = f"{rows} rows in {', '.join(splits)}, at most {bounds.max_examples} expected"
        check.found("DATASET_HIGH_NUM_EXAMPLES", "", "too many rows", long)


def _check_columns(check: Check, split: SplitStatistics) -> None:
    found = {column.name: column for column in split.columns}
    strange = [name for name in found if name not in check.schema.columns]
    for name, expected in check.schema.columns.items():
        if expected.stage not in CHECKED_STAGES:
            continue
        column = found.get(name)
        if column is None:
            if expected.required and check.expects(expected):
                _missing_column(check, name, strange)
            continue
        if column.count and not check.expects(expected):
            long = f"the schema has it, but not in the environment {check.environment!r}"
            check.found("SCHEMA_NEW_COLUMN", name, "column is new here", long)
        check_column(check, column, expected)
    for name in strange:
        long = f"the schema has no such column; its type is {found[name].type}"
        check.found("SCHEMA_NEW_COLUMN", name, "column is new", long)


def _missing_column(check: Check, name: str, strange: Sequence[str]) -> None:
    hint = did_you_mean(name, strange[:200])
    near = f"; {hint}" if hint.startswith("did you mean") else ""
    check.found("SCHEMA_MISSING_COLUMN", name, "column is missing", f"the schema requires it{near}")


def _check_rules(check: Check, split: SplitStatistics, sides: Mapping[str, SplitStatistics | None]) -> None:
    for name, rule in check.schema.rules.items():
        if rule.environments and check.environment not in rule.environments:
            continue
        expected: ColumnSchema | None = check.schema.columns.get(rule.column or "")
        if expected is not None and (expected.stage not in CHECKED_STAGES or not check.expects(expected)):
            continue
        if rule.column is not None and split.column(rule.column) is None:
            continue  # SCHEMA_MISSING_COLUMN, where it is required
        if any(sides[side] is None for side in sides_of(rule)):
            continue
        outcome = holds(rule, split, baseline=sides["baseline"], serving=sides["serving"])
        if not outcome.holds:
            said = f" ({rule.description})" if rule.description else ""
            long = f"the rule {name}{said} does not hold: {rule.expect}: {outcome.why}"
            check.found("CUSTOM_VALIDATION", rule.column or "", "rule does not hold", long, rule.severity)
