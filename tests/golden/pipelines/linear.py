"""Three nodes in a row."""

from __future__ import annotations

from tidemill import Examples, Input, Model, ModelEvaluation, Output, component, pipeline


@component
def read(examples: Output[Examples], *, path: str) -> None:
    """Rows."""


@component
def train(examples: Input[Examples], model: Output[Model], *, rate: float = 0.1, steps: int = 100) -> None:
    """A model of the rows."""


@component
def judge(model: Input[Model], evaluation: Output[ModelEvaluation]) -> None:
    """What the model is worth."""


@pipeline
def linear() -> None:
    """Read, train, judge.

    Only the first paragraph is the pipeline's description.
    """
    rows = read(path="data.csv")
    model = train(examples=rows.outputs.examples, steps=20)
    judge(model.outputs.model)
