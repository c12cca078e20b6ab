"""IR to JSON and back, and the content hash.

`encode` leaves out every field that has its default, so a diff shows only what a pipeline says.
Values other than literals are objects with one key that starts with `$`; a literal object that
could be taken for one is wrapped in `{"$literal": ...}`.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import operator
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from tidemill.errors import DefinitionError, did_you_mean
from tidemill.ir import model
from tidemill.ir.model import SCHEMA_VERSION, PipelineIR
from tidemill.types.json import digest

_VALUES: dict[str, type] = {
    "$parameter": model.ParameterRef,
    "$run": model.RunField,
    "$env": model.Environment,
    "$value": model.OutputValue,
    "$property": model.OutputProperty,
    "$function": model.Function,
    "$files": model.Files,
    "$concat": model.Concat,
    "$array": model.Array,
    "$object": model.Object,
    "$item": model.LoopItem,
    "$collected": model.CollectedValues,
    "$first": model.FirstValue,
    "$compare": model.Compare,
    "$all": model.AllOf,
    "$any": model.AnyOf,
    "$not": model.Not,
}
_SOURCES: dict[str, type] = {
    "output": model.OutputRef,
    "latest_blessed": model.LatestBlessed,
    "window": model.Window,
    "collected": model.Collected,
    "loop_artifact": model.LoopArtifact,
    "first": model.FirstOf,
    "earlier": model.Earlier,
    "stored": model.Stored,
}
_ARRIVALS: dict[str, type] = {
    "artifact": model.ArtifactArrival,
    "asset": model.AssetArrival,
    "files": model.FilesArrival,
    "all": model.AllArrivals,
    "any": model.AnyArrival,
}
_KINDS: dict[Any, Mapping[str, type]] = {model.Source: _SOURCES, model.Arrival: _ARRIVALS}
_TAGS: dict[type, str] = {cls: tag for tags in (_VALUES, *_KINDS.values()) for tag, cls in tags.items()}


def dumps(ir: PipelineIR) -> str:
    """Readable JSON, one fact per line, for files and diffs. Ends with a newline."""
    return json.dumps(encode(ir), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def loads(text: str | bytes) -> PipelineIR:
    """Inverse of `dumps`; reads any JSON spelling of an IR. DefinitionError says what is wrong."""
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise DefinitionError(f"the IR is not JSON: {error}") from None
    except RecursionError:
        raise DefinitionError("the IR is not JSON that anybody wrote: it is nested too deep") from None
    if not isinstance(data, dict):
        raise DefinitionError("the IR is not a JSON object")
    return decode(data)


def version(ir: PipelineIR) -> str:
    """The pipeline version: sha256 of the canonical JSON, in hex."""
    return digest(encode(ir))


def encode(ir: PipelineIR) -> dict[str, Any]:
    """The IR as plain JSON data. The schema version is always written."""
    return {"schema_version": ir.schema_version, **_encode_record(ir)}


def decode(data: Mapping[str, Any]) -> PipelineIR:
    """Inverse of `encode`."""
    found = data.get("schema_version")
    if found != SCHEMA_VERSION:
        raise DefinitionError(
            f"the IR has schema version {found!r}; this tidemill reads {SCHEMA_VERSION}",
            hint="compile the pipeline again with this version of tidemill",
        )
    ir = _decode(PipelineIR, data, "pipeline")
    assert isinstance(ir, PipelineIR)
    return ir


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


# --- encoding -------------------------------------------------------------------------------------


def _encode(value: Any) -> Any:
    if isinstance(value, model.Literal):
        return {"$literal": value.value} if _looks_tagged(value.value) else value.value
    if type(value) in _TAGS:
        return {_TAGS[type(value)]: _encode_tagged(value)}
    if dataclasses.is_dataclass(value):
        return _encode_record(value)
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _encode(item) for key, item in value.items()}
    return value


def _encode_tagged(value: Any) -> Any:
    """A variant with a single field is written as that field alone."""
    fields = dataclasses.fields(value)
    if len(fields) == 1:
        return _encode(getattr(value, fields[0].name))
    return _encode_record(value)


def _encode_record(record: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    cls: type = type(record)
    hints = _hints(cls)
    for f in dataclasses.fields(record):
        if not f.init:  # derived from the others
            continue
        value = getattr(record, f.name)
        if hints[f.name] is float:
            value = float(value)  # an int there is equal, so it must be written alike
        default = f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
        if value != default or type(value) is not type(default):
            out[f.name] = _encode(value)
    return out


def _looks_tagged(value: Any) -> bool:
    """Whether a literal would be misread: an object with one key that starts with `$`."""
    if isinstance(value, Mapping):
        return any(key.startswith("$") for key in value)
    return False


# --- decoding -------------------------------------------------------------------------------------


def _decode(expected: Any, data: Any, at: str) -> Any:
    """`data` as a value of the annotated type `expected`; `at` is where it stands in the JSON."""
    if expected == model.Value:
        return _decode_value(data, at)
    if expected in _KINDS:
        tag, body = _single(data, _KINDS[expected], at)
        return _decode_tagged(_KINDS[expected][tag], body, f"{at}.{tag}")
    if dataclasses.is_dataclass(expected):
        return _decode_record(typing.cast("type", expected), data, at)
    origin, args = typing.get_origin(expected), typing.get_args(expected)
    if origin is tuple:
        _require(isinstance(data, list), at, "a list", data)
        return tuple(_decode(args[0], item, f"{at}[{i}]") for i, item in enumerate(data))
    if origin is not None and origin is not typing.Union and origin is not types.UnionType:
        _require(isinstance(data, dict), at, "an object", data)
        return {key: _decode(args[1], item, f"{at}.{key}") for key, item in data.items()}
    if origin is not None:
        rest = [a for a in args if a is not type(None)]
        if (kind := functools.reduce(operator.or_, rest)) in _KINDS:  # `Arrival | None`
            return None if data is None else _decode(kind, data, at)
        if len(rest) > 1:  # `Value | None`, where None is left out: what is written is a value, null too
            return _decode_value(data, at)
        return None if data is None else _decode(rest[0], data, at)
    if expected is Any:
        return data
    accepted = (int, float) if expected is float else expected
    is_bool = isinstance(data, bool)
    _require(isinstance(data, accepted) and is_bool == (expected is bool), at, expected.__name__, data)
    return float(data) if expected is float else data


def _decode_value(data: Any, at: str) -> Any:
    if not isinstance(data, dict) or not _looks_tagged(data):
        return model.Literal(data)
    if set(data) == {"$literal"}:
        return model.Literal(data["$literal"])
    tag, body = _single(data, _VALUES, at)
    return _decode_tagged(_VALUES[tag], body, f"{at}.{tag}")


def _decode_tagged(cls: type, body: Any, at: str) -> Any:
    fields = dataclasses.fields(cls)
    if len(fields) == 1:
        return cls(_decode(_hints(cls)[fields[0].name], body, at))
    return _decode_record(cls, body, at)


def _decode_record(cls: type, data: Any, at: str) -> Any:
    _require(isinstance(data, dict), at, "an object", data)
    hints = _hints(cls)
    for key in data:
        if key not in hints:
            raise DefinitionError(f"{at} has an unknown field {key!r}", hint=did_you_mean(key, hints))
    known = {key: _decode(hints[key], value, f"{at}.{key}") for key, value in data.items()}
    build: Callable[..., Any] = cls
    try:
        return build(**known)
    except TypeError as error:
        raise DefinitionError(f"{at} is incomplete: {error}") from None


@cache
def _hints(cls: type) -> dict[str, Any]:
    derived = {f.name for f in dataclasses.fields(cls) if not f.init}
    hints = typing.get_type_hints(cls, vars(model))
    return {name: hint for name, hint in hints.items() if name not in derived}


def _single(data: Any, tags: Mapping[str, type], at: str) -> tuple[str, Any]:
    _require(isinstance(data, dict) and len(data) == 1, at, f"an object with one of {sorted(tags)}", data)
    ((tag, body),) = data.items()
    if tag not in tags:
        raise DefinitionError(f"{at} has an unknown kind {tag!r}", hint=did_you_mean(tag, tags))
    return tag, body


def _require(holds: bool, at: str, expected: str, data: Any) -> None:
    if not holds:
        raise DefinitionError(f"{at} must be {expected}, got {type(data).__name__}")
