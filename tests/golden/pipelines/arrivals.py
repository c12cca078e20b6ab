"""A pipeline that runs when data arrives, or on Mondays, and has to be through in time."""

from __future__ import annotations

from tidemill import OnArtifact, OnAsset, OnFiles, Schedule, component, pipeline, run


@component
def work(*, day: str, span: int) -> None:
    """The work of a day."""


@pipeline(
    schedule=Schedule(
        "0 6 * * mon",
        timezone="Europe/Berlin",
        catch_up=True,
        deadline=5400,
        on=OnArtifact("ingest", "ExampleGen", "examples") & OnAsset("s3://lake/rates")
        | OnFiles("trips/{YYYY}-{MM}-{DD}/*.parquet")
        | OnFiles("/data/span-{SPAN:4}/rows.csv", every=30, parameter="span"),
    )
)
def arrivals(span: int = 0) -> None:
    """Whatever comes first."""
    work(day=run.date, span=span)
