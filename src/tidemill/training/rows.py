"""Rows as ready trainers take them: one matrix of features, one vector of labels, and what the task is.

Everything that data can have wrong is found here, with the column's name, so that no library has to
complain about an array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tidemill.data.dataset import Dataset
from tidemill.data.transform import FittedGraph
from tidemill.errors import DataError, did_you_mean
from tidemill.models.features import Array, arrays_of_table, fields_of_rows, matrix
from tidemill.models.signature import Field
from tidemill.training.saving import TASKS, schema_of

MOST_CLASSES = 1000
NUMBERS = ("int", "float", "bool", "empty")


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one split that have a label."""

    x: Array
    """Shape (rows, sum of the features' widths); a missing value is NaN."""
    y: Array
    """Shape (rows,): numbers of a regression, else the place of the class in `Rows.classes`."""
    weight: Array | None

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, slots=True)
class Rows:
    """What a ready trainer works on."""

    label: str
    task: str
    classes: tuple[int | float | str | bool, ...]
    fields: tuple[Field, ...]
    columns: tuple[str, ...]
    """Name of each column of the matrix; a vector's have numbers, such as `words[3]`."""
    train: Part
    eval: Part | None
    """None when the eval splits have no rows with a known label."""

    @property
    def outputs(self) -> int:
        """Numbers that a network gives for a row."""
        return len(self.classes) if self.task == "multiclass" else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which columns play which part; see the components' parameters."""

    label: str
    features: Sequence[str] = ()
    weight: str = ""
    task: str = ""


def prepare(
    train: Dataset, evaluation: Dataset, graph: FittedGraph | None, wanted: Wanted, dtype: Any
) -> Rows:
    """Read both datasets; DataError for columns, labels and values that cannot be trained on."""
    schema = schema_of(train)
    fields = _fields(train, schema, graph, wanted)
    if not train.num_rows:
        raise DataError("there are no rows to train on", hint="look at the examples, or at train_splits")
    labels = _labels(train, wanted.label)
    task, classes = _task(labels, wanted)
    part = _part(train, fields, wanted, (task, classes), dtype, "train")
    assert part is not None
    _check_labels(part.y, task, wanted.label)
    held = _part(evaluation, fields, wanted, (task, classes), dtype, "eval") if evaluation.num_rows else None
    columns = tuple(
        name for f in fields for name in ([f"{f.name}[{i}]" for i in range(f.width)] if f.shape else [f.name])
    )
    for rows in filter(None, (part, held)):
        _check_finite(rows.x, columns)
    return Rows(wanted.label, task, classes, fields, columns, part, held)


def refuse_missing(rows: Rows, who: str, hint: str) -> None:
    """DataError that names the column, when there is a missing value; for models that take none."""
    for part in filter(None, (rows.train, rows.eval)):
        missing = np.isnan(part.x).any(axis=0)
        if missing.any():
            name = rows.columns[int(missing.argmax())]
            raise DataError(f"feature {name!r} has missing values, and {who} takes none", hint=hint)


def _fields(rows: Dataset, schema: pa.Schema, graph: FittedGraph | None, wanted: Wanted) -> tuple[Field, ...]:
    """The features: those named, else all outputs of the graph (or all columns) but label and weight."""
    if wanted.label not in schema.names:
        raise DataError(
            f"the examples have no column {wanted.label!r} to learn",
            hint=did_you_mean(wanted.label, schema.names),
        )
    others = {wanted.label, wanted.weight}
    known = [name for name in schema.names if name not in others]
    if wanted.weight and wanted.weight not in schema.names:
        raise DataError(
            f"the examples have no column {wanted.weight!r} for weights",
            hint=did_you_mean(wanted.weight, schema.names),
        )
    names = list(wanted.features)
    if not names:
        # A graph that knows which outputs come from a label names its features.
        outputs = getattr(graph, "features", graph.output_types) if graph else ()
        made = [name for name in outputs if name in known]
        names = made or known
    if wanted.label in names:
        raise DataError(f"the label {wanted.label!r} is among the features", hint="a model must not see it")
    for name in names:
        if name not in schema.names:
            raise DataError(f"the examples have no column {name!r}", hint=did_you_mean(name, schema.names))
    if not names:
        raise DataError("there is no feature: the examples have the label and nothing else")
    names = list(dict.fromkeys(names))
    fields = tuple(fields_of_rows(names, schema, rows.iter_batches(names)))
    for field in fields:
        if field.type not in NUMBERS:
            raise DataError(
                f"feature {field.name!r} is {field.type}, and ready trainers take numbers",
                hint="make a number of it in preprocessing_fn (compute_and_apply_vocabulary), "
                "or leave it out with features=[...]",
            )
    return fields


