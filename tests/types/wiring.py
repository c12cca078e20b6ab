"""What a type checker must accept and refuse in users' code. Never run: mypy reads it.

Each `type: ignore` stands for an error that must be reported, with that very code: mypy is told to
complain about an ignore that is not needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from tidemill import (
    Examples,
    ExampleStatistics,
    FileSet,
    Float,
    Input,
    Model,
    Node,
    NodeOptions,
    Outputs,
    Pipeline,
    Resources,
    Schedule,
    component,
    env,
    files,
    latest_blessed,
    rolling_window,
    run,
)
from tidemill.components import StatisticsGen, Trainer, Transform


class ReadOutputs(Outputs):
    """Rows and how many."""

    examples: Examples
    count: Float


class TrainOutputs(Outputs):
    """A model."""

    model: Model


@component(executor="acme.read:run")
def read(source: FileSet, *, limit: int = 0) -> ReadOutputs:  # type: ignore[empty-body]  # a declaration
    """Inputs are told from parameters by their types."""


@component(executor="acme.train:run")
def train(  # type: ignore[empty-body]  # a declaration
    examples: Input[Examples | list[Examples]],
    champion: Input[Model] | None = None,
    *,
    rate: float = 0.1,
    run_fn: Callable[..., Any] | None = None,
) -> TrainOutputs:
    """One artifact or several, and one that may be missing."""


@component(executor="acme.look:run")
def look(statistics: Input[ExampleStatistics], examples: Input[list[Examples]]) -> TrainOutputs:  # type: ignore[empty-body]  # a declaration
    """Takes other types."""


@component
def measure(model: Input[Model]) -> float:
    """A component that returns a value."""
    return 0.5


rows = read(files("data/{YYYY}-{MM}-{DD}.csv", date=run.date, window=7))
trainer = train(examples=rows.outputs.examples)


def outputs_are_typed() -> None:
    """By the class that the component declares to return."""
    assert_type(rows, Node[ReadOutputs])
    assert_type(rows.outputs, ReadOutputs)
    assert_type(rows.outputs.examples, Examples)
    assert_type(trainer.outputs.model, Model)
    assert_type(rows.outputs.examples.span, int | None)
    _ = rows.outputs.exmaples  # type: ignore[attr-defined]  # expected: no such output
    assert_type(rows.with_id("x").outputs.examples, Examples)


def artifacts_fit_inputs_of_their_type() -> None:
    """Wiring is passing values, so wrong wiring is an argument of the wrong type."""
    train(rows.outputs.examples, trainer.outputs.model)
    train([rows.outputs.examples, rows.outputs.examples])
    train(examples=trainer.outputs.model)  # type: ignore[arg-type]  # expected: a Model is not Examples
    train([trainer.outputs.model])  # type: ignore[list-item]  # expected: nor is a list of Models
    look(rows.outputs.examples, [])  # type: ignore[arg-type]  # expected: Examples are no statistics
    train(rows)  # type: ignore[arg-type]  # expected: a node is not its output
    train()  # type: ignore[call-arg]  # expected: examples must be given
    train(rows.outputs.examples, exmaples=1)  # type: ignore[call-arg]  # expected: no such argument


def standard_components_are_typed() -> None:
    """Also those that take functions, whose types hold Any."""
    statistics = StatisticsGen(rows.outputs.examples).outputs.statistics
    assert_type(statistics, ExampleStatistics)
    transform = Transform(rows.outputs.examples, outputs_are_typed)
    assert_type(transform.outputs.transformed, Examples)
    StatisticsGen(trainer.outputs.model)  # type: ignore[arg-type]  # expected: no Examples
    Transform(statistics, outputs_are_typed)  # type: ignore[arg-type]  # expected: no Examples either
    Trainer(examples=statistics, run_fn=outputs_are_typed)  # type: ignore[arg-type]  # expected: nor here


def resolvers_keep_the_type() -> None:
    """They have the type of the artifacts they will find."""
    window = rolling_window(rows.outputs.examples, spans=7, passed=trainer)
    assert_type(window, list[Examples])
    assert_type(latest_blessed(trainer.outputs.model), Model)
    train(window, latest_blessed(trainer.outputs.model))
    train(latest_blessed(trainer.outputs.model))  # type: ignore[arg-type]  # expected: a Model again
    rolling_window(rows.outputs, spans=7)  # type: ignore[type-var]  # expected: outputs are no artifact


def parameters_are_plain_values() -> None:
    """Placeholders have the types of what they stand for."""
    assert_type(run.date, str)
    assert_type(run.id, str)
    assert_type(env("STAGE"), str)
    assert_type(files("x"), FileSet)
    train(rows.outputs.examples, rate=0.5, run_fn=outputs_are_typed)
    train(rows.outputs.examples, rate=measure(trainer.outputs.model).outputs.result)
    train(rows.outputs.examples, rate=run.date)  # type: ignore[arg-type]  # expected: a date is no float
    train(rows.outputs.examples, rate="0.5")  # type: ignore[arg-type]  # expected: a text is no float
    read("data.csv")  # type: ignore[arg-type]  # expected: write files(...)
    read(files("x"), limit=0.5)  # type: ignore[arg-type]  # expected: half a row
    files("x", window="7")  # type: ignore[arg-type]  # expected: a number of days


def nodes_pipelines_and_options() -> None:
    """Everything else a definition is made of."""
    rows >> trainer
    trainer.with_options(NodeOptions(retries=2, resources=Resources(memory="4Gi"))).with_id("x")
    NodeOptions(retires=2)  # type: ignore[call-arg]  # expected: no such option
    NodeOptions(timeout="1h")  # type: ignore[arg-type]  # expected: seconds or a timedelta
    Pipeline("p", nodes=[rows, trainer, Pipeline("q", nodes=[rows])], schedule=Schedule("@daily"))
    Pipeline("p", nodes=[train])  # type: ignore[list-item]  # expected: a component is no node
    Pipeline("p", schedule="@daily")  # type: ignore[arg-type]  # expected: a Schedule


def properties_are_typed(examples: Examples) -> None:
    """In executors too."""
    examples.span = 3
    examples.span = "3"  # type: ignore[assignment]  # expected: a span is a number
    assert_type(examples.span, int | None)
    assert_type(examples.splits, list[str])
