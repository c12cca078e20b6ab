"""What a type checker must accept and refuse in users' code. Never run: mypy reads it.

Each `type: ignore` stands for an error that must be reported, with that very code: mypy is told to
complain about an ignore that is not needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from tidemill import (
    Else,
    ElseWhen,
    Examples,
    ExampleStatistics,
    FileSet,
    Float,
    ForEach,
    Input,
    Model,
    Node,
    NodeOptions,
    Outputs,
    Pipeline,
    Resources,
    Schedule,
    When,
    approval,
    choose,
    collect,
    component,
    env,
    files,
    importer,
    latest,
    latest_blessed,
    latest_many,
    not_,
    on_exit,
    one_of,
    rolling_window,
    run,
    spans,
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


def control_keeps_the_types() -> None:
    """Items, collections, joins and conditions have the types of what they will be."""
    with ForEach([0.1, 0.5]) as rate:
        assert_type(rate, float)
        trained = train(rows.outputs.examples, rate=rate)
    assert_type(collect(trained.outputs.model), list[Model])
    assert_type(one_of(trained.outputs.model, trainer.outputs.model), Model)
    assert_type(latest(trainer.outputs.model, complete=True), Model)
    assert_type(latest_many(rows.outputs.examples, 3), list[Examples])
    assert_type(spans(rows.outputs.examples, 1, 3), list[Examples])
    with When((rows.outputs.examples.span == 3) & not_(run.id == "x")):
        on_exit(train(rows.outputs.examples))
    with ElseWhen("no condition"):  # type: ignore[arg-type]  # expected: a text is no condition
        train(rows.outputs.examples)
    with Else():
        approval("go on?") >> trainer
    assert_type(importer("data", Examples).outputs.artifact, Examples)
    choose(rows.outputs.examples, by=len)  # type: ignore[arg-type]  # expected: it returns no list
    with ForEach(["a"]) as word:
        train(rows.outputs.examples, rate=word)  # type: ignore[arg-type]  # expected: a text is no float


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
