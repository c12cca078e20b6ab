"""What ExampleGen takes and gives; the work is in `executor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from tidemill.dsl.component import Outputs, component
from tidemill.types.source import FileSet, Source
from tidemill.types.standard import Examples


class ExampleGenOutputs(Outputs):
    """The rows, by split."""

    examples: Examples


@component(executor="tidemill.components.example_gen.executor:run")
def ExampleGen(
    source: FileSet | Source,
    *,
    format: Literal["auto", "csv", "parquet", "jsonl", "arrow", "tfrecord", "avro"] = "auto",
    splits: Mapping[str, int] | None = None,
    partition_by: str | None = None,
    order_by: str | None = None,
    cut_points: Sequence[str | float] = (),
    column_types: Mapping[str, str] | None = None,
    null_values: Sequence[str] = ("",),
    max_bad_rows: int = 0,
) -> ExampleGenOutputs:
    """Read external data, check it, and write every row to one split.

    source: `files("data/{YYYY}-{MM}-{DD}.csv", date=run.date)`, or one of `tidemill.types.source`: `Csv`,
        `Parquet`, `Jsonl`, `Arrow`, `TFRecord`, `Avro`, each of files; `Query`, of files or a database;
        `Custom`, of a function. All files must have the same columns. Data that comes in splits is
        `Csv({"train": files(...), "eval": files(...)})`: then the splits stay as they are.
    format: of bare `files(...)`; `auto` goes by the ending of the names (.csv, .csv.gz, .parquet, .jsonl,
        .arrow, .tfrecord, .avro).
    splits: weight of each split; `{"train": 2, "eval": 1}` unless given.
    partition_by: column whose value decides the split, so that equal values stay together; by default
        the whole row does. Rows are spread by a hash that is the same everywhere and for ever.
    order_by: instead of hashing, put the rows that come first in this column (numbers or time stamps)
        into the first split, and so on: to evaluate on what happened next. The weights of `splits` say
        where to cut, within 0.1 % of the rows or so.
    cut_points: cut there instead of by weights: values of the `order_by` column, one fewer than splits,
        ISO dates or times for time stamps, or "HH:MM" for that time on the last day in the data.
    column_types: int, float, string, bool or timestamp by column, where the guess would be wrong.
    null_values: texts that mean "no value" in CSV files.
    max_bad_rows: so many rows of CSV or JSON Lines that cannot be read (ragged, of another type, not UTF-8)
        are put aside with their file, line and reason, in `Quarantine/part-00000.parquet` of the examples.
        One more, or the first one by default, is an error. A file that is cut off or damaged always is.

    The examples get the `span` and `version` of the source, `num_rows`, `num_bad_rows` and a `fingerprint` of
    the files' content.
    Errors: DataError for an empty file, a header without rows, a ragged row (with its line), truncated or
    damaged files, differing columns, a column of mixed types, and parameters that do not fit the data.
    """
