"""StatisticsGen's work: analyze each split, write the result, and say how far it is."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tidemill.data.analyze import Choices, analyze_split
from tidemill.data.dataset import Dataset
from tidemill.data.engine import Progress, open_backend
from tidemill.data.engine.states_file import StatesFiles
from tidemill.data.parquet import select_splits
from tidemill.data.statistics import Statistics, write_statistics
from tidemill.types.standard import Examples, ExampleStatistics

REPORT_SECONDS = 10.0
"""How long the log stays silent while rows are read; a line is a sign of life too."""


def run(
    *,
    examples: Examples | Sequence[Examples],
    statistics: ExampleStatistics,
    previous: ExampleStatistics | Sequence[ExampleStatistics] | None = None,
    exclude_splits: Sequence[str] = (),
    slices: Sequence[str] = (),
    sample_rate: float = 1.0,
    weight_column: str | None = None,
    keep_states: bool = False,
    backend: str = "auto",
    backend_options: Sequence[str] = (),
) -> None:
    """Write the statistics of `examples`; see the component."""
    given = [examples] if isinstance(examples, Examples) else list(examples)
    earlier = [previous] if isinstance(previous, ExampleStatistics) else list(previous or ())
    splits = select_splits(list(dict.fromkeys(s for item in given for s in item.splits)), exclude_splits)
    choices = Choices(slice_by=tuple(slices), sample_rate=sample_rate, weight_column=weight_column)
    kept = StatesFiles(item.path for item in earlier) if earlier or keep_states else None
    found = {}
    with open_backend(backend, backend_options) as opened:
        for name in splits:
            rows = Dataset.of(given, [name])
            found[name] = analyze_split(rows, choices, backend=opened, kept=kept, progress=_Log(name))
            print(f"{name}: {found[name].num_rows} rows, {len(found[name].columns)} columns")
            for column, left_out in found[name].slices_left_out:
                print(f"{name}: {column} has more values than get slices; {left_out} rows are in none")
    made = Statistics(splits=found, sample_rate=sample_rate, weight_column=weight_column)
    write_statistics(statistics.path, made)
    if kept is not None:
        print(f"{kept.found} states of files were taken from earlier statistics")
        if keep_states:
            kept.write(statistics.path)
    statistics.splits = splits
    statistics.num_rows = sum(split.num_rows for split in found.values())
    if spans := [item.span for item in given if item.span is not None]:
        statistics.span = max(spans)


class _Log:
    """Prints how far a split is, every few seconds."""

    def __init__(self, split: str) -> None:
        self.split = split
        self.last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self.last >= REPORT_SECONDS:
            self.last = time.monotonic()
            print(f"{self.split}: {progress.rows} of {progress.of_rows} rows", flush=True)
