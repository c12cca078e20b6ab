"""The file's form: one JSON object a line, in an order in which every line refers only to earlier ones.

    {"tidemill_record": 1}
    {"type": {...}} ... {"context": {...}} ... {"artifact": {...}} ... {"execution": {...}} ...
    {"event": {...}} ... {"version": {...}} ... {"run": {...}} ... {"node": {...}} ...
    {"end": {"lines": N, "sha256": "..."}}

Contexts, artifacts and executions are numbered from 1 within the file, in the order of their ids in the
store; all references are such numbers. Lines are canonical JSON (keys sorted, no spaces, UTF-8), and what
is empty is left out, so equal records give equal files. The last line tells a whole file from a cut one.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from tidemill.errors import StoreError, did_you_mean
from tidemill.metadata.model import (
    ArtifactState,
    EventType,
    ExecutionState,
    NodeState,
    PropertyType,
    RunState,
    TypeKind,
)
from tidemill.metadata.transfer import Kind
from tidemill.types.json import canonical

FORMAT = "tidemill_record"
VERSION = 1
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The kinds of records, in the order in which they stand in a file."""

Value = tuple[int | None, float | None, str | None, bytes | None, bytes | None, bool | None]
"""A property's columns: int, double, string, byte, proto, bool. At most one of them is not None."""
VALUE_COLUMNS = "int_value, double_value, string_value, byte_value, proto_value, bool_value"
NO_VALUE: Value = (None, None, None, None, None, None)

_INT64 = 2**63
_INFINITY = {"inf": math.inf, "-inf": -math.inf}


def line(kind: str, body: object) -> bytes:
    """One line of a file. What is empty in a record is left out."""
    if isinstance(body, dict):
        body = {key: value for key, value in body.items() if value not in (None, "", [], {}, ())}
    return canonical({kind: body}) + b"\n"


def to_json(value: Value) -> Any:
    """A property's value: plain for int, text and bool; an object that names the kind for the others."""
    whole, real, text, raw, proto, truth = value
    if truth is not None:
        return truth
    if whole is not None:
        return whole
    if real is not None:
        # SQLite keeps no sign of zero, so files have none: -0.0 + 0.0 is 0.0.
        return {"double": real + 0.0 if math.isfinite(real) else str(real)}
    if text is not None:
        return text
    if raw is not None:
        return {"bytes": base64.b64encode(raw).decode()}
    return None if proto is None else {"proto": base64.b64encode(proto).decode()}


def from_json(data: Any) -> Value:
    """Inverse of `to_json`; ValueError for anything else."""
    match data:
        case None:
            return NO_VALUE
        case bool():
            return (None, None, None, None, None, data)
        case int():
            return (_int64(data), None, None, None, None, None)
        case str():
            return (None, None, text(data), None, None, None)
        case {"double": str() as word, **rest} if not rest and word in _INFINITY:
            return (None, _INFINITY[word], None, None, None, None)
        case {"double": int() | float() as number, **rest} if not rest and not isinstance(number, bool):
            return (None, _finite(number), None, None, None, None)
        case {"bytes": str() as word, **rest} if not rest:
            return (None, None, None, _decoded(word), None, None)
        case {"proto": str() as word, **rest} if not rest:
            return (None, None, None, None, _decoded(word), None)
    raise ValueError("is not a property's value")


# --- checks of one field: the value as it is used, or ValueError -----------------------------------


def text(data: Any) -> str:
    """A text that is UTF-8."""
    if not isinstance(data, str):
        raise ValueError("is not a text")
    if not data.isascii():
        try:
            data.encode()
        except UnicodeEncodeError:
            raise ValueError("holds half of a surrogate pair, which is not text") from None
    return data


def segment(data: Any) -> str:
    """A name that is one segment of a path, because files and executions are named after it."""
    name = text(data)
    if name in ("", ".", "..") or any(c in name for c in "/\\\0"):
        raise ValueError("cannot name a run, a node or a pipeline: it is not one segment of a path")
    return name


def _int64(data: Any) -> int:
    if not isinstance(data, int) or isinstance(data, bool):
        raise ValueError("is not a whole number")
    if not -_INT64 <= data < _INT64:
        raise ValueError("is too large: 64 bits are kept")
    return data


def _finite(number: float) -> float:
    try:
        real = float(number)
    except OverflowError:
        real = math.inf
    if not math.isfinite(real):
        raise ValueError("is too large for a double")
    return real


def _decoded(word: str) -> bytes:
    try:
        return base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64") from None


def count(data: Any) -> int:
    """A number that is not negative."""
    if _int64(data) < 0:
        raise ValueError("is negative")
    return int(data)


def _one_of(enum: type[Any]) -> Callable[[Any], Any]:
    def check(data: Any) -> Any:
        if not isinstance(data, str) or data not in enum.__members__:
            raise ValueError(f"is none of {', '.join(enum.__members__)}")
        return enum[data]

    return check


