"""The Open Inference Protocol v2: tensors of a request to columns, outputs of a model to tensors.

Source: specification/protocol/inference_rest.md and inference_grpc.md (tensor data types) of
kserve/open-inference-protocol; the binary form is the extension "binary_tensor_data" of Triton and KServe:
a JSON header of `Inference-Header-Content-Length` bytes, then the raw tensors one after another.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from tidemill.errors import DataError, did_you_mean
from tidemill.models import Field, Signature
from tidemill.serving.columns import Batch, jsonable

DTYPES: dict[str, Any] = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "BYTES": None,
}  # fmt: skip
"""Datatype of the protocol -> dtype; BYTES are texts."""
_OF_DTYPE = {np.dtype(kind).str: name for name, kind in DTYPES.items() if kind is not None}
_OF_TYPE = {
    "int": "INT64", "float": "FP64", "bool": "BOOL", "string": "BYTES", "timestamp": "INT64", "empty": "FP64",
}  # fmt: skip
"""Type of a signature -> datatype; moments are microseconds since 1970 UTC, or ISO text as BYTES."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """One request to infer."""

    id: str
    batch: Batch
    outputs: tuple[str, ...]
    """Names of the wanted outputs; empty for all."""
    binary: frozenset[str]
    """Outputs wanted in binary."""
    all_binary: bool = False


def tensors_of(signature: Signature) -> dict[str, list[dict[str, Any]]]:
    """`inputs` and `outputs` of a model's metadata; -1 is the number of rows."""
    return {
        part: [
            {"name": f.name, "datatype": _OF_TYPE[f.type], "shape": [-1, *f.shape]} for f in fields
        ]
        for part, fields in (("inputs", signature.inputs), ("outputs", signature.outputs))
    }  # fmt: skip


