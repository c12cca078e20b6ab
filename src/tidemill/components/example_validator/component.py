"""What ExampleValidator takes and gives; the work is in `executor`."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.dsl.component import Input, Outputs, component
from tidemill.types.standard import ExampleAnomalies, ExampleStatistics, Schema


class ExampleValidatorOutputs(Outputs):
    """Where the examples break the schema."""

    anomalies: ExampleAnomalies


@component(executor="tidemill.components.example_validator.executor:run")
def ExampleValidator(
    statistics: Input[ExampleStatistics],
    schema: Input[Schema],
    baseline_statistics: Input[ExampleStatistics] | None = None,
    serving_statistics: Input[ExampleStatistics] | None = None,
    *,
    environment: str | None = None,
    min_examples: int | None = None,
    fail: bool = True,
    exclude_splits: Sequence[str] = (),
) -> ExampleValidatorOutputs:
    """Find where the examples break the schema, moved from earlier examples, or differ from what is served.

    baseline_statistics: what to measure drift from, such as an earlier span; thresholds are in the schema,
        under `drift`. Without it nothing is compared.
    serving_statistics: what to measure skew from: examples as the model meets them. Thresholds are under
        `skew`. Of one split, or of splits with the same names.
    environment: columns that the schema does not put into it are not expected: the label, in serving data.
    min_examples: least number of rows in all splits together; in place of the schema's.
    fail: whether an anomaly that is an error fails the node. If not, ask `anomalies.blessed`.
    exclude_splits: splits to leave out.

    Writes `anomalies.json`: anomalies, by the names of TensorFlow Data Validation, and every measured
    distance. The anomalies get `blessed` (1 when none is an error), `num_anomalies` and the `span`.
    Errors: ValidationFailed with the list of anomalies, after the file is written. DataError for an
    environment that the schema does not name, and serving statistics of other splits.
    """
