"""A fitted graph applied to the rows of a split, one row group in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from tidemill.data.dataset import Dataset
from tidemill.data.parquet import write_split
from tidemill.data.transform.fitted import FittedGraph
from tidemill.errors import DataError


def transform_split(fitted: FittedGraph, rows: Dataset, folder: Path) -> int:
    """Write all outputs for `rows`, in order, as a split in `folder`; the number of rows.

    DataError when rows of another form come, or not as many go out as came in.
    """
    tables = transformed_tables(fitted, rows)
    written = write_split(folder, fitted.arrow_schema, _one_ahead(tables))
    if written != rows.num_rows:
        raise DataError(f"{rows.num_rows} rows went in and {written} came out", where=str(folder))
    return written


def transformed_tables(fitted: FittedGraph, rows: Dataset) -> Iterator[pa.Table]:
    """All outputs, one table for each row group."""
    return (fitted.transform(table) for table in rows.iter_batches(fitted.graph.columns_for()))


def _one_ahead(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same tables; the next one is made while the caller writes this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = pool.submit(next, tables, None)
        while (table := waiting.result()) is not None:
            waiting = pool.submit(next, tables, None)
            yield table
