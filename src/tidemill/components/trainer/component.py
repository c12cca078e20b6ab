"""What Trainer takes and gives; the work is in `executor`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidemill.dsl.component import Input, Outputs, component
from tidemill.types.standard import Examples, Model, ModelRun, Schema, TransformGraph


class TrainerOutputs(Outputs):
    """The model, and the traces of its training."""

    model: Model
    model_run: ModelRun


@component(executor="tidemill.components.trainer.executor:run")
def Trainer(
    examples: Input[Examples | list[Examples]],
    run_fn: Callable[..., Any],
    *,
    transform_graph: Input[TransformGraph] | None = None,
    schema: Input[Schema] | None = None,
    base_model: Input[Model] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    custom_config: Mapping[str, Any] | None = None,
    train_splits: Sequence[str] = ("train",),
    eval_splits: Sequence[str] = ("eval",),
    allow_pickle: bool = False,
) -> TrainerOutputs:
    """Train a model with user code.

    run_fn: called with one `tidemill.components.trainer.fn_args.FnArgs`; writes the model's files to
        `args.model_dir` and returns nothing.
    transform_graph: copied into the model, so that it can be fed raw rows.
    base_model: a model to start from (warm start).
    hyperparameters, custom_config: plain values handed on to run_fn.
    allow_pickle: accept pickled files (.pkl, .joblib, ...) in the model. Whoever loads one runs its code.

    Adds `model.json` to the model: framework, versions, inputs, digest of the transform graph.
    Errors: DataError when run_fn writes no file, writes pickles, or names a split that is not there; what
    run_fn raises is shown as it is.
    """
