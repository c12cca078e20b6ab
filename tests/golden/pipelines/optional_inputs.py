"""Inputs that may be left out, or given as None."""

from __future__ import annotations

from tidemill import Examples, Input, Model, Output, Schema, component, pipeline


@component
def read(examples: Output[Examples]) -> None:
    """Rows."""


@component
def train(
    examples: Input[Examples],
    schema: Input[Schema] | None = None,
    warm_start: Input[Model] | None = None,
    *,
    model: Output[Model],
) -> None:
    """A model."""


@pipeline
def optional_inputs() -> None:
    rows = read()
    first = train(rows.outputs.examples).with_id("from_nothing")
    train(rows.outputs.examples, None, first.outputs.model).with_id("from_the_first")
