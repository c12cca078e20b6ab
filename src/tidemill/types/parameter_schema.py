"""What a runtime parameter may be beyond its type: JSON Schema keywords, and whether a value fits them.

Engines have forms that read JSON Schema; everywhere else the same keywords are checked here, so that a value
is refused for the same reason wherever a run starts. Only the keywords below are known: all of them can be
checked, shown, and said in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

_TYPES: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (Mapping,),
    "null": (type(None),),
}


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


_BOUNDS: Mapping[str, tuple[str, tuple[type, ...], Callable[[Any, Any], bool]]] = {
    "minimum": ("at least {}", (int, float), lambda value, bound: value >= bound),
    "maximum": ("at most {}", (int, float), lambda value, bound: value <= bound),
    "exclusiveMinimum": ("more than {}", (int, float), lambda value, bound: value > bound),
    "exclusiveMaximum": ("less than {}", (int, float), lambda value, bound: value < bound),
    "minLength": ("text of at least {} characters", (str,), lambda value, bound: len(value) >= bound),
    "maxLength": ("text of at most {} characters", (str,), lambda value, bound: len(value) <= bound),
    "pattern": ("text like {}", (str,), lambda value, bound: re.search(bound, value) is not None),
    "format": ("a {}, YYYY-MM-DD", (str,), lambda value, _: _is_date(value)),
    "minItems": ("a list of at least {}", (list, tuple), lambda value, bound: len(value) >= bound),
    "maxItems": ("a list of at most {}", (list, tuple), lambda value, bound: len(value) <= bound),
}
"""Keyword -> what it asks for, of values of which types, and whether one fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What values of a runtime parameter are allowed, beside its type:

        def daily(rate: Annotated[float, Allowed(minimum=0, maximum=1)] = 0.1): ...

    Bounds are of numbers, `min_length`, `max_length` and `pattern` (a regular expression, searched for) of
    texts, `min_items` and `max_items` of lists. `date` wants YYYY-MM-DD. `title` and `description` are what
    an engine's form shows. ValueError for a pattern that is no regular expression.
    """

    minimum: float | None = None
    maximum: float | None = None
    more_than: float | None = None
    less_than: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    date: bool = False
    min_items: int | None = None
    max_items: int | None = None
    title: str | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"the pattern {self.pattern!r} is no regular expression: {error}") from None

    def to_schema(self) -> dict[str, Any]:
        """As keywords of JSON Schema."""
        spelled = {
            "minimum": self.minimum, "maximum": self.maximum, "exclusiveMinimum": self.more_than,
            "exclusiveMaximum": self.less_than, "minLength": self.min_length, "maxLength": self.max_length,
            "pattern": self.pattern, "format": "date" if self.date else None, "minItems": self.min_items,
            "maxItems": self.max_items, "title": self.title, "description": self.description,
        }  # fmt: skip
        return {keyword: value for keyword, value in spelled.items() if value is not None}


def unfit(value: Any, schema: Mapping[str, Any], at: str = "") -> str:
    """Why a value does not fit, and where in it; empty when it does."""
    place = f"at {at}: " if at else ""
    wanted = schema.get("type", ())
    kinds = [wanted] if isinstance(wanted, str) else [*wanted]
    if kinds and not any(_is_a(value, kind) for kind in kinds):
        return f"{place}expected {' or '.join(kinds)}, got {value!r}"
    if "enum" in schema and not any(type(value) is type(v) and value == v for v in schema["enum"]):
        choices = ", ".join(repr(choice) for choice in schema["enum"])
        return f"{place}expected one of {choices}, got {value!r}"
    for keyword, (words, types, fits) in _BOUNDS.items():
        if keyword not in schema or not isinstance(value, types) or isinstance(value, bool):
            continue
        if not fits(value, schema[keyword]):
            return f"{place}expected {words.format(schema[keyword])}, got {value!r}"
    if isinstance(value, (list, tuple)) and (items := schema.get("items")):
        return next((why for i, v in enumerate(value) if (why := unfit(v, items, f"{at}[{i}]"))), "")
    if isinstance(value, Mapping) and (items := schema.get("additionalProperties")):
        return next((why for k, v in value.items() if (why := unfit(v, items, f"{at}[{k!r}]"))), "")
    return ""


def takes_text(schema: Mapping[str, Any]) -> bool:
    """Whether text that is no JSON can still be the value, such as that of `str | None`."""
    return "string" in schema.get("type", ()) or any(isinstance(v, str) for v in schema.get("enum", ()))


def _is_a(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def joined(schemas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The schema of a value that fits one of these plain ones; nothing when no simple schema says so."""
    kinds: list[str] = []
    rest: dict[str, Any] = {}
    for schema in schemas:
        kind = schema.get("type")
        others = {k: v for k, v in schema.items() if k != "type"}
        if not isinstance(kind, str) or (others and rest):
            return {}
        kinds.append(kind)
        rest |= others
    if "enum" in rest:
        if len(kinds) - ("null" in kinds) > 1:  # it would leave out the values of the other types
            return {}
        rest["enum"] = [*rest["enum"], *([None] if "null" in kinds else [])]
    return {"type": kinds, **rest}
