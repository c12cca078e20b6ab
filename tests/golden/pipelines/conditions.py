"""Conditions of every kind, else branches and joins."""

from __future__ import annotations

from tidemill import (
    Else,
    ElseWhen,
    Examples,
    Input,
    Model,
    ModelBlessing,
    Output,
    When,
    component,
    not_,
    one_of,
    pipeline,
    run,
)


@component
def read(examples: Output[Examples]) -> int:
    """Rows, and how many."""


@component
def train(examples: Input[Examples], model: Output[Model]) -> None:
    """A model."""


@component
def judge(model: Input[Model], blessing: Output[ModelBlessing]) -> float:
    """A verdict and a score."""


@component
def tell(model: Input[Model] | None = None, *, text: str = "", score: float = 0.0) -> None:
    """Somebody hears of it."""


@pipeline
def conditions(force: bool = False, threshold: float = 0.5) -> None:
    """Values, properties, parameters and facts of the run; nested; joined."""
    rows = read()
    with When(rows.outputs.result >= 100):
        small = train(rows.outputs.examples).with_id("small")
        judged = judge(small.outputs.model)
        with When((judged.outputs.blessing.blessed == 1) | force):
            tell(small.outputs.model, text="push").with_id("push")
        with ElseWhen(not_(judged.outputs.result < threshold) & (run.date != "2024-01-01")):
            tell(text="nearly").with_id("nearly")
        with Else():
            tell(text="no").with_id("no")
    with Else():
        other = train(rows.outputs.examples).with_id("other")
    tell(one_of(small.outputs.model, other.outputs.model), score=one_of(judged.outputs.result, 0.0))
