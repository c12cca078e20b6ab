"""ExampleValidator's work: validate, write what was found, and then judge."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.data.anomalies import FILE, Anomalies, write_anomalies
from tidemill.data.parquet import select_splits
from tidemill.data.schema_file import read_schema
from tidemill.data.statistics import read_statistics
from tidemill.data.validate import validate_statistics
from tidemill.errors import ValidationFailed
from tidemill.types.standard import ExampleAnomalies, ExampleStatistics, Schema

SHOWN = 20


def run(
    *,
    statistics: ExampleStatistics,
    schema: Schema,
    anomalies: ExampleAnomalies,
    baseline_statistics: ExampleStatistics | None = None,
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
        min_examples=min_examples,
    )
    write_anomalies(anomalies.path, result)
    anomalies.splits = splits
    anomalies.blessed = 0 if result.errors else 1
    anomalies.num_anomalies = len(result.anomalies)
    if statistics.span is not None:
        anomalies.span = statistics.span
    report = _report(result)
    print(report)
    if fail and result.errors:
        raise ValidationFailed(
            report,
            where=str(anomalies.path / FILE),
            hint="mend the data; or, if it is right, change the schema: widen the domain, range or "
            "threshold, or make the anomaly a warning under `severity:`",
        )


def _report(result: Anomalies) -> str:
    """All anomalies in words, errors first."""
    if not result.anomalies:
        return "the examples fit the schema"
    errors = result.errors
    warnings = [a for a in result.anomalies if a.severity == "warning"]
    counts = [
        f"{n} {word}{'' if n == 1 else 's'}"
        for n, word in ((len(errors), "error"), (len(warnings), "warning"))
    ]
    lines = [f"the examples break the schema: {', '.join(counts)}"]
    listed = [*errors, *warnings]
    lines += [f"  {anomaly}" for anomaly in listed[:SHOWN]]
    if len(listed) > SHOWN:
        lines.append(f"  and {len(listed) - SHOWN} more")
    return "\n".join(lines)
