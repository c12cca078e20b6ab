"""Types of runtime parameters: how a value is checked, and how it is read from a command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tidemill.errors import ResolutionError
from tidemill.types.json import not_json
from tidemill.types.parameter_schema import takes_text, unfit

PARAMETER_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "bool": (bool,),
    "json": (object,),
}
"""Name in the IR -> accepted Python types. An int is accepted where a float is asked for."""

_TRUE, _FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}


class Text(str):
    """A value as somebody wrote it on a command line, to be read as what the parameter is. Of a parameter
    that is any JSON, other text is a value as it stands."""


def mismatch(value: Any, type_name: str, schema: Mapping[str, Any] | None = None) -> str:
    """Why `value` is not a `type_name`, or does not fit the schema; empty when it is and does."""
    accepted = PARAMETER_TYPES[type_name]
    if not isinstance(value, accepted) or (isinstance(value, bool) and type_name not in ("bool", "json")):
        return f"expected {type_name}, got {type(value).__name__} {value!r}"
    return not_json(value) or unfit(value, schema or {})


def parse(text: str, type_name: str, *, name: str, schema: Mapping[str, Any] | None = None) -> Any:
    """The value of parameter `name` written as `text`, as on a command line."""
    try:
        match type_name:
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "bool":
                if text.lower() in _TRUE | _FALSE:
                    return text.lower() in _TRUE
                raise ValueError("write true or false")
            case "json":
                return _parse_json(text, schema or {})
    except ValueError as error:
        raise ResolutionError(f"parameter {name}={text!r} is not a valid {type_name}: {error}") from None
    return str(text)


def _parse_json(text: str, schema: Mapping[str, Any]) -> Any:
    """JSON, or the text itself where a text is wanted and JSON would be something else."""
    try:
        value = json.loads(text)
    except ValueError:
        if takes_text(schema):
            return str(text)
        raise
    return str(text) if takes_text(schema) and unfit(value, schema) else value
