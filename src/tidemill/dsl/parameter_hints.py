"""From the annotation of a runtime parameter to its type in the IR and the keywords it must fit.

    def daily(
        rate: Annotated[float, Allowed(minimum=0, maximum=1)] = 0.1,
        mode: Literal["fast", "exact"] = "fast",
        days: list[int] = [],
        until: Annotated[str, Allowed(date=True)] | None = None,
    ): ...

An annotation that says nothing that can be checked makes the parameter any JSON. It knows no pipeline.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from tidemill.types.parameter_schema import Allowed, joined

_PLAIN = {int: "int", float: "float", str: "str", bool: "bool"}
_JSON_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}


def of_hint(hint: Any, *, optional: bool = False) -> tuple[str, dict[str, Any]]:
    """Type in the IR and JSON Schema keywords beside it.

    `optional`: the default is None, whether or not the annotation of a list or the like says so.
    """
    base, keywords = _taken_apart(hint)
    if base in _PLAIN:
        return _PLAIN[base], keywords
    if get_origin(base) is Literal:
        kinds = {type(choice) for choice in get_args(base)}
        kind = next(iter(kinds)) if len(kinds) == 1 else None
        if kind in (int, str):
            return _PLAIN[kind], {"enum": [*get_args(base)], **keywords}
    schema = _schema(hint)
    if optional and isinstance(schema.get("type"), str):
        schema = joined([schema, {"type": "null"}])
    return "json", schema


def _taken_apart(hint: Any) -> tuple[Any, dict[str, Any]]:
    if get_origin(hint) is not Annotated:
        return hint, {}
    base, *notes = get_args(hint)
    return base, {k: v for note in notes if isinstance(note, Allowed) for k, v in note.to_schema().items()}


def _schema(hint: Any) -> dict[str, Any]:
    """All that the annotation says, as JSON Schema; nothing for one that says nothing to be checked."""
    base, keywords = _taken_apart(hint)
    origin, args = get_origin(base) or base, get_args(base)
    found: dict[str, Any] = {}
    if base in _JSON_TYPES:
        found = {"type": _JSON_TYPES[base]}
    elif origin is Literal:
        kinds = [_JSON_TYPES.get(kind, "") for kind in dict.fromkeys(map(type, args))]
        found = {"type": kinds if len(kinds) > 1 else kinds[0], "enum": [*args]} if all(kinds) else {}
    elif origin in (Union, types.UnionType):
        found = joined([_schema(member) for member in args])
    elif origin in (list, tuple, Sequence):
        items = _schema(args[0]) if args and (origin is not tuple or args[1:] == (...,)) else {}
        found = {"type": "array", **({"items": items} if items else {})}
    elif origin in (dict, Mapping):
        values = _schema(args[1]) if len(args) == 2 else {}
        found = {"type": "object", **({"additionalProperties": values} if values else {})}
    return found | keywords
