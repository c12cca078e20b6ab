"""Types of runtime parameters: how a value is checked, and how it is read from a command line."""

from __future__ import annotations

import json
from typing import Any

from tidemill.errors import ResolutionError
from tidemill.types.json import not_json

PARAMETER_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "bool": (bool,),
    "json": (object,),
}
"""Name in the IR -> accepted Python types. An int is accepted where a float is asked for."""

_TRUE, _FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}


def mismatch(value: Any, type_name: str) -> str:
    """Why `value` is not a `type_name`; empty when it is."""
    if type_name == "json":
        return not_json(value)
    accepted = PARAMETER_TYPES[type_name]
    if not isinstance(value, accepted) or (isinstance(value, bool) and type_name != "bool"):
        return f"expected {type_name}, got {type(value).__name__} {value!r}"
    return not_json(value)


def parse(text: str, type_name: str, *, name: str) -> Any:
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
                return json.loads(text)
    except ValueError as error:
        raise ResolutionError(f"parameter {name}={text!r} is not a valid {type_name}: {error}") from None
    return text
