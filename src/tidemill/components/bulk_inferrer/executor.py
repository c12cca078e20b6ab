"""BulkInferrer's work: row group by row group, read, predict, write, and count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tidemill.data.parquet import (
    SplitWriter,
    count_rows,
    read_schema,
    read_tables,
    select_splits,
    split_folder,
)
from tidemill.errors import DataError, did_you_mean
from tidemill.models import Field, load_model
from tidemill.storage.manifest import survey
from tidemill.types.standard import Examples, InferenceResult, Model, ModelBlessing

Predict = Callable[[pa.Table], Mapping[str, Any]]
_TYPES: dict[str, pa.DataType] = {
    "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "string": pa.string(),
    "timestamp": pa.timestamp("us"), "empty": pa.float64(),
}  # fmt: skip
_VERSION_LETTERS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is read, and which columns are written."""

    predict: Predict
    read: tuple[str, ...] | None
    carry: tuple[str, ...]
    outputs: Mapping[str, str]
    """Column by output; empty for all, under their own names."""
    types: Mapping[str, pa.DataType]
    """Type by output, where the model's signature says."""
    version_column: str
    version: str


def run(
    *,
    examples: Examples,
    model: Model,
    inference_result: InferenceResult,
    blessing: ModelBlessing | None = None,
    splits: Sequence[str] = (),
    outputs: Mapping[str, str] | None = None,
    carry: Sequence[str] | None = None,
    model_version_column: str = "model_version",
    predict_fn: Callable[..., Any] | None = None,
    allow_pickle: bool = False,
    allow_code: bool = False,
) -> None:
    """Write the predictions of every split; see the component."""
    if blessing is not None and blessing.blessed != 1:
        inference_result.splits = []
        inference_result.num_rows = 0
        inference_result.reason = f"the model is not blessed: {blessing.reason or 'no reason is recorded'}"
        print(f"nothing is predicted: {inference_result.reason}")
        return
    wanted = _checked_splits(examples, splits)
    version = (model.digest or survey(model.path).digest)[:_VERSION_LETTERS]
    predict, fields, read = _predictor(model.path, predict_fn, allow_pickle, allow_code)
    rows = 0
    for split in wanted:
        folder = split_folder(examples.path, split)
        known = read_schema(folder).names
        carried = tuple(_known(name, known, "carry") for name in (known if carry is None else carry))
        plan = _Plan(
            predict=predict,
            read=None if read is None else tuple(dict.fromkeys([*carried, *(n for n in read if n in known)])),
            carry=carried, outputs=dict(outputs or {}), types=fields, version_column=model_version_column,
            version=version,
        )  # fmt: skip
        rows += _write_split(folder, split_folder(inference_result.path, split), plan)
    inference_result.splits = list(wanted)
    inference_result.num_rows = rows
    inference_result.model_version = version
    print(f"{rows} rows predicted by model {version}")


def _checked_splits(examples: Examples, splits: Sequence[str]) -> list[str]:
    for name in splits:
        _known(name, examples.splits, "splits")
    return list(dict.fromkeys(splits)) or select_splits(examples.splits, ())


def _known(name: str, known: Sequence[str], what: str) -> str:
    if name not in known:
        raise DataError(
            f"{what} names {name!r}, which the examples do not have", hint=did_you_mean(name, known)
        )
    return name


def _predictor(
    folder: Path, predict_fn: Callable[..., Any] | None, allow_pickle: bool, allow_code: bool
) -> tuple[Predict, dict[str, pa.DataType], list[str] | None]:
    """What predicts a table, the types of its outputs, and the columns it needs; None for all."""
    if predict_fn is None:
        loaded = load_model(folder, allow_pickle=allow_pickle, allow_code=allow_code)
        signature = loaded.signature
        types = {field.name: _arrow(field) for field in signature.outputs}
        return loaded.predict, types, signature.input_names or None

    def by_users(table: pa.Table) -> Mapping[str, Any]:
        found = predict_fn(folder, table)
        return found if isinstance(found, Mapping) else {"prediction": found}

    return by_users, {}, None


