"""ExampleValidator's work: validate, write what was found, and then judge."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.data.anomalies import FILE, report_text, write_anomalies
from tidemill.data.schema_file import read_schema
from tidemill.data.split_names import select_splits
from tidemill.data.statistics import read_statistics
from tidemill.data.validate import validate_statistics
from tidemill.errors import ValidationFailed
from tidemill.types.standard import ExampleAnomalies, ExampleStatistics, Schema


def run(
    *,
    statistics: ExampleStatistics,
    schema: Schema,
    anomalies: ExampleAnomalies,
    baseline_statistics: ExampleStatistics | None = None,
    serving_statistics: ExampleStatistics | None = None,
    environment: str | None = None,
    min_examples: int | None = None,
    fail: bool = True,
    exclude_splits: Sequence[str] = (),
) -> None:
    """Write the anomalies of `statistics`; see the component."""
    found = read_statistics(statistics.path)
    splits = select_splits(list(found.splits), exclude_splits)
    result = validate_statistics(
        found,
        read_schema(schema.path),
        splits=splits,
        baseline=None if baseline_statistics is None else read_statistics(baseline_statistics.path),
        serving=None if serving_statistics is None else read_statistics(serving_statistics.path),
        environment=environment,
        span=statistics.span,
        min_examples=min_examples,
    )
    write_anomalies(anomalies.path, result)
    anomalies.splits = splits
    anomalies.blessed = 0 if result.errors else 1
    anomalies.num_anomalies = len(result.anomalies)
    if statistics.span is not None:
        anomalies.span = statistics.span
    report = report_text(result)
    print(report)
    if fail and result.errors:
        raise ValidationFailed(
            report,
            where=str(anomalies.path / FILE),
            hint="mend the data; or, if it is right, change the schema: widen the domain, range or "
            "threshold, or make the anomaly a warning under `severity:`",
        )
