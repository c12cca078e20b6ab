"""The rows of some splits of some Examples, as a handle that reads only when asked.

It is what user code (run_fn, evaluate_fn) gets instead of paths. It knows the layout of Examples
through `data.parquet` only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from tidemill.data.parquet import count_rows, read_schema, read_tables, split_folder
from tidemill.errors import DataError, did_you_mean
from tidemill.types.standard import Examples


@dataclass(frozen=True)
class Dataset:
    """Rows in the order of `folders`, in each in file order."""

    folders: tuple[Path, ...]
    """Split folders, each with Parquet files."""

    @classmethod
    def of(cls, examples: Sequence[Examples], splits: Sequence[str]) -> Dataset:
        """These splits of all `examples`, in the order given: all of the first examples first.

        Examples that lack a split contribute nothing to it. DataError for a split that none has.
        """
        known = list(dict.fromkeys(name for item in examples for name in item.splits))
        for name in splits:
            if name not in known:
                raise DataError(f"no examples have a split {name!r}", hint=did_you_mean(name, known))
        return cls(
            tuple(
                split_folder(item.path, name) for item in examples for name in splits if name in item.splits
            )
        )

    @cached_property
    def num_rows(self) -> int:
        """Rows, from the files' footers."""
        return sum(count_rows(folder) for folder in self.folders)

    @cached_property
    def columns(self) -> list[str]:
        """Names of the columns, in order; a column that only later files have comes last."""
        return list(dict.fromkeys(name for folder in self.folders for name in read_schema(folder).names))

    def iter_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows, one row group (about 100,000 rows) at a time; DataError for an unknown column."""
        for folder in self.folders:
            yield from read_tables(folder, columns)

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows in memory. An int column of one file and a float column of another meet at float."""
        tables = list(self.iter_batches(columns))
        if not tables:
            tables = [read_schema(folder).empty_table() for folder in self.folders[:1]]
            tables = [table if columns is None else table.select(list(columns)) for table in tables]
        if not tables:
            raise DataError("the dataset has no splits", hint="name the splits that the examples have")
        return pa.concat_tables(tables, promote_options="permissive")