def _labels(rows: Dataset, label: str) -> list[Any]:
    """Up to MOST_CLASSES + 1 distinct labels that are there, sorted; DataError when there are none."""
    found: set[Any] = set()
    seen = False
    for table in rows.iter_batches([label]):
        values = table.column(label).unique().to_pylist()
        present = [v for v in values if v is not None and v == v]
        seen = seen or bool(present)
        if len(found) <= MOST_CLASSES:
            found.update(present)
    if not seen:
        raise DataError(
            f"the label {label!r} has no value in any row", hint="join the labels first, or check label="
        )
    return sorted(found)


def _task(labels: list[Any], wanted: Wanted) -> tuple[str, tuple[int | float | str | bool, ...]]:
    """The task, and the classes unless it is a regression."""
    task, name = wanted.task, wanted.label
    if task and task not in TASKS:
        raise DataError(f"unknown task {task!r}", hint=did_you_mean(task, TASKS))
    text = isinstance(labels[0], str)
    if not (text or isinstance(labels[0], (bool, int, float))):
        raise DataError(f"the label {name!r} is neither a number nor a text: {labels[0]!r}")
    if not task:
        if isinstance(labels[0], float) and any(v != int(v) for v in labels if np.isfinite(v)):
            task = "regression"
        elif text or len(labels) <= 2:
            task = "binary" if len(labels) <= 2 else "multiclass"
        else:
            raise DataError(
                f"the label {name!r} has {len(labels)} different whole numbers: are they classes or amounts?",
                hint='say task="multiclass" or task="regression"',
            )
    if task == "regression":
        if text:
            raise DataError(f"the label {name!r} is text, which no regression can learn")
        return task, ()
    if len(labels) == 1:
        raise DataError(
            f"the label {name!r} has one class only, {labels[0]!r}: there is nothing to learn",
            hint="check how the label is made, or the filter before it",
        )
    if task == "binary" and len(labels) > 2:
        raise DataError(
            f"the label {name!r} has {len(labels)} classes, and task is binary", hint='say task="multiclass"'
        )
    if len(labels) > MOST_CLASSES:
        raise DataError(
            f"the label {name!r} has more than {MOST_CLASSES} classes", hint='is it task="regression"?'
        )
    return task, tuple(labels)


def _part(
    rows: Dataset,
    fields: Sequence[Field],
    wanted: Wanted,
    kind: tuple[str, tuple[Any, ...]],
    dtype: Any,
    what: str,
) -> Part | None:
    """Rows with a label as arrays, filled one row group at a time; None when there is none."""
    task, classes = kind
    width = sum(field.width for field in fields)
    x = np.empty((rows.num_rows, width), dtype)
    y = np.empty(rows.num_rows, np.float64 if task == "regression" else np.int64)
    weight = np.empty(rows.num_rows, np.float64) if wanted.weight else None
    places = {value: place for place, value in enumerate(classes)}
    at = 0
    columns = [*(f.name for f in fields), wanted.label, *([wanted.weight] if wanted.weight else [])]
    for table in rows.iter_batches(columns):
        labels, known = _numbers(table.column(wanted.label), task, places)
        end = at + int(known.sum())
        x[at:end] = matrix(arrays_of_table(table, fields), fields, dtype)[known]
        y[at:end] = labels[known]
        if weight is not None:
            weight[at:end] = _weights(table.column(wanted.weight), wanted.weight)[known]
        at = end
    if at < rows.num_rows:
        print(f"{what}: {rows.num_rows - at} of {rows.num_rows} rows have no usable label and are left out")
    return Part(x[:at], y[:at], None if weight is None else weight[:at]) if at else None


def _numbers(column: Any, task: str, places: dict[Any, int]) -> tuple[Array, Array]:
    """Labels as numbers, and which of them count."""
    if task == "regression":
        values = np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
        return values, ~np.isnan(values)
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    table = np.array([places.get(v, -1) for v in encoded.dictionary.to_pylist()] or [-1], np.int64)
    indices = np.asarray(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
    found = np.where(indices < 0, -1, table[np.maximum(indices, 0)])
    return found, found >= 0


def _weights(column: Any, name: str) -> Array:
    values = np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
    if not (values >= 0).all() or not np.isfinite(values).all():
        raise DataError(f"weights in {name!r} must be there, finite and not negative")
    return values


def _check_labels(y: Array, task: str, label: str) -> None:
    if task == "regression" and not np.isfinite(y).all():
        raise DataError(f"the label {label!r} has infinite values", hint="clip it in preprocessing_fn")


def _check_finite(x: Array, columns: Sequence[str]) -> None:
    infinite = np.isinf(x).any(axis=0)
    if infinite.any():
        raise DataError(
            f"feature {columns[int(infinite.argmax())]!r} has infinite values",
            hint="clip it in preprocessing_fn",
        )
