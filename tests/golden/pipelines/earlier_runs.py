"""What earlier runs made, found in every way."""

from __future__ import annotations

from tidemill import (
    Examples,
    Input,
    Model,
    Output,
    choose,
    component,
    latest,
    latest_many,
    pipeline,
    run,
    spans,
)


@component
def read(examples: Output[Examples]) -> int:
    """Rows of a day, and how many."""


@component
def train(examples: Input[list[Examples]], base: Input[Model] | None = None, *, model: Output[Model]) -> None:
    """A model of several days, perhaps begun with an older one."""


@component
def compare(models: Input[list[Model]]) -> None:
    """Which is the best."""


def smallest(models: list[Model]) -> list[Model]:
    """The one with the fewest bytes."""
    return sorted(models, key=lambda model: model.custom_properties["bytes"])[:1]


@pipeline
def earlier_runs(first: int = 1, kind: str = "daily") -> None:
    """Values may be those of parameters and of nodes of this run."""
    rows = read()
    examples = rows.outputs.examples
    model = train([examples, *[spans(examples, first, rows.outputs.result)]]).outputs.model
    train(examples, latest(model, complete=True, note=kind)).with_id("further")
    train(latest_many(examples, 5, pipeline="other", version=0)).with_id("others")
    compare(choose(model, smallest, limit=10))
    compare([model, latest(model, note=run.date)]).with_id("with_last")
