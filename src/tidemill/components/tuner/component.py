"""What Tuner takes and gives; the work of its nodes is in `asking`, `trial` and `telling`.

Tuner is no node but several: rounds of *ask* (what to try), a loop of *trials*, and at the end *best*. So a
trial is claimed, cached, retried and canceled like every other node, on every runner.

    tuner = Tuner(
        examples=transform.outputs.transformed,
        transform_graph=transform.outputs.transform_graph,
        trainer=LightGBMTrainer,
        arguments={"label": "tipped"},
        space={"learning_rate": FloatRange(0.01, 0.3, log=True), "num_leaves": IntRange(7, 127)},
        metric="auc",
        num_trials=20,
        num_parallel_trials=2,
    )
    LightGBMTrainer(..., best_hyperparameters=tuner.outputs.best_hyperparameters)

A trial trains and measures, in one of three ways:
trainer, arguments: a ready trainer and its parameters; model_fn is its model_fn or estimator_fn.
run_fn: as for Trainer. Then metric_fn(model_dir, eval rows) gives the metric, or several by name; without
    it the model must be one that `load_model` opens, and `label` says what it predicts.
trial_fn: a function of FnArgs that does all and returns the metric, or several by name.

space: what is searched, by hyperparameter. Fixed ones stand in `hyperparameters`.
metric: what decides: auc, log_loss, accuracy, rmse, ..., or a name of your own with a `direction` of
    "maximize" or "minimize". It is measured on the eval splits.
num_trials, num_parallel_trials: how many there are, and how many run at once; these take one thread
    each unless arguments say num_threads. Trials are chosen in rounds, and those of one round do not
    know each other. rounds: how many; few by default.
sampler: "tpe" (learns from earlier rounds), "random", or "grid" (every combination).
pruner: "median" or "successive_halving" end a trial whose `args.report` values are worse than others'
    of earlier rounds were at that step; ready trainers report after each round or epoch.
allow_failed_trials: a trial that raises is recorded as failed, and the search goes on; else it fails
    its node, which can be retried.
trial_options: options of the trials' nodes: retries, resources, an environment.

The search depends on `seed` and on what trials give, and on nothing else. Its record is that of its
nodes: parameters, states and times; a run that was interrupted goes on with what is there. Equal trials
are reused from any earlier run. `tuner_results` holds `trials.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from tidemill.dsl.component import Component, Input, Outputs, component
from tidemill.dsl.control import ForEach, collect
from tidemill.dsl.location import caller
from tidemill.dsl.node import Node
from tidemill.dsl.options import NodeOptions
from tidemill.dsl.pipeline import Pipeline
from tidemill.types.search import Search, SearchSpace, check_arguments, space_to_json
from tidemill.types.standard import (
    Examples,
    HyperParameters,
    JsonValue,
    Model,
    Schema,
    TransformGraph,
    TunerResults,
)


class AskOutputs(Outputs):
    """What to try next, and all that was tried."""

    study: TunerResults
    trials: JsonValue


class TrialOutputs(Outputs):
    """What came of a trial."""

    result: JsonValue


class TunerOutputs(Outputs):
    """The best hyperparameters, for a trainer's `best_hyperparameters`, and every trial."""

    best_hyperparameters: HyperParameters
    tuner_results: TunerResults


@component(executor="tidemill.components.tuner.asking:run")
def TunerAsk(
    space: Mapping[str, Any],
    metric: str,
    *,
    before: Input[TunerResults] | None = None,
    finished: Sequence[Any] = (),
    direction: str = "",
    sampler: str = "tpe",
    seed: int = 0,
    count: int = 1,
) -> AskOutputs:
    """Choose hyperparameters to try, from all that was tried. A part of `Tuner`."""


@component(executor="tidemill.components.tuner.trial:run")
def TunerTrial(
    examples: Input[Examples | list[Examples]],
    parameters: Mapping[str, Any],
    metric: str,
    *,
    trial_fn: Callable[..., Any] | None = None,
    run_fn: Callable[..., Any] | None = None,
    metric_fn: Callable[..., Any] | None = None,
    trainer: str = "",
    arguments: Mapping[str, Any] | None = None,
    model_fn: Callable[..., Any] | None = None,
    label: str = "",
    transform_graph: Input[TransformGraph] | None = None,
    schema: Input[Schema] | None = None,
    base_model: Input[Model] | None = None,
    study: Input[TunerResults] | None = None,
    pruner: str = "",
    direction: str = "",
    hyperparameters: Mapping[str, Any] | None = None,
    custom_config: Mapping[str, Any] | None = None,
    train_splits: Sequence[str] = ("train",),
    eval_splits: Sequence[str] = ("eval",),
    allow_failed_trials: bool = False,
) -> TrialOutputs:
    """Train with some hyperparameters and measure. A part of `Tuner`."""


