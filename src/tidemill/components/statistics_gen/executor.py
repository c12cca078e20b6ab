"""StatisticsGen's work: analyze each split, write the result."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.data.analyze import analyze_split
from tidemill.data.parquet import select_splits, split_folder
from tidemill.data.statistics import Statistics, write_statistics
from tidemill.types.standard import Examples, ExampleStatistics


def run(*, examples: Examples, statistics: ExampleStatistics, exclude_splits: Sequence[str] = ()) -> None:
    """Write the statistics of `examples`; see the component."""
    splits = select_splits(examples.splits, exclude_splits)
    found = Statistics(splits={name: analyze_split(split_folder(examples.path, name)) for name in splits})
    write_statistics(statistics.path, found)
    statistics.splits = splits
    statistics.num_rows = sum(split.num_rows for split in found.splits.values())
    if examples.span is not None:
        statistics.span = examples.span
    for name, split in found.splits.items():
        print(f"{name}: {split.num_rows} rows, {len(split.columns)} columns")
