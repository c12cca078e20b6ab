"""From external files to Examples: read, check, split, write; no row lost and none made up.

The one place that ties sources, split rules and writers together. It knows nothing of components.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from tidemill.data.csv_source import CsvSource, WiderKind, open_csv
from tidemill.data.parquet import SplitWriter, count_rows, split_folder
from tidemill.data.parquet_source import ParquetSource, open_parquets
from tidemill.data.split import HashRule, SplitRule, check_column, check_splits, cut_rule, rows_of
from tidemill.errors import DataError, did_you_mean
from tidemill.types.source import FileSet

Source = CsvSource | ParquetSource
FORMATS = ("auto", "csv", "parquet")


def open_source(
    source: FileSet, format: str, column_types: Mapping[str, str], null_values: Sequence[str]
) -> Source:
    """The files as one source of tables; `auto` goes by the names' endings. Errors: DataError."""
    if not source.files:
        raise DataError("the pattern matched no file", where=repr(source.pattern))
    if format not in FORMATS:
        raise DataError(f"unknown format {format!r}", hint=did_you_mean(format, FORMATS))
    if format == "auto":
        format = _format_of(source)
    if format == "csv":
        return open_csv(source.files, column_types, null_values)
    return open_parquets(source.files, column_types)


def ingest(
    source: Source,
    folder: Path,
    splits: Mapping[str, int],
    *,
    partition_by: str | None = None,
    order_by: str | None = None,
    cut_points: Sequence[str | float] = (),
) -> dict[str, int]:
    """Write every row of `source` to its split below `folder`; rows of each split, in order of the splits.

    By default rows are split by hash, see `split.HashRule`; with `order_by`, see `split.cut_rule`.
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
    while True:
        try:
            rule: SplitRule = HashRule(tuple(splits.values()), partition_by)
            if order_by is not None:
                rule = cut_rule(source.tables(), order_by, list(splits.values()), cut_points)
            return _write(source, folder, list(splits), rule)
        except WiderKind as request:
            assert isinstance(source, CsvSource)
            source = source.widened(request)


def _write(source: Source, folder: Path, splits: list[str], rule: SplitRule) -> dict[str, int]:
    rows_read = 0
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(_split_writer(folder, split, source.schema)) for split in splits]
        for table in source.tables():
            rows_read += table.num_rows
            positions = rule.assign(table)
            for at, writer in enumerate(writers):
                writer.write(table if len(writers) == 1 else rows_of(table, positions, at))
    if not rows_read:
        names = ", ".join(file.uri for file in source.files)
        raise DataError("there is a header, but not one row", where=names, hint="was the delivery complete?")
    written = {split: count_rows(split_folder(folder, split)) for split in splits}
    if sum(written.values()) != rows_read:
        raise DataError(
            f"{rows_read} rows were read, but {sum(written.values())} are in the written files: {written}",
            where=str(folder),
            hint="this is a fault of the disk or of tidemill, not of the data",
        )
    return written


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


def _format_of(source: FileSet) -> str:
    endings = {_ending(file.uri) for file in source.files}
    if endings == {"parquet"}:
        return "parquet"
    if endings == {"csv"}:
        return "csv"
    raise DataError(
        f"cannot tell the format of {source.files[0].uri!r} from its name",
        where=repr(source.pattern),
        hint="set format='csv' or format='parquet'",
    )


def _ending(uri: str) -> str:
    name = uri.lower()
    for compression in (".gz", ".bz2", ".zst"):
        name = name.removesuffix(compression)
    if name.endswith((".parquet", ".pq")):
        return "parquet"
    return "csv" if name.endswith(".csv") else name
