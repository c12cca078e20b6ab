"""Loops over literals, parameters, outputs and artifacts; nested; collected."""

from __future__ import annotations

from typing import Any

from tidemill import Examples, ForEach, Input, Model, Output, When, collect, component, pipeline


@component
def days(*, count: int) -> list[str]:
    """Names of days."""


@component
def read(examples: Output[Examples], *, day: str = "") -> None:
    """Rows of a day."""


@component
def train(examples: Input[Examples], model: Output[Model], *, rate: float, options: Any = None) -> float:
    """A model and its loss."""


@component
def compare(models: Input[list[Model]], *, losses: list[float]) -> None:
    """Which is the best."""


@pipeline
def loops(rates: Any = (0.1, 0.01), count: int = 3) -> None:
    """One of each."""
    with ForEach(days(count=count).outputs.result, name="day", parallelism=2) as day:
        rows = read(day=day).outputs.examples
    with ForEach(collect(rows), name="rows", limit=31) as examples:
        with ForEach(rates, name="rate") as rate:
            trained = train(examples, rate=rate, options={"rate": rate, "fixed": [1, rate]})
        compare(collect(trained.outputs.model), losses=collect(trained.outputs.result)).with_id("best_of_day")
    sizes = [{"name": "a", "sizes": [1, 2]}, {"name": "b", "sizes": [3, 4]}]
    with ForEach(sizes) as size, When(size["name"] == "a"):
        read(day=f"{size['name']}-{size['sizes'][0]}").with_id("sized")
    compare(collect(trained.outputs.model), losses=collect(trained.outputs.result)).with_id("best_of_all")
