"""TunerTrial's work: train with some hyperparameters in a scratch folder, measure, keep the numbers."""

from __future__ import annotations

import math
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.components.tuner.measuring import measure, named
from tidemill.components.tuner.records import direction_of, plain, read_study
from tidemill.data.dataset import Dataset
from tidemill.data.transform import FittedGraph
from tidemill.errors import DataError, did_you_mean
from tidemill.models import load_model
from tidemill.models.flavors.base import library
from tidemill.training.finish import finish
from tidemill.training.fn_args import FnArgs
from tidemill.training.ready import Library, train
from tidemill.training.reports import Reports, TrialPruned
from tidemill.training.rows import Wanted
from tidemill.types.search import PRUNERS
from tidemill.types.standard import (
    Examples,
    JsonValue,
    Model,
    Schema,
    TransformGraph,
    TunerResults,
)

TRAINERS = ("KerasTrainer", "LightGBMTrainer", "SklearnTrainer", "TorchTrainer", "XGBoostTrainer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a trial does; see `Tuner`."""

    metric: str
    direction: str
    label: str
    trial_fn: Callable[..., Any] | None
    run_fn: Callable[..., Any] | None
    metric_fn: Callable[..., Any] | None
    trainer: str
    arguments: Mapping[str, Any]
    model_fn: Callable[..., Any] | None


def run(
    *,
    examples: Sequence[Examples],
    parameters: Mapping[str, Any],
    metric: str,
    result: JsonValue,
    trial_fn: Callable[..., Any] | None = None,
    run_fn: Callable[..., Any] | None = None,
    metric_fn: Callable[..., Any] | None = None,
    trainer: str = "",
    arguments: Mapping[str, Any] | None = None,
    model_fn: Callable[..., Any] | None = None,
    label: str = "",
    transform_graph: TransformGraph | None = None,
    schema: Schema | None = None,
    base_model: Model | None = None,
    study: TunerResults | None = None,
    pruner: str = "",
    direction: str = "",
    hyperparameters: Mapping[str, Any] | None = None,
    custom_config: Mapping[str, Any] | None = None,
    train_splits: Sequence[str] = ("train",),
    eval_splits: Sequence[str] = ("eval",),
    allow_failed_trials: bool = False,
) -> None:
    """Run one trial and keep what came of it; see the component."""
    task = Task(
        metric=metric, direction=direction_of(metric, direction), label=label, trial_fn=trial_fn,
        run_fn=run_fn, metric_fn=metric_fn, trainer=trainer, arguments=arguments or {}, model_fn=model_fn,
    )  # fmt: skip
    _check(task)
    print(f"trying {dict(parameters)}")
    with tempfile.TemporaryDirectory(prefix="trial-") as scratch:
        for name in ("model", "log"):
            (Path(scratch) / name).mkdir()
        args = FnArgs(
            train=Dataset.of(examples, train_splits),
            eval=Dataset.of(examples, eval_splits),
            model_dir=Path(scratch) / "model",
            log_dir=Path(scratch) / "log",
            transform_graph=FittedGraph.load(transform_graph.path) if transform_graph else None,
            base_model_dir=base_model.path if base_model else None,
            schema_dir=schema.path if schema else None,
            hyperparameters={
                **(task.arguments.get("hyperparameters") or {}),
                **(hyperparameters or {}),
                **parameters,
            },
            custom_config=dict(custom_config or {}),
        )
        if not args.eval.num_rows and task.trial_fn is None:
            raise DataError(f"splits {list(eval_splits)} have no rows to measure trials on")
        if pruner and study is not None:
            args.reports.prune = _pruning(pruner, study.path, args.reports, task.direction)
        result.value = _outcome(task, args, allow_failed_trials)
    print(f"{result.value['state']}: {metric} {result.value['value']}")


def _outcome(task: Task, args: FnArgs, allow_failed: bool) -> dict[str, Any]:
    """The trial's state, value, metrics and reports, as plain JSON."""
    state, metrics, error = "complete", {}, ""
    try:
        metrics = _metrics(task, args)
    except TrialPruned as pruned:
        state, error = "pruned", pruned.message
    except Exception as failure:
        if not allow_failed:
            raise
        traceback.print_exc()
        state, error = "failed", f"{type(failure).__name__}: {failure}"
    value = metrics.get(task.metric, math.nan)
    if state == "complete" and not math.isfinite(value):
        state, error = "failed", f"{task.metric} is {value}"
    return {
        "state": state,
        "value": plain(value),
        "metrics": {name: plain(number) for name, number in sorted(metrics.items())},
        "reports": {str(step): plain(number) for step, number in sorted(args.reports.values.items())},
        "error": error,
    }


def _metrics(task: Task, args: FnArgs) -> dict[str, float]:
    """Train and measure in the way the task says."""
    if task.trial_fn is not None:
        return named(task.trial_fn(args), task.metric, "trial_fn")
    if task.run_fn is not None:
        reference = f"{task.run_fn.__module__}:{task.run_fn.__qualname__}"
        task.run_fn(args)
        if task.metric_fn is not None:
            return named(task.metric_fn(args.model_dir, args.eval), task.metric, "metric_fn")
        finish(args.model_dir, args.transform_graph, reference, allow_pickle=False)
        # The code in the model is that of the pipeline itself, which has just been run.
        return measure(load_model(args.model_dir, allow_code=True), args.eval, task.label, task.metric)
    chosen = _library(task.trainer)
    given = {name: value for name, value in task.arguments.items() if name != "hyperparameters"}
    parts = {name: given.pop(name) for name in ("label", "features", "weight", "task") if name in given}
    for name in ("onnx", "train_splits", "eval_splits"):  # of the trainer, not of a trial
        given.pop(name, None)
    if task.model_fn is not None:
        given["estimator_fn" if task.trainer == "SklearnTrainer" else "model_fn"] = task.model_fn
    wanted = Wanted(**{"label": task.label, **parts})
    train(chosen, args, wanted, given, onnx=False)
    finish(args.model_dir, args.transform_graph, task.trainer, allow_pickle=False)
    return measure(load_model(args.model_dir, allow_code=True), args.eval, wanted.label, task.metric)


def _library(name: str) -> Library[Any]:
    """The ready trainer of this name. Imports stand here one by one, so that a trial's code covers them."""
    match name:
        case "LightGBMTrainer":
            from tidemill.training import lightgbm

            return lightgbm.LIBRARY
        case "XGBoostTrainer":
            from tidemill.training import xgboost

            return xgboost.LIBRARY
        case "SklearnTrainer":
            from tidemill.training import sklearn

            return sklearn.LIBRARY
        case "TorchTrainer":
            from tidemill.training import torch

            return torch.LIBRARY
        case "KerasTrainer":
            from tidemill.training import keras

            return keras.LIBRARY
    raise DataError(f"{name!r} is no ready trainer", hint=did_you_mean(name, TRAINERS))


def _check(task: Task) -> None:
    """DataError unless there is one way to train."""
    ways = {"trial_fn": task.trial_fn, "run_fn": task.run_fn, "trainer": task.trainer or None}
    given = [name for name, value in ways.items() if value is not None]
    if len(given) != 1:
        raise DataError(
            f"a trial needs one way to train, and got {' and '.join(given) or 'none'}",
            hint="give Tuner a trainer=, a run_fn= or a trial_fn=",
        )
    if task.trainer and not (task.label or task.arguments.get("label")):
        raise DataError("the trainer needs a label", hint='arguments={"label": ...}')
    if task.run_fn is not None and task.metric_fn is None and not task.label:
        raise DataError("nothing says what the model predicts", hint="give label=, or a metric_fn")


def _pruning(name: str, folder: Path, reports: Reports, direction: str) -> Callable[[int, float], bool]:
    """Whether a value at a step is worse than those of earlier trials, as one of Optuna's pruners judges."""
    if name not in PRUNERS:
        raise DataError(f"unknown pruner {name!r}", hint=did_you_mean(name, PRUNERS))
    optuna = library("optuna", "tuner")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds = {
        "median": optuna.pruners.MedianPruner,
        "successive_halving": optuna.pruners.SuccessiveHalvingPruner,
    }
    known = read_study(folder)
    trial: list[Any] = []

    def prune(step: int, value: float) -> bool:
        if not trial:  # not before the first report: it says which way values are better
            lower = direction == "minimize" if reports.lower_is_better is None else reports.lower_is_better
            study = optuna.create_study(direction="minimize" if lower else "maximize", pruner=kinds[name]())
            for earlier in known.trials:
                values = {int(s): v for s, v in earlier.get("reports", {}).items() if v is not None}
                if earlier["state"] in ("complete", "pruned") and values:
                    state = "COMPLETE" if earlier["state"] == "complete" else "PRUNED"
                    study.add_trial(
                        optuna.trial.create_trial(
                            state=optuna.trial.TrialState[state], intermediate_values=values,
                            value=list(values.values())[-1] if state == "COMPLETE" else None,
                        )
                    )  # fmt: skip
            trial.append(study.ask())
        trial[0].report(value, step)
        return bool(trial[0].should_prune())

    return prune
