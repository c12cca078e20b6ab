"""What DistributionValidator takes and gives; the work is in `executor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidemill.dsl.component import Input, Outputs, component
from tidemill.types.standard import ExampleAnomalies, ExampleStatistics


class DistributionValidatorOutputs(Outputs):
    """How far the examples are from the baseline, and where that is too far."""

    anomalies: ExampleAnomalies


@component(executor="tidemill.components.distribution_validator.executor:run")
def DistributionValidator(
    statistics: Input[ExampleStatistics],
    baseline_statistics: Input[ExampleStatistics],
    *,
    comparators: Mapping[str, Mapping[str, float]],
    false_alarm: float | None = None,
    exclude_columns: Sequence[str] = (),
    exclude_splits: Sequence[str] = (),
    fail: bool = True,
) -> DistributionValidatorOutputs:
    """Measure how far every column is from the baseline; no schema is needed.

    comparators: column -> measure -> largest distance, as in `{"fare": {"ks": 0.1}, "*": {"jsd": 0.05}}`.
        "*" is for every column that is not named, with the measures that suit its type. The measures are
        `linf`, `jsd`, `nad`, `psi`, `ks`, `wasserstein`, `chi2` and `missing`, as under `drift` in a schema.
    false_alarm: if given, the numbers of `comparators` are not looked at; every measure named gets the
        distance that so many unchanged columns would exceed, such as 0.001.
    exclude_columns: columns to leave out.
    exclude_splits: splits to leave out.
    fail: whether a distance above its bound fails the node. If not, ask `anomalies.blessed`.

    Writes `anomalies.json` as ExampleValidator does: every distance, and those that are too large. Columns
    that only one side has are anomalies.
    Errors: DataError for an unknown column, split or measure, or one that does not suit a named column;
    ValidationFailed with the list of anomalies, after the file is written.
    """
