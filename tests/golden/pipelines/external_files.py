"""Files from outside, read by a component whose executor stands elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tidemill import (
    Examples,
    ExampleStatistics,
    FileSet,
    Input,
    Outputs,
    component,
    env,
    files,
    pipeline,
    run,
)


class ReadFilesOutputs(Outputs):
    """What `ReadFiles` gives."""

    examples: Examples
    statistics: ExampleStatistics


@component(executor="external_files:read_files")
def ReadFiles(
    source: FileSet, *, format: Literal["csv", "parquet"] = "csv", columns: Sequence[str] = ()
) -> ReadFilesOutputs:
    """Only says what goes in and comes out."""


def read_files(*, source: FileSet, format: str, columns: Sequence[str], **outputs: object) -> None:
    """Does the work."""


@component
def look(statistics: Input[ExampleStatistics], labels: Input[Examples]) -> None:
    """A user of both."""


@pipeline
def external_files(folder: str = "data", newest: int = 3) -> None:
    day = ReadFiles(source=files("data/{YYYY}-{MM}-{DD}.csv", date=run.date, window=7), columns=["a", "b"])
    span = ReadFiles(files(f"{folder}/{{SPAN}}/*.parquet", span=newest), format="parquet").with_id("span")
    ReadFiles(files(env("LABELS", "labels.csv"))).with_id("plain")
    look(statistics=day.outputs.statistics, labels=span.outputs.examples)
