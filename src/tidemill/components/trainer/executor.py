"""Trainer's work: call run_fn, then make sure that what it left is a model that can be handed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidemill.data.dataset import Dataset
from tidemill.data.transform import FittedGraph
from tidemill.training.finish import finish
from tidemill.training.fn_args import FnArgs
from tidemill.training.hyperparameters import together
from tidemill.types.standard import Examples, HyperParameters, Model, ModelRun, Schema, TransformGraph


def run(
    *,
    examples: Sequence[Examples],
    run_fn: Callable[..., Any],
    model: Model,
    model_run: ModelRun,
    transform_graph: TransformGraph | None = None,
    schema: Schema | None = None,
    base_model: Model | None = None,
    best_hyperparameters: HyperParameters | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    custom_config: Mapping[str, Any] | None = None,
    train_splits: Sequence[str] = ("train",),
    eval_splits: Sequence[str] = ("eval",),
    allow_pickle: bool = False,
) -> None:
    """Write the model of `run_fn` with its manifest; see the component."""
    graph = FittedGraph.load(transform_graph.path) if transform_graph else None
    reference = f"{run_fn.__module__}:{run_fn.__qualname__}"
    args = FnArgs(
        train=Dataset.of(examples, train_splits),
        eval=Dataset.of(examples, eval_splits),
        model_dir=model.path,
        log_dir=model_run.path,
        transform_graph=graph,
        base_model_dir=base_model.path if base_model else None,
        schema_dir=schema.path if schema else None,
        hyperparameters=together(
            best_hyperparameters.path if best_hyperparameters else None, hyperparameters
        ),
        custom_config=dict(custom_config or {}),
    )
    print(f"{reference}: {args.train.num_rows} rows to train, {args.eval.num_rows} to evaluate")
    run_fn(args)
    args.reports.write(model_run.path)
    finish(model.path, graph, reference, allow_pickle=allow_pickle)
