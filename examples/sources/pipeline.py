"""One pipeline that reads the same trips from every kind of source, and sees that nothing was lost.

python examples/sources/make_files.py .tidemill/sources
tidemill run examples/sources/pipeline.py
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tidemill import Examples, FileSet, Input, component, files, pipeline
from tidemill.components import ExampleGen
from tidemill.types.source import Arrow, Avro, Csv, Custom, Jsonl, Parquet, Query, TFRecord

if TYPE_CHECKING:
    import pyarrow as pa


def dearest_first(files: FileSet, column: str) -> Iterator[pa.Table]:
    """A source of one's own: any function that gives pyarrow tables."""
    import pyarrow.parquet as pq

    for file in files.files:
        yield pq.read_table(file.uri).sort_by([(column, "descending")])


@component
def compare(examples: Input[list[Examples]], rows: int) -> int:
    """Fail when one source gave other rows than the rest; else how many sources there were."""
    found = [item.num_rows for item in examples]
    if set(found) != {rows}:
        raise ValueError(f"{rows} trips were written, but these were read: {found}")
    return len(found)


@pipeline
def sources(data: str = ".tidemill/sources", rows: int = 200) -> None:
    """Read the trips in all the ways there are."""
    parquet = files(f"{data}/trips.parquet")
    database = f"sqlite:///{data}/trips.db"
    every = [
        ExampleGen(files(f"{data}/trips.csv.gz")).with_id("bare-files"),
        ExampleGen(
            Csv({"train": files(f"{data}/train.csv"), "eval": files(f"{data}/eval.csv")})
        ).with_id("input-splits"),
        ExampleGen(Csv(files(f"{data}/broken.csv"), delimiter=";"), max_bad_rows=2).with_id("bad-rows"),
        ExampleGen(files(f"{data}/days/{{YYYY}}-{{MM}}-{{DD}}.csv", window=4)).with_id("window"),
        ExampleGen(Parquet(parquet), partition_by="taxi_id").with_id("parquet"),
        ExampleGen(Jsonl(files(f"{data}/trips.jsonl"))).with_id("jsonl"),
        ExampleGen(Arrow(files(f"{data}/trips.arrow"))).with_id("arrow"),
        ExampleGen(Avro(files(f"{data}/trips.avro"))).with_id("avro"),
        ExampleGen(TFRecord(files(f"{data}/trips.tfrecord.gz"))).with_id("tfrecord"),
        ExampleGen(
            Query("select * from trips order by trip_id", tables={"trips": parquet})
        ).with_id("query"),
        ExampleGen(
            Query("select * from trips order by trip_id", url=database, as_of="2024-03-05")
        ).with_id("database"),
        ExampleGen(
            Custom(dearest_first, files=parquet, arguments={"column": "fare"}), splits={"all": 1}
        ).with_id("custom"),
    ]  # fmt: skip
    compare(examples=[node.outputs.examples for node in every], rows=rows)