def _properties(data: Any) -> dict[str, Value]:
    if not isinstance(data, dict):
        raise ValueError("is not an object")
    return {text(name): from_json(value) for name, value in data.items()}


def _kinds(data: Any) -> dict[str, PropertyType]:
    if not isinstance(data, dict):
        raise ValueError("is not an object")
    check = _one_of(PropertyType)
    return {text(name): check(kind) for name, kind in data.items()}


TypeName = tuple[str, str | None]
"""Name and version of a type."""


def type_name(data: Any) -> TypeName:
    """`"Model"`, or `["Model", "v2"]` for a type with a version."""
    match data:
        case str():
            return text(data), None
        case [str() as name, str() as version]:
            return text(name), text(version)
    raise ValueError('is not a type: write "NAME" or ["NAME", "VERSION"]')


def spell_type(name: str, version: str | None) -> Any:
    """Inverse of `type_name`."""
    return name if version is None else [name, version]


def _list_of(check: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def checked(data: Any) -> tuple[Any, ...]:
        if not isinstance(data, list):
            raise ValueError("is not a list")
        return tuple(check(item) for item in data)

    return checked


def _path_step(data: Any) -> str | int:
    if isinstance(data, str):
        return text(data)
    if not -(2**31) <= _int64(data) < 2**31:
        raise ValueError("is too large for an index")
    return int(data)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record: how it is checked, and what it is when it is left out."""

    check: Callable[[Any], Any]
    default: Any = None
    required: bool = False


_TEXT, _NAME = Field(text), Field(text, "")
_TIME = Field(count, 0)
_NUMBERED = {
    "id": Field(count, required=True), "type": Field(type_name, required=True), "name": _TEXT,
    "external_id": _TEXT, "create_time": _TIME, "update_time": _TIME,
    "properties": Field(_properties, {}), "custom_properties": Field(_properties, {}),
}  # fmt: skip
_MEMBERS = Field(_list_of(count), ())

FIELDS: Mapping[Kind, Mapping[str, Field]] = {
    "type": {
        "kind": Field(_one_of(TypeKind), required=True), "name": Field(text, required=True),
        "version": _TEXT, "description": _TEXT, "input_type": _TEXT, "output_type": _TEXT,
        "external_id": _TEXT, "properties": Field(_kinds, {}), "parents": Field(_list_of(type_name), ()),
    },
    "context": {**_NUMBERED, "name": Field(text, required=True), "parents": _MEMBERS},
    "artifact": {**_NUMBERED, "uri": _TEXT, "state": Field(_one_of(ArtifactState)), "contexts": _MEMBERS},
    "execution": {**_NUMBERED, "state": Field(_one_of(ExecutionState)), "contexts": _MEMBERS},
    "event": {
        "artifact": Field(count, required=True), "execution": Field(count, required=True),
        "type": Field(_one_of(EventType), required=True), "time": Field(count),
        "path": Field(_list_of(_path_step), ()),
    },
    "version": {
        "version": Field(text, required=True), "pipeline": Field(segment, required=True),
        "ir": Field(text, required=True), "create_time": _TIME,
    },
    "run": {
        "id": Field(segment, required=True), "pipeline": Field(segment, required=True),
        "version": Field(text, required=True), "state": Field(_one_of(RunState), required=True),
        "root": _NAME, "parameters": Field(text, required=True), "date": _NAME, "owner": _NAME,
        "context": Field(count, required=True), "create_time": _TIME, "end_time": _TIME,
    },
    "node": {
        "run": Field(text, required=True), "node": Field(segment, required=True),
        "iteration": Field(count, 0), "state": Field(_one_of(NodeState), required=True),
        "attempt": Field(count, required=True), "fence": Field(count, required=True),
        "execution": Field(count, required=True), "first_execution": Field(count, required=True),
        "owner": _NAME, "cache_key": _NAME, "message": _NAME, "start_time": _TIME, "end_time": _TIME,
    },
}  # fmt: skip
"""Kind of record -> its fields. The reader refuses every other one."""

Record = Mapping[str, Any]
"""A record that was read: every field of its kind, checked."""


def record(kind: Kind, body: Any, where: str) -> Record:
    """The fields of one record, checked and complete; StoreError says which one is wrong."""
    fields = FIELDS[kind]
    if not isinstance(body, dict):
        raise StoreError(f"the {kind} is not a JSON object", where=where)
    for name in body:
        if name not in fields:
            what = f"the {kind} has an unknown field {name[:40]!r}"
            raise StoreError(what, where=where, hint=did_you_mean(name[:40], fields))
    found = {}
    for name, field in fields.items():
        if name not in body:
            if field.required:
                raise StoreError(f"the {kind} lacks the field {name!r}", where=where)
            found[name] = field.default
            continue
        try:
            found[name] = field.check(body[name])
        except ValueError as error:
            raise StoreError(f"{name!r} of the {kind} {error}", where=where) from None
    return found