def _arrow(field: Field) -> pa.DataType:
    plain = _TYPES[field.type]
    return pa.list_(plain, field.width) if field.shape else plain


def _write_split(source: Path, target: Path, plan: _Plan) -> int:
    """One split; the number of its rows."""
    expected = count_rows(source)
    with ExitStack() as open_files:
        writer: SplitWriter | None = None
        for table in read_tables(source, plan.read):
            made = _answered(table, plan)
            if writer is None:
                kept = made.schema
                writer = open_files.enter_context(SplitWriter(target, kept))
            writer.write(made.cast(kept))
        if writer is None:  # no row groups: the columns are known all the same
            empty = read_schema(source).empty_table().select(list(plan.carry))
            kept = _with_columns(empty, _empty(plan), plan).schema
            writer = open_files.enter_context(SplitWriter(target, kept))
    if writer.num_rows != expected:
        raise DataError(f"the split has {expected} rows, {writer.num_rows} were predicted", where=str(source))
    return writer.num_rows


def _answered(table: pa.Table, plan: _Plan) -> pa.Table:
    """A table of carried columns, predictions and version, for rows as they were read."""
    if table.num_rows == 0:
        return _with_columns(table.select(list(plan.carry)), _empty(plan), plan)
    found = {}
    for name, values in _chosen(plan.predict(table), plan.outputs).items():
        column = _column(values, plan.types.get(name), name)
        if len(column) != table.num_rows:
            raise DataError(f"there are {len(column)} values of {name!r} for {table.num_rows} rows")
        found[name] = column
    return _with_columns(table.select(list(plan.carry)), found, plan)


def _chosen(outputs: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, Any]:
    for name in wanted:
        if name not in outputs:
            raise DataError(f"the model has no output {name!r}", hint=did_you_mean(name, outputs))
    return {name: outputs[name] for name in (wanted or outputs)}


def _empty(plan: _Plan) -> dict[str, pa.Array[Any]]:
    names = list(plan.outputs or plan.types or {"prediction": ""})
    return {name: pa.array([], type=plan.types.get(name, pa.float64())) for name in names}


def _column(values: Any, kind: pa.DataType | None, name: str) -> pa.Array[Any]:
    """One output as a column: shape (rows,), or (rows, k) as lists of k."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        return whole if kind is None else whole.cast(kind)
    array = np.asarray(values)
    found: pa.Array[Any]
    try:
        if array.ndim == 1:
            found = pa.array(array, from_pandas=False)
        elif array.ndim == 2:
            found = pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])
        else:
            raise DataError(f"the output {name!r} has the shape {array.shape}: one row, one value or list")
        cast: pa.Array[Any] = found if kind is None else found.cast(kind)
        return cast
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise DataError(f"the output {name!r} cannot be written as {kind}: {error}") from None


def _with_columns(carried: pa.Table, found: Mapping[str, pa.Array[Any]], plan: _Plan) -> pa.Table:
    columns = {name: carried.column(name) for name in plan.carry}
    made: dict[str, Any] = {plan.outputs.get(name, name): column for name, column in found.items()}
    if len(made) != len(found):
        raise DataError("outputs gives two outputs the same column")
    if plan.version_column:
        if plan.version_column in made:
            raise DataError(f"model_version_column={plan.version_column!r} is an output's column too")
        rows = carried.num_rows if plan.carry else len(next(iter(found.values())))
        made[plan.version_column] = pa.array([plan.version] * rows, pa.string())
    if twice := [name for name in made if name in columns]:
        raise DataError(
            f"the column {twice[0]!r} is there twice: carried, and predicted",
            hint="rename it with outputs={'output': 'column'}, or carry fewer columns",
        )
    return pa.table({**columns, **made})
