"""The ready trainers' work: one entry point each, so that a node's code covers its own library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.data.dataset import Dataset
from tidemill.data.transform import FittedGraph
from tidemill.training.finish import finish
from tidemill.training.fn_args import FnArgs
from tidemill.training.hyperparameters import together
from tidemill.training.ready import Library, train
from tidemill.training.rows import Wanted
from tidemill.types.standard import Examples, HyperParameters, Model, ModelRun, Schema, TransformGraph


def run_lightgbm(**given: Any) -> None:
    """See `LightGBMTrainer`."""
    from tidemill.training.lightgbm import LIBRARY

    _run(LIBRARY, **given)


def run_xgboost(**given: Any) -> None:
    """See `XGBoostTrainer`."""
    from tidemill.training.xgboost import LIBRARY

    _run(LIBRARY, **given)


def run_sklearn(**given: Any) -> None:
    """See `SklearnTrainer`."""
    from tidemill.training.sklearn import LIBRARY

    _run(LIBRARY, **given)


def run_torch(**given: Any) -> None:
    """See `TorchTrainer`."""
    from tidemill.training.torch import LIBRARY

    _run(LIBRARY, **given)


def run_keras(**given: Any) -> None:
    """See `KerasTrainer`."""
    from tidemill.training.keras import LIBRARY

    _run(LIBRARY, **given)


def _run(
    library: Library[Any],
    *,
    examples: Sequence[Examples],
    model: Model,
    model_run: ModelRun,
    label: str,
    transform_graph: TransformGraph | None = None,
    schema: Schema | None = None,
    base_model: Model | None = None,
    best_hyperparameters: HyperParameters | None = None,
    features: Sequence[str] = (),
    weight: str = "",
    task: str = "",
    hyperparameters: Mapping[str, Any] | None = None,
    train_splits: Sequence[str] = ("train",),
    eval_splits: Sequence[str] = ("eval",),
    onnx: bool = False,
    **settings: Any,
) -> None:
    """Train with the library and finish the model's folder."""
    graph = FittedGraph.load(transform_graph.path) if transform_graph else None
    known = {name for item in examples for name in item.splits}
    args = FnArgs(
        train=Dataset.of(examples, train_splits),
        # Nobody has to make an eval split to use a ready trainer.
        eval=Dataset.of(examples, [s for s in eval_splits if s in known or tuple(eval_splits) != ("eval",)]),
        model_dir=model.path,
        log_dir=model_run.path,
        transform_graph=graph,
        base_model_dir=base_model.path if base_model else None,
        schema_dir=schema.path if schema else None,
        hyperparameters=together(
            best_hyperparameters.path if best_hyperparameters else None, hyperparameters
        ),
    )
    wanted = Wanted(label=label, features=features, weight=weight, task=task)
    train(library, args, wanted, settings, onnx=onnx)
    finish(model.path, graph, f"{library.name} trainer", allow_pickle=False)
