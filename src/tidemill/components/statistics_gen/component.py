"""What StatisticsGen takes and gives; the work is in `executor`."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.dsl.component import Input, Outputs, component
from tidemill.types.standard import Examples, ExampleStatistics


class StatisticsGenOutputs(Outputs):
    """The statistics of every split."""

    statistics: ExampleStatistics


@component(executor="tidemill.components.statistics_gen.executor:run")
def StatisticsGen(examples: Input[Examples], *, exclude_splits: Sequence[str] = ()) -> StatisticsGenOutputs:
    """Summarise every column of every split: counts, moments, quantiles, histogram, frequent values.

    exclude_splits: splits to leave out.

    Writes `statistics.json` (read it with `tidemill.data.statistics.read_statistics`); the same examples
    give the same bytes. The statistics get the examples' `span`, and `num_rows`.
    Errors: DataError for examples that cannot be read, and an unknown split.
    """
