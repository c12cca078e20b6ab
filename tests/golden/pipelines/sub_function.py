"""Pipeline functions called inside each other."""

from __future__ import annotations

from tidemill import Examples, Input, Model, NodeOptions, Output, component, pipeline


@component
def read(examples: Output[Examples]) -> None:
    """Rows."""


@component
def clean(examples: Input[Examples], cleaned: Output[Examples], *, keep: float = 1.0) -> None:
    """Fewer rows."""


@component
def train(examples: Input[Examples], model: Output[Model]) -> None:
    """A model."""


@pipeline
def prepare(examples: Examples, keep: float = 0.5) -> Examples:
    """A sub-pipeline takes outputs and values, and gives what its function returns."""
    once = clean(examples=examples, keep=keep).with_id("once")
    twice = clean(examples=once.outputs.cleaned).with_id("twice")
    return twice.outputs.cleaned


@pipeline(options=NodeOptions(retries=3))
def learn(examples: Examples) -> Model:
    """Holds a sub-pipeline itself."""
    return train(examples=prepare(examples)).outputs.model


@pipeline(name="sub_function", options=NodeOptions(owner="ann"))
def whole(keep: float = 0.25) -> None:
    """The outer one."""
    rows = read()
    learn(prepare(rows.outputs.examples, keep=keep))


pipeline = whole  # of several pipelines in a file, the one with this name is meant
