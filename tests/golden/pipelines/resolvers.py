"""Inputs from earlier runs."""

from __future__ import annotations

from tidemill import (
    Examples,
    Input,
    Model,
    ModelBlessing,
    Output,
    component,
    latest_blessed,
    pipeline,
    rolling_window,
)


@component
def read(examples: Output[Examples]) -> None:
    """Rows of a day."""


@component
def check(examples: Input[Examples]) -> None:
    """Fails when the rows are bad."""


@component
def train(examples: Input[list[Examples]], model: Output[Model]) -> None:
    """A model of several days."""


@component
def judge(
    model: Input[Model],
    examples: Input[Examples],
    champion: Input[Model] | None = None,
    *,
    blessing: Output[ModelBlessing],
) -> None:
    """Whether the new model is better than the champion."""


@pipeline
def resolvers() -> None:
    examples = read().outputs.examples
    checked = check(examples)
    week = rolling_window(examples, spans=7, passed=checked)
    model = train(examples=week).outputs.model
    train(examples=[rolling_window(examples, spans=2), examples]).with_id("train_small")
    judge(model, examples, latest_blessed(model))
