"""Statistics of splits: the engine run with the analyzer of `data.summaries`. It writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from tidemill.data.dataset import Dataset
from tidemill.data.engine import Backend, Progress, analyze
from tidemill.data.engine.kept import KeptStates
from tidemill.data.parquet import open_parquet, split_files
from tidemill.data.statistics import ColumnStatistics, SplitStatistics
from tidemill.data.summaries.analyzer import SliceValues, StatisticsAnalyzer
from tidemill.errors import DataError

MOST_SLICES = 100
"""Values of one column that get a slice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What statistics are to hold."""

    slice_by: tuple[str, ...] = ()
    """Columns whose values get statistics of their own."""
    sample_rate: float = 1.0
    """Share of the rows to look at, above 0."""
    weight_column: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.sample_rate <= 1:
            raise DataError(f"sample_rate is {self.sample_rate}, but must be above 0 and at most 1")


EVERYTHING = Choices()


def analyze_tables(tables: Iterable[pa.Table], schema: pa.Schema) -> SplitStatistics:
    """Statistics of tables that have `schema`. Memory: one table, and the bounded states."""
    analyzer = StatisticsAnalyzer()
    state = analyzer.add(analyzer.empty(), schema.empty_table())
    for table in tables:
        state = analyzer.merge(state, analyzer.add(analyzer.empty(), table))
    return analyzer.finish(state)


def analyze_split(
    data: Dataset | Sequence[Path] | Path,
    choices: Choices = EVERYTHING,
    *,
    backend: Backend | str = "inline",
    kept: KeptStates | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> SplitStatistics:
    """Statistics of a split: a Dataset, or one or more folders of Parquet files.

    See `data.engine.analyze` for `backend`, `kept` and `progress`. DataError when files cannot be read, or
    not to the end, and for columns in `choices` that are absent or of the wrong kind.
    """
    folders = data.folders if isinstance(data, Dataset) else [data] if isinstance(data, Path) else data
    values, left_out = {}, []
    if choices.slice_by:
        counted = analyze(SliceValues(choices.slice_by), folders, backend=backend, kept=kept)
        for name, found in counted.items():
            top = found.top(MOST_SLICES)
            values[name] = tuple(value for value, _ in top)
            if found.distinct_count > len(top):
                left_out.append((name, found.rows - sum(rows for _, rows in top)))
    analyzer = StatisticsAnalyzer(
        sample_rate=choices.sample_rate, weight_column=choices.weight_column, slices=tuple(values.items())
    )
    found_statistics = analyze(analyzer, folders, backend=backend, kept=kept, progress=progress)
    return replace(
        found_statistics,
        columns=(*found_statistics.columns, *_of_empty_files(folders, found_statistics)),
        slices_left_out=tuple(left_out),
    )


def _of_empty_files(folders: Sequence[Path], found: SplitStatistics) -> list[ColumnStatistics]:
    """Columns that only files without rows have: no row group ever showed them to the analyzer."""
    known = {column.name for column in found.columns}
    fields: dict[str, Any] = {}
    for path in (path for folder in folders for path in split_files(folder)):
        with open_parquet(path) as file:
            if not file.metadata.num_rows:
                fields.update({f.name: f for f in file.schema_arrow if f.name not in known})
    if not fields:
        return []
    seen = analyze_tables([], pa.schema(list(fields.values())))
    return [replace(column, missing=found.num_rows) for column in seen.columns]
