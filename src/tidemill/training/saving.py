"""A trained model becomes files and a manifest: the flavor is found by the library that made the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from tidemill.data.dataset import Dataset
from tidemill.errors import DataError, did_you_mean
from tidemill.models.features import fields_of_rows
from tidemill.models.flavors import code
from tidemill.models.flavors.base import Saved, output_fields
from tidemill.models.manifest import ModelManifest, write_manifest
from tidemill.models.signature import Field, Signature

TASKS = ("binary", "multiclass", "regression")


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a manifest says of a model beyond its files."""

    features: tuple[str, ...]
    task: str
    label: str = ""
    classes: tuple[int | float | str | bool, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


def save_model(
    folder: Path,
    rows: Dataset,
    model: Any,
    described: Described,
    model_fn: Callable[..., Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> None:
    """Write the model and its manifest; DataError for a task, column or kind of model that there is not."""
    if described.task not in TASKS:
        raise DataError(f"unknown task {described.task!r}", hint=did_you_mean(described.task, TASKS))
    if described.task != "regression" and len(described.classes) < 2:
        raise DataError(f"a {described.task} model has at least two classes", hint="give classes=")
    schema = schema_of(rows)
    for name in described.features:
        if name not in schema.names:
            raise DataError(f"there is no column {name!r}", hint=did_you_mean(name, schema.names))
    listed = rows.iter_batches(described.features)
    fields = tuple(fields_of_rows(described.features, schema, listed))
    write(folder, _save(folder, model, model_fn, arguments), fields, described)


def write(folder: Path, saved: Saved, fields: tuple[Field, ...], described: Described) -> None:
    """The manifest of what a flavor has saved; versions, graph and hashes are added by `finish`."""
    manifest = ModelManifest(
        framework=saved.framework,
        flavor=saved.flavor,
        payload=saved.payload,
        task=described.task,
        label=described.label,
        classes=described.classes,
        features=fields,
        signature=Signature(outputs=output_fields(described.task, described.classes)),
        details=described.details,
    )
    write_manifest(folder, manifest)


def save_code(
    folder: Path,
    manifest: ModelManifest,
    predict_fn: Callable[..., Any],
    takes: str,
    modules: Sequence[ModuleType],
) -> None:
    """Keep a prediction function with the model, and say so in its manifest."""
    saved = code.save(folder, predict_fn, takes=takes, modules=modules)
    write_manifest(folder, replace(manifest, flavor=saved.flavor, payload=saved.payload))


def schema_of(rows: Dataset) -> pa.Schema:
    """Columns of the rows with their types, as `Dataset.to_arrow` would give them."""
    from tidemill.data.parquet import read_schema

    return pa.unify_schemas([read_schema(f) for f in rows.folders], promote_options="permissive")


def _save(
    folder: Path, model: Any, model_fn: Callable[..., Any] | None, arguments: Mapping[str, Any] | None
) -> Saved:
    """Save with the flavor of the library that one of the model's classes comes from."""
    makers = [base.__module__.partition(".")[0] for base in type(model).__mro__]
    if "lightgbm" in makers:
        from tidemill.models.flavors import lightgbm

        return lightgbm.save(folder, getattr(model, "booster_", model))
    if "xgboost" in makers:
        from tidemill.models.flavors import xgboost

        return xgboost.save(folder, model.get_booster() if hasattr(model, "get_booster") else model)
    if "keras" in makers:
        from tidemill.models.flavors import keras

        return keras.save(folder, model)
    if "torch" in makers:
        from tidemill.models.flavors import torch

        return torch.save(folder, model, model_fn=model_fn, arguments=arguments)
    if "onnx" in makers:
        from tidemill.models.flavors import onnx

        return onnx.save(folder, model)
    if "sklearn" in makers:
        from tidemill.models.flavors import sklearn

        return sklearn.save(folder, model)
    raise DataError(
        f"tidemill has no safe way to save a {type(model).__module__}.{type(model).__qualname__}",
        hint="write its numbers yourself and keep your prediction function with args.save_code(...)",
    )
