"""Pipelines in `nodes=[...]` of others, with a node that both take from."""

from __future__ import annotations

from tidemill import Examples, Input, Model, Output, Pipeline, component
from tidemill import pipeline as of_function


@component
def read(examples: Output[Examples]) -> None:
    """Rows."""


@component
def train(examples: Input[Examples], model: Output[Model]) -> None:
    """A model."""


@component
def judge(model: Input[Model]) -> float:
    """What it is worth."""
    return 0.0


@of_function
def extra() -> None:
    """A function among the nodes."""
    judge(train(read().outputs.examples).outputs.model)


shared = read().with_id("shared")
small = train(shared.outputs.examples).with_id("small")
large = train(shared.outputs.examples).with_id("large")
models = Pipeline("models", nodes=[small, Pipeline("big", nodes=[large])])

pipeline = Pipeline("sub_nodes", nodes=[models, extra, judge(large.outputs.model)])
