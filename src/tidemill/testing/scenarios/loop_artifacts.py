"""A loop over artifacts."""

from __future__ import annotations

from tidemill import ForEach, collect, pipeline
from tidemill.testing.scenarios.parts import read_day, table, train


@pipeline
def loop_artifacts() -> None:
    """Each iteration has one of the artifacts as its input."""
    days = [read_day(day=d, span=i).with_id(d).outputs.examples for i, d in enumerate(("mon", "tue"))]
    with ForEach(days, name="day") as examples:
        trained = train([examples])
    table(collect(trained.outputs.result))
