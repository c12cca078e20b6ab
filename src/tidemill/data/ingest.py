"""From external files to Examples: read, check, split, write; no row lost and none made up.

The one place that ties sources, split rules and writers together. It knows nothing of components.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from tidemill.data.parquet import SplitWriter, count_rows, split_folder
from tidemill.data.source import BadRows, Reread, TableSource
from tidemill.data.split import (
    HashRule,
    Positions,
    SplitRule,
    check_column,
    check_splits,
    cut_rule,
    rows_of,
)
from tidemill.errors import DataError
from tidemill.types.source import SourceFile

_WRITERS = 2
"""Threads that write beside the one that reads and the one that splits."""


def ingest(
    source: TableSource,
    folder: Path,
    splits: Mapping[str, int],
    *,
    partition_by: str | None = None,
    order_by: str | None = None,
    cut_points: Sequence[str | float] = (),
    bad: BadRows | None = None,
) -> dict[str, int]:
    """Write every row of `source` to its split below `folder`; rows of each split, in order of the splits.

    By default rows are split by hash, see `split.HashRule`; with `order_by`, see `split.cut_rule`. Rows that
    cannot be read are put aside in `bad`, if it takes any.
    Errors: DataError for anything that keeps a row from being read, and when there are no rows.
    """
    check_splits(splits)
    if partition_by is not None and order_by is not None:
        raise DataError("give partition_by or order_by, not both")
    if cut_points and order_by is None:
        raise DataError("cut_points needs order_by, the column they lie on")
    for parameter, column in (("partition_by", partition_by), ("order_by", order_by)):
        if column is not None:
            check_column(column, parameter, source.schema.names)
    bad = BadRows() if bad is None else bad
    while True:
        try:
            rule: SplitRule = HashRule(tuple(splits.values()), partition_by)
            if order_by is not None:
                rule = cut_rule(source.tables(bad), order_by, list(splits.values()), cut_points)
            return _write(source, folder, list(splits), rule, bad)
        except Reread as request:
            source = request.source
            bad.clear()


def ingest_input_splits(
    source: TableSource,
    folder: Path,
    inputs: Mapping[str, Sequence[SourceFile]],
    *,
    bad: BadRows | None = None,
) -> dict[str, int]:
    """Write data that comes in splits: all files of `source`, which `inputs` names by their split.

    All splits have the same columns and types. Errors: as `ingest`, and a split without rows is one.
    """
    check_splits(dict.fromkeys(inputs, 1))
    bad = BadRows() if bad is None else bad
    while True:
        rows: dict[str, int] = {}
        try:
            for split, files in inputs.items():
                rows |= _write(source, folder, [split], HashRule((1,)), bad, files)
            return rows
        except Reread as request:
            source = request.source
            bad.clear()
            for split in rows:
                shutil.rmtree(split_folder(folder, split))


def _write(
    source: TableSource, folder: Path, splits: list[str], rule: SplitRule, bad: BadRows,
    files: Sequence[SourceFile] | None = None,
) -> dict[str, int]:  # fmt: skip
    rows_read = 0
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(_split_writer(folder, split, source.schema)) for split in splits]
        pool = stack.enter_context(ThreadPoolExecutor(_WRITERS))
        under_way: list[Future[None]] = []
        for table in source.tables(bad, files):
            rows_read += table.num_rows
            positions = rule.assign(table) if len(writers) > 1 else None
            _wait(under_way)  # at most one table waits, so memory stays flat
            under_way = [
                pool.submit(_append, writer, table, positions, at) for at, writer in enumerate(writers)
            ]
        _wait(under_way)
    if not rows_read:
        raise DataError(
            "there is a header, but not one row" + (" that can be read" if len(bad) else ""),
            where=", ".join(source.names if files is None else [file.uri for file in files]),
            hint="was the delivery complete?",
        )
    written = {split: count_rows(split_folder(folder, split)) for split in splits}
    if sum(written.values()) != rows_read:
        raise DataError(
            f"{rows_read} rows were read, but {sum(written.values())} are in the written files: {written}",
            where=str(folder),
            hint="this is a fault of the disk or of tidemill, not of the data",
        )
    return written


def _append(writer: SplitWriter, table: pa.Table, positions: Positions | None, at: int) -> None:
    writer.write(table if positions is None else rows_of(table, positions, at))


def _wait(futures: Sequence[Future[None]]) -> None:
    for future in futures:
        future.result()


@contextlib.contextmanager
def _split_writer(folder: Path, split: str, schema: pa.Schema) -> Iterator[SplitWriter]:
    """A writer whose files vanish when it is left by an error, so that a second try starts clean."""
    target = split_folder(folder, split)
    try:
        with SplitWriter(target, schema) as writer:
            yield writer
    except BaseException:
        shutil.rmtree(target)
        raise
