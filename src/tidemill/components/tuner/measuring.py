"""What a trial's model is worth: metrics on the eval rows, computed or as user code gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from tidemill.data.dataset import Dataset
from tidemill.data.metrics import METRICS, compute
from tidemill.errors import DataError, did_you_mean
from tidemill.models import LoadedModel
from tidemill.models.features import Array

MULTICLASS = ("accuracy", "log_loss")
TINY = 1e-15


def named(found: Any, metric: str, who: str) -> dict[str, float]:
    """What user code returned as numbers by name; DataError when the metric is not among them."""
    numbers = found if isinstance(found, Mapping) else {metric: found}
    try:
        result = {str(name): float(value) for name, value in numbers.items()}
    except (TypeError, ValueError):
        raise DataError(
            f"{who} returned {type(found).__name__}, no number and no numbers by name",
            hint=f'return the value of {metric}, or {{"{metric}": value, ...}}',
        ) from None
    if metric not in result:
        raise DataError(f"{who} returned no {metric!r}", hint=did_you_mean(metric, result))
    return result


def measure(model: LoadedModel, rows: Dataset, label: str, metric: str) -> dict[str, float]:
    """Every metric of the model's task over the rows that have a label; `metric` must be one of them."""
    manifest = model.manifest
    parts: list[Array] = []
    labels: list[Any] = []
    for table in rows.iter_batches():
        if label not in table.column_names:
            raise DataError(
                f"the eval rows have no column {label!r}", hint=did_you_mean(label, table.column_names)
            )
        known = table.filter(table.column(label).is_valid())
        if known.num_rows:
            parts.append(_answer(model, known))
            labels += known.column(label).to_pylist()
    if not parts:
        raise DataError(f"no eval row has a value in {label!r}", hint="look at eval_splits")
    found = np.concatenate(parts)
    if manifest.task == "multiclass":
        return _checked(_multiclass(found, labels, list(manifest.classes)), metric, manifest.task)
    kind = "regression" if manifest.task == "regression" else "classification"
    names = [name for name, known_metric in METRICS.items() if known_metric.task == kind]
    if kind == "classification" and manifest.classes:
        truth = np.array([value == manifest.classes[1] for value in labels], dtype=np.float64)
    else:
        truth = np.asarray(labels, dtype=np.float64)
    return _checked(compute(names, truth, found.astype(np.float64)), metric, manifest.task)


def _answer(model: LoadedModel, table: pa.Table) -> Array:
    """What counts of the model's outputs: the probabilities, or the prediction."""
    takes_raw = model.predictor.takes == "raw"
    outputs = model.predict(table) if takes_raw else model.predict_features(table)
    for name in ("probability", "probabilities", "prediction"):
        if name in outputs:
            return outputs[name]
    return next(iter(outputs.values()))


def _multiclass(found: Array, labels: list[Any], classes: list[Any]) -> dict[str, float]:
    places = {value: place for place, value in enumerate(classes)}
    truth = np.array([places.get(value, -1) for value in labels])
    sure = np.where(truth >= 0, found[np.arange(len(truth)), np.maximum(truth, 0)], 0.0)
    return {
        "accuracy": float((found.argmax(axis=1) == truth).mean()),
        "log_loss": float(-np.log(np.maximum(sure, TINY)).mean()),
    }


def _checked(found: dict[str, float], metric: str, task: str) -> dict[str, float]:
    if metric not in found:
        raise DataError(f"there is no metric {metric!r} for a {task} task", hint=did_you_mean(metric, found))
    return found
