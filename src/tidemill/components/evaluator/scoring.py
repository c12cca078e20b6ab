"""Rows become labels, predictions and groups of rows; groups become metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidemill.data.dataset import Dataset
from tidemill.data.metrics import (
    Task,
    change_interval,
    check_values,
    compute,
    interval,
)
from tidemill.errors import DataError, did_you_mean
from tidemill.models.manifest import load_graph

PredictFn = Callable[[Path, pa.Table], Any]
Floats = NDArray[np.float64]

MOST_SLICES = 100
"""Slices shown of one combination of columns, largest first."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows with a label, as arrays of equal length."""

    labels: Floats
    model: Floats
    baseline: Floats | None
    keys: pa.Table
    """The columns by which rows are sliced."""
    rows_without_label: int


def score(
    rows: Dataset, predict_fn: PredictFn, model: Path, baseline: Path | None, label: str, keys: Sequence[str]
) -> Scored:
    """Predict all rows with both models, one batch at a time; only numbers and keys are kept."""
    wanted = [label, *keys]
    graph = load_graph(model)
    derived = [name for name in dict.fromkeys(wanted) if name not in rows.columns]
    made = list(graph.graph.outputs) if graph else []
    for name in derived:
        if graph is None or name not in made:
            raise DataError(
                f"neither the examples nor the model's transform graph has a column {name!r}",
                hint=did_you_mean(name, [*rows.columns, *made]),
            )
    parts: list[tuple[Floats, Floats, Floats, pa.Table]] = []
    left_out = 0
    for batch in rows.iter_batches():
        known = batch
        if derived and graph is not None:
            extra = graph.transform(batch, derived)
            for name in derived:
                known = known.append_column(name, extra.column(name))
        labels, labelled = _labels(known.column(label), label)
        left_out += batch.num_rows - int(labelled.sum())
        if not labelled.all():
            mask = pa.array(labelled)
            batch, known, labels = batch.filter(mask), known.filter(mask), labels[labelled]
        if not batch.num_rows:
            continue
        new = predict(predict_fn, model, batch)
        old = predict(predict_fn, baseline, batch) if baseline else new
        parts.append((labels, new, old, known.select(list(keys))))
    if not parts:
        raise DataError(f"there are no rows with a value in {label!r}", hint="check label= and splits=")
    labels, new, old = (np.concatenate([part[i] for part in parts]) for i in range(3))
    table = pa.concat_tables([part[3] for part in parts], promote_options="permissive")
    return Scored(labels, new, old if baseline else None, table, left_out)


def predict(predict_fn: PredictFn, model: Path, rows: pa.Table) -> Floats:
    """One float per row from user code; DataError when it returns anything else."""
    result = np.asarray(predict_fn(model, rows))
    if result.shape == (rows.num_rows, 1):
        result = result[:, 0]
    if result.shape != (rows.num_rows,) or result.dtype.kind not in "fiub":
        raise DataError(
            f"predict_fn returned {result.dtype} of shape {result.shape} for {rows.num_rows} rows",
            hint="return one number per row: a numpy array of shape (rows,)",
        )
    return result.astype(np.float64)


def measure(names: Sequence[str], task: Task, scored: Scored) -> dict[str, Any]:
    """Metrics of both models over all rows, with intervals where they are cheap."""
    check_values(scored.labels, scored.model, task)
    model = compute(names, scored.labels, scored.model)
    found: dict[str, Any] = {"model": model, "baseline": None, "changes": {}, "intervals": {}}
    if scored.baseline is not None:
        found["baseline"] = compute(names, scored.labels, scored.baseline)
    for name in names:
        if (around := interval(name, scored.labels, scored.model)) is not None:
            found["intervals"][name] = around
        if scored.baseline is not None:
            change: dict[str, Any] = {"change": model[name] - found["baseline"][name]}
            around = change_interval(name, scored.labels, scored.model, scored.baseline)
            found["changes"][name] = {**change, **({"interval": around} if around else {})}
    return found


def measure_slices(
    names: Sequence[str], columns: Sequence[str], scored: Scored
) -> tuple[list[dict[str, Any]], int]:
    """Metrics per combination of values of `columns`, largest first, and how many were left out."""
    groups = _groups(scored.keys.select(list(columns)))
    found = []
    for values, rows in groups[:MOST_SLICES]:
        labels = scored.labels[rows]
        entry: dict[str, Any] = {"slice": values, "rows": len(rows)}
        entry["model"] = compute(names, labels, scored.model[rows])
        if scored.baseline is not None:
            entry["baseline"] = compute(names, labels, scored.baseline[rows])
        found.append(entry)
    return found, max(0, len(groups) - MOST_SLICES)


def plain(value: Any) -> Any:
    """`value` as JSON: NaN and infinities become null, tuples lists, other scalars text."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case None | bool() | int() | str():
            return value
    return str(value)


def _labels(column: Any, name: str) -> tuple[Floats, NDArray[np.bool_]]:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise DataError(
            f"the label {name!r} is {kind}, not a number",
            hint="compute a numeric label in preprocessing_fn and name that output",
        )
    present: NDArray[np.bool_] = np.asarray(column.is_valid())
    values = pc.fill_null(column.cast(pa.float64()), 0.0)
    return np.asarray(values, dtype=np.float64), present


def _groups(keys: pa.Table) -> list[tuple[dict[str, Any], NDArray[np.int64]]]:
    """Values and row numbers of each distinct row of `keys`, the largest group first."""
    codes = np.zeros(keys.num_rows, np.int64)
    for name in keys.column_names:
        column: Any = keys.column(name).combine_chunks()
        encoded = column.dictionary_encode(null_encoding="encode")
        _, codes = np.unique(
            codes * len(encoded.dictionary) + np.asarray(encoded.indices, np.int64), return_inverse=True
        )
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    groups.sort(key=len, reverse=True)
    return [(keys.slice(int(rows[0]), 1).to_pylist()[0], rows) for rows in groups]
