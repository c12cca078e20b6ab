"""Trainer's work: call run_fn, then make sure that what it left is a model that can be handed on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tidemill.components.trainer.fn_args import FnArgs
from tidemill.data.dataset import Dataset
from tidemill.data.model_manifest import (
    FILE,
    GRAPH_FOLDER,
    ModelManifest,
    complete,
    pickles_in,
    read_manifest,
    write_manifest,
)
from tidemill.data.transform import FittedGraph
from tidemill.errors import DataError
from tidemill.types.standard import Examples, Model, ModelRun, Schema, TransformGraph


def run(
    *,
    examples: Sequence[Examples],
    run_fn: Callable[..., Any],
    model: Model,
    model_run: ModelRun,
    transform_graph: TransformGraph | None = None,
    schema: Schema | None = None,
    base_model: Model | None = None,
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
        hyperparameters=dict(hyperparameters or {}),
        custom_config=dict(custom_config or {}),
    )
    print(f"{reference}: {args.train.num_rows} rows to train, {args.eval.num_rows} to evaluate")
    run_fn(args)
    _check_files(model.path, reference, allow_pickle)
    written = read_manifest(model.path) if (model.path / FILE).exists() else ModelManifest()
    if graph is not None:
        folder = model.path / GRAPH_FOLDER
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
        graph.graph.save(folder)
    write_manifest(model.path, complete(written, model.path, graph, reference))


def _check_files(folder: Path, reference: str, allow_pickle: bool) -> None:
    """DataError unless there is a model among the files, and no pickle."""
    ours = {FILE, GRAPH_FOLDER}
    files = [p for p in folder.rglob("*") if p.is_file() and p.relative_to(folder).parts[0] not in ours]
    if not files:
        raise DataError(
            f"{reference} wrote no model: args.model_dir is empty",
            hint="save the model's files under args.model_dir",
        )
    if not allow_pickle and (pickles := pickles_in(folder)):
        names = ", ".join(path.relative_to(folder).as_posix() for path in pickles)
        raise DataError(
            f"{reference} wrote pickled files: {names}. Loading a pickle runs whatever code is in it",
            hint="save the framework's own format (ONNX, skops, .txt of lightgbm, .npz of numbers); "
            "or set allow_pickle=True",
        )
