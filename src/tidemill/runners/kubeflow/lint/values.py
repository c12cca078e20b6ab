"""Types of parameters and artifacts: which value fits which, as the driver sees it."""

from __future__ import annotations

import re
from typing import Any

from tidemill.runners.kubeflow.lint.finding import Json

_NUMBERS = {"NUMBER_INTEGER", "NUMBER_DOUBLE"}
_OBJECTS = {"STRUCT", "TASK_FINAL_STATUS", "TASK_CONFIG"}
_TITLE = re.compile(r"^\s*title:\s*['\"]?([\w.]+)", re.MULTILINE)
GENERIC = "system.Artifact"


def fits(value: Any, wanted: str) -> str | None:
    """What is wrong with a value for a parameter of a type; None when it fits.

    As `handleParamTypeValidationAndConversion` of `driver/resolve.go`: STRING takes everything, as JSON.
    """
    if wanted in ("", "STRING", "PARAMETER_TYPE_ENUM_UNSPECIFIED"):
        return None
    given = type_of(value)
    if wanted in _NUMBERS and given in _NUMBERS:
        if wanted == "NUMBER_INTEGER" and isinstance(value, float) and not value.is_integer():
            return f"{value!r} is no whole number"
        return None
    if wanted in _OBJECTS and given == "STRUCT":
        return None
    return None if given == wanted else f"is of type {given}, where {wanted} is wanted"


def type_of(value: Any) -> str:
    """The parameter type of some JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return "BOOLEAN"
        case int() | float():
            return "NUMBER_DOUBLE"
        case str():
            return "STRING"
        case list():
            return "LIST"
        case _:
            return "STRUCT"


def passes(given: str, wanted: str) -> bool:
    """Whether an output of one type goes to an input of another."""
    if not given or not wanted or wanted == "STRING" or given == wanted:
        return True
    return (given in _NUMBERS and wanted in _NUMBERS) or (given in _OBJECTS and wanted in _OBJECTS)


def title(schema: Json) -> str:
    """The name of an artifact type; empty when there is none to be read."""
    if schema.get("schemaTitle"):
        return str(schema["schemaTitle"])
    found = _TITLE.search(schema.get("instanceSchema", ""))
    return found.group(1) if found else ""


def compatible(given: str, wanted: str) -> bool:
    """Whether an artifact of one type goes to an input of another, as the SDK has it."""
    return not given or not wanted or given == wanted or GENERIC in (given, wanted)
