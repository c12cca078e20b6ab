"""What StatisticsGen takes and gives; the work is in `executor`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tidemill.dsl.component import Input, Outputs, component
from tidemill.types.standard import Examples, ExampleStatistics


class StatisticsGenOutputs(Outputs):
    """The statistics of every split."""

    statistics: ExampleStatistics


@component(executor="tidemill.components.statistics_gen.executor:run")
def StatisticsGen(
    examples: Input[Examples | list[Examples]],
    *,
    previous: Input[ExampleStatistics | list[ExampleStatistics]] | None = None,
    exclude_splits: Sequence[str] = (),
    slices: Sequence[str] = (),
    sample_rate: float = 1.0,
    weight_column: str | None = None,
    keep_states: bool = False,
    backend: Literal["auto", "inline", "pool", "beam", "ray"] = "auto",
    backend_options: Sequence[str] = (),
) -> StatisticsGenOutputs:
    """Summarise every column of every split: counts, moments, quantiles, histograms, frequent values.

    examples: one span or many, which are summarised together.
    previous: statistics that were made with `keep_states`. Files that they have seen, with the same slices,
        sample_rate and weight_column, are not read again. For a window that moves by a day:
        `StatisticsGen(examples=rolling_window(gen.outputs.examples, spans=30),
        previous=rolling_window(daily.outputs.statistics, spans=30))`, where `daily` keeps states.
    exclude_splits: splits to leave out.
    slices: columns of texts, whole numbers or truth values; the rows of each value get statistics of their
        own. The 100 most frequent values of a column do; the statistics say how many rows have others.
    sample_rate: share of the rows to look at, always the same ones.
    weight_column: a column of weights; everything is then also counted with each row as often as it says.
    keep_states: whether to write the state of each file, `states.bin`, for a later `previous`.
    backend: where the work is done: in this process (inline), by processes of this machine (pool), by Apache
        Beam or by Ray; auto is pool above two million rows and inline below. The bytes are the same.
    backend_options: flags of the backend: `--workers=4` for pool and auto, pipeline options for beam, such as
        `--runner=FlinkRunner`, and `--address=...` for ray.

    Writes `statistics.json` (read it with `tidemill.data.statistics.read_statistics`); the same examples
    give the same bytes. The statistics get the newest `span` of the examples, and `num_rows`.
    Errors: DataError for examples that cannot be read, an unknown split or column, weights that are none,
    and a backend that is not installed.
    """
