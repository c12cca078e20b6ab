"""The row form of TensorFlow Serving's REST API, for clients that people have already.

Source: tensorflow.org/tfx/serving/api_rest, "Predict API": `instances` is a list of rows and is answered
with `predictions`; `inputs` is an object of columns and is answered with `outputs`. Texts are plain JSON
texts; `{"b64": "..."}` is understood too.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidemill.errors import DataError
from tidemill.models import Field
from tidemill.serving.columns import Batch, jsonable
from tidemill.serving.tensors import read_json


def read_instances(body: bytes, inputs: Sequence[Field], most: int) -> tuple[Batch, bool]:
    """The rows of a request, `most` at most, and whether they came as rows. DataError for anything else."""
    value = read_json(body)
    if not isinstance(value, dict) or ("instances" in value) == ("inputs" in value):
        raise DataError("the request has no rows", hint='send {"instances": [{"column": value}]}')
    if "instances" in value:
        return _of_rows(value["instances"], inputs, most), True
    return _of_columns(value["inputs"], inputs, most), False


def _of_rows(rows: Any, inputs: Sequence[Field], most: int) -> Batch:
    if not isinstance(rows, list) or not rows:
        raise DataError("instances is not a list of rows, or is empty")
    _check_count(len(rows), most)
    if len(inputs) == 1 and not isinstance(rows[0], dict):
        return Batch(len(rows), {inputs[0].name: [_value(item) for item in rows]})
    columns: dict[str, list[Any]] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(f"row {number} is not an object of columns")
        for name, item in row.items():
            if name not in columns:
                columns[name] = [None] * len(rows)
            columns[name][number] = _value(item)
    return Batch(len(rows), columns)


def _of_columns(value: Any, inputs: Sequence[Field], most: int) -> Batch:
    if len(inputs) == 1 and isinstance(value, list):
        value = {inputs[0].name: value}
    if not isinstance(value, dict) or not value:
        raise DataError("inputs is not an object of columns, or is empty")
    columns = {}
    for name, items in value.items():
        if not isinstance(items, list):
            raise DataError(f"the column {name!r} is not a list")
        columns[name] = [_value(item) for item in items]
    counts = {len(items) for items in columns.values()}
    if len(counts) > 1:
        raise DataError("the columns have different numbers of rows", hint=_counts(columns))
    rows = counts.pop()
    if not rows:
        raise DataError("the request has no rows")
    _check_count(rows, most)
    return Batch(rows, columns)


def _counts(columns: Mapping[str, Sequence[Any]]) -> str:
    return ", ".join(f"{name}: {len(items)}" for name, items in list(columns.items())[:8])


def _check_count(rows: int, most: int) -> None:
    if rows > most:
        raise DataError(f"the request has {rows} rows; {most} are the most", hint="send several requests")


def _value(item: Any) -> Any:
    if isinstance(item, dict):
        if set(item) != {"b64"} or not isinstance(item["b64"], str):
            raise DataError("a value is an object", hint='values are plain, or {"b64": "..."}')
        try:
            return base64.b64decode(item["b64"], validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise DataError("a b64 value is not base64 of UTF-8 text") from None
    return item


def answer(outputs: Mapping[str, np.ndarray], *, rows: bool) -> bytes:
    """The body of an answer: by row, or by column; an only output stands without its name."""
    by_column = {name: _nested(np.asarray(values)) for name, values in outputs.items()}
    only = next(iter(by_column.values())) if len(by_column) == 1 else None
    value: dict[str, Any]
    if not rows:
        value = {"outputs": by_column if only is None else only}
    elif only is not None:
        value = {"predictions": only}
    else:
        names = list(by_column)
        each = zip(*by_column.values(), strict=True)
        value = {"predictions": [dict(zip(names, items, strict=True)) for items in each]}
    return json.dumps(value, separators=(",", ":")).encode()


def _nested(values: np.ndarray) -> list[Any]:
    flat = jsonable(values)
    if values.ndim < 2:
        return flat
    width = values.shape[1]
    return [flat[at : at + width] for at in range(0, len(flat), width)]