@component(executor="tidemill.components.tuner.telling:run")
def TunerBest(
    study: Input[TunerResults],
    finished: Sequence[Any] = (),
) -> TunerOutputs:
    """Say which trial was best, and keep all of them. A part of `Tuner`."""


def Tuner(
    examples: Examples | list[Examples],
    space: SearchSpace,
    *,
    metric: str,
    trainer: Component[..., Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
    model_fn: Callable[..., Any] | None = None,
    run_fn: Callable[..., Any] | None = None,
    metric_fn: Callable[..., Any] | None = None,
    trial_fn: Callable[..., Any] | None = None,
    label: str = "",
    transform_graph: TransformGraph | None = None,
    schema: Schema | None = None,
    base_model: Model | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    custom_config: Mapping[str, Any] | None = None,
    num_trials: int = 20,
    num_parallel_trials: int = 1,
    rounds: int = 0,
    sampler: str = "tpe",
    pruner: str = "",
    direction: str = "",
    seed: int = 0,
    train_splits: Sequence[str] = ("train",),
    eval_splits: Sequence[str] = ("eval",),
    allow_failed_trials: bool = False,
    trial_options: NodeOptions | None = None,
    name: str = "Tuner",
) -> Node[TunerOutputs]:
    """Search hyperparameters; the module's docstring says what each argument means.

    A trial trains and measures with a ready trainer and its arguments, with a run_fn, or with a trial_fn.
    Outputs: `best_hyperparameters`, for trainers, and `tuner_results`.
    Errors: DefinitionError for a search that cannot be; DataError when no trial was completed.
    """
    given = dict(locals())  # thirty names, most of which are handed on as they are
    return _expand(given, caller())


def _expand(given: dict[str, Any], where: str) -> Node[TunerOutputs]:
    """The nodes of a search, as a sub-pipeline of its name."""
    space, parallel = given.pop("space"), given.pop("num_parallel_trials")
    sampler, seed, name = given.pop("sampler"), given.pop("seed"), given.pop("name")
    search = Search(space, given.pop("num_trials"), parallel, given.pop("rounds"), sampler, given["pruner"])
    search.check(where)
    options = given.pop("trial_options")
    trial = {**given, **_trainer(given["trainer"], given["arguments"], parallel, where)}
    asked = {
        "space": space_to_json(space), "sampler": sampler, "seed": seed,
        "metric": given["metric"], "direction": given["direction"],
    }  # fmt: skip

    def expand() -> Node[TunerOutputs]:
        study: Any = None
        finished: Any = ()
        for number, count in enumerate(search.plan(), 1):
            ask = TunerAsk(before=study, finished=finished, count=count, **asked).with_id(f"ask_{number}")
            earlier = {"study": study} if given["pruner"] and study is not None else {}
            items = ask.outputs.trials
            with ForEach(items, name=f"trials_{number}", parallelism=parallel, limit=max(count, 1)) as item:
                node = TunerTrial(parameters=item["parameters"], **trial, **earlier).with_id(
                    f"trial_{number}"
                )
                if options is not None:
                    node.with_options(options)
            study, finished = ask.outputs.study, collect(node.outputs.result)
        return TunerBest(study=study, finished=finished).with_id("best")

    return cast("Node[TunerOutputs]", Pipeline.of_function(expand, name)())


def _trainer(
    trainer: Component[..., Any] | None, arguments: Mapping[str, Any] | None, parallel: int, where: str
) -> dict[str, Any]:
    """The ready trainer by its name, with arguments that it has."""
    known = () if trainer is None else ("label", *trainer.signature.parameters)
    if trainer is None:
        return {"trainer": "", "arguments": dict(arguments or {})}
    check_arguments(trainer.name, arguments or {}, known, where)
    # Trials that run at once share the cores, and each would want all of them.
    shared = {"num_threads": 1} if parallel > 1 and "num_threads" in known else {}
    return {"trainer": trainer.name, "arguments": {**shared, **(arguments or {})}}
