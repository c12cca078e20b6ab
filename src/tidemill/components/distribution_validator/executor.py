"""DistributionValidator's work: compare, write what was found, and then judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidemill.data.anomalies import FILE, report_text, write_anomalies
from tidemill.data.comparators import comparing_schema
from tidemill.data.split_names import select_splits
from tidemill.data.statistics import read_statistics
from tidemill.data.validate import validate_statistics
from tidemill.errors import ValidationFailed
from tidemill.types.standard import ExampleAnomalies, ExampleStatistics


def run(
    *,
    statistics: ExampleStatistics,
    baseline_statistics: ExampleStatistics,
    anomalies: ExampleAnomalies,
    comparators: Mapping[str, Mapping[str, float]],
    false_alarm: float | None = None,
    exclude_columns: Sequence[str] = (),
    exclude_splits: Sequence[str] = (),
    fail: bool = True,
) -> None:
    """Write the distances of `statistics` from `baseline_statistics`; see the component."""
    found, before = read_statistics(statistics.path), read_statistics(baseline_statistics.path)
    splits = select_splits(list(found.splits), exclude_splits)
    schema = comparing_schema(found, before, splits, comparators, exclude_columns, false_alarm)
    result = validate_statistics(found, schema, splits=splits, baseline=before, min_examples=0)
    write_anomalies(anomalies.path, result)
    anomalies.splits = splits
    anomalies.blessed = 0 if result.errors else 1
    anomalies.num_anomalies = len(result.anomalies)
    if statistics.span is not None:
        anomalies.span = statistics.span
    good, bad = "no distance is above its bound", "the examples differ from the baseline"
    text = report_text(result, good=good, bad=bad)
    print(text)
    if fail and result.errors:
        raise ValidationFailed(
            text,
            where=str(anomalies.path / FILE),
            hint="look for what changed in the data; or, if it is right, raise the bound in `comparators`",
        )