def read_json(body: bytes) -> Any:
    """A JSON document, strictly: no NaN. DataError for anything else."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        raise DataError(f"the request is not JSON: {error}") from None


def _no_constant(name: str) -> NoReturn:
    raise DataError(f"{name} is not JSON", hint="send null where there is no value")


def read_request(body: bytes, header_length: int | None, inputs: Sequence[Field], most: int) -> InferRequest:
    """A request to infer, of `most` rows at most. DataError says what is wrong with it."""
    head, rest = (body, b"") if header_length is None else _cut(body, header_length)
    value = read_json(head)
    if not isinstance(value, dict):
        raise DataError("the request is not a JSON object", hint='send {"inputs": [...]}')
    given = value.get("inputs")
    if not isinstance(given, list) or not given:
        raise DataError("the request has no inputs", hint='send {"inputs": [{"name": ..., "shape": ...}]}')
    fields = {field.name: field for field in inputs}
    columns: dict[str, Any] = {}
    rows: int | None = None
    for item in given:
        name, count, column, rest = _read_tensor(item, fields, rest, most)
        if name in columns:
            raise DataError(f"the input {name!r} is there twice")
        if rows is not None and count != rows:
            raise DataError(f"the input {name!r} has {count} rows, others have {rows}")
        rows, columns[name] = count, column
    if rest:
        raise DataError(f"{len(rest)} bytes are left after the last binary tensor")
    return _with_outputs(value, Batch(rows or 0, columns))


def _cut(body: bytes, length: int) -> tuple[bytes, bytes]:
    if not 0 < length <= len(body):
        raise DataError(f"Inference-Header-Content-Length is {length}, the body has {len(body)} bytes")
    return body[:length], body[length:]


def _with_outputs(value: dict[str, Any], batch: Batch) -> InferRequest:
    id = value.get("id", "")
    wanted = value.get("outputs") or []
    parameters = value.get("parameters") or {}
    if not isinstance(id, str) or not isinstance(wanted, list) or not isinstance(parameters, dict):
        raise DataError("id must be a text, outputs a list and parameters an object")
    names, binary = [], set()
    for item in wanted:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise DataError('an output is asked for as {"name": "..."}')
        options = item.get("parameters") or {}
        if "classification" in options:
            raise DataError("the classification extension is not offered")
        names.append(item["name"])
        if options.get("binary_data") is True:
            binary.add(item["name"])
    return InferRequest(
        id=id, batch=batch, outputs=tuple(names), binary=frozenset(binary),
        all_binary=parameters.get("binary_data_output") is True and not names,
    )  # fmt: skip


def _read_tensor(
    item: Any, fields: Mapping[str, Field], rest: bytes, most: int
) -> tuple[str, int, Sequence[Any] | np.ndarray, bytes]:
    """Name, rows and values of one input, and the bytes after it."""
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise DataError('an input is {"name": ..., "shape": ..., "datatype": ..., "data": ...}')
    name, datatype, shape = item["name"], item.get("datatype"), item.get("shape")
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise DataError(
            f"the input {name!r} has the datatype {datatype!r}", hint=did_you_mean(str(datatype), DTYPES)
        )
    count, width = _dimensions(name, shape, fields.get(name), most)
    size = (item.get("parameters") or {}).get("binary_data_size")
    if size is not None:
        raw, rest = _take(name, size, rest)
        flat = _read_binary(name, datatype, raw)
    elif "data" in item:
        flat = _flat(name, item["data"])
    else:
        raise DataError(f"the input {name!r} has no data")
    if len(flat) != count * width:
        raise DataError(f"the input {name!r} has {len(flat)} values, its shape {shape} says {count * width}")
    field = fields.get(name)
    if field is None or not field.shape:
        return name, count, flat, rest
    if isinstance(flat, np.ndarray):
        return name, count, flat.reshape(count, width), rest
    return name, count, [flat[at : at + width] for at in range(0, len(flat), width)], rest


def _dimensions(name: str, shape: Any, field: Field | None, most: int) -> tuple[int, int]:
    """Rows, and values in each."""
    whole = isinstance(shape, list) and all(
        isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in shape
    )
    if not whole or not shape:
        raise DataError(f"the input {name!r} has the shape {shape!r}", hint="a list of whole numbers: [rows]")
    width = math.prod(shape[1:])
    if shape[0] > most:
        raise DataError(f"the request has {shape[0]} rows; {most} are the most", hint="send several requests")
    if field is not None and (width != field.width or len(shape) > 2):
        raise DataError(f"the input {name!r} has the shape {shape}; the model wants {[-1, *field.shape]}")
    return shape[0], width


def _take(name: str, size: Any, rest: bytes) -> tuple[bytes, bytes]:
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(rest):
        raise DataError(f"the input {name!r} says it has {size!r} bytes, {len(rest)} are there")
    return rest[:size], rest[size:]


def _read_binary(name: str, datatype: str, raw: bytes) -> Sequence[Any] | np.ndarray:
    if datatype == "BYTES":
        return _read_texts(name, raw)
    dtype = np.dtype(DTYPES[datatype]).newbyteorder("<")
    if len(raw) % dtype.itemsize:
        raise DataError(f"the input {name!r} has {len(raw)} bytes, no multiple of {dtype.itemsize}")
    return np.frombuffer(raw, dtype)


def _read_texts(name: str, raw: bytes) -> list[str]:
    """Texts, each after its length in 4 bytes, little end first."""
    found, at = [], 0
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "little")
        text = raw[at + 4 : at + 4 + size]
        if at + 4 + size > len(raw):
            raise DataError(f"the input {name!r} ends in the middle of a text")
        try:
            found.append(text.decode("utf-8"))
        except UnicodeDecodeError:
            raise DataError(f"the input {name!r} has a text that is not UTF-8") from None
        at += 4 + size
    return found


def _flat(name: str, data: Any) -> list[Any]:
    """The values of nested lists, in order."""
    if not isinstance(data, list):
        raise DataError(f"the data of the input {name!r} is not a list")
    flat: list[Any] = data
    while flat and all(isinstance(item, list) for item in flat):
        flat = [part for item in flat for part in item]
    if any(isinstance(item, (list, dict)) for item in flat):
        raise DataError(f"the data of the input {name!r} is nested unevenly")
    return flat


def answer(
    request: InferRequest, name: str, version: str, outputs: Mapping[str, np.ndarray]
) -> tuple[bytes, int | None]:
    """The body of the answer, and the length of its JSON part where binary tensors follow."""
    names = request.outputs or tuple(outputs)
    parts, tail = [], []
    for wanted in names:
        if wanted not in outputs:
            raise DataError(f"the model has no output {wanted!r}", hint=did_you_mean(wanted, outputs))
        values = np.asarray(outputs[wanted])
        datatype = _OF_DTYPE.get(values.dtype.str, "BYTES")
        part: dict[str, Any] = {"name": wanted, "datatype": datatype, "shape": list(values.shape)}
        if request.all_binary or wanted in request.binary:
            raw = values.tobytes() if datatype != "BYTES" else _write_texts(values)
            part["parameters"] = {"binary_data_size": len(raw)}
            tail.append(raw)
        else:
            part["data"] = jsonable(values)
        parts.append(part)
    head: dict[str, Any] = {"model_name": name, "model_version": version, "outputs": parts}
    if request.id:
        head["id"] = request.id
    body = json.dumps(head, separators=(",", ":")).encode()
    return body + b"".join(tail), len(body) if tail else None


def _write_texts(values: np.ndarray) -> bytes:
    texts = [str(item).encode() for item in jsonable(values)]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
