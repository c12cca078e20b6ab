"""Holds a document against the schema, as strict as protojson, and gives it back clean.

What comes back has JSON spelling throughout, and nothing in it has the wrong type: all other rules rely on
that, and so cannot stumble over bad input. What was wrong is reported and left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from tidemill.errors import did_you_mean
from tidemill.runners.kubeflow.lint.finding import Finding, Json, Path, broken
from tidemill.runners.kubeflow.lint.schema import ENUMS, MESSAGES, SCALARS, Message

DEEPEST = 100
"""Levels of a document. What the SDK compiles has about 20; protojson stops at 10,000, past our own stack."""

_DURATION = re.compile(r"-?\d{1,12}(\.\d{1,9})?s")
_WORDS = {
    "string": "text", "bool": "true or false", "int32": "a whole number", "int64": "a whole number",
    "double": "a number", "Duration": 'a duration such as "300s"', "Struct": "an object", "Value": "any JSON",
}  # fmt: skip
_LIMITS = {"int32": 2**31, "int64": 2**63}
_GONE: Any = object()


class Shape:
    """Cleans documents; what is wrong with them is in `found`."""

    def __init__(self, unknown: str = "unknown-field") -> None:
        self.found: list[Finding] = []
        self.unknown = unknown
        """The rule for a key that no field has; whom it concerns depends on who reads the document."""

    def message(self, value: Any, name: str, path: Path = ()) -> Json:
        """One message, clean; empty when it is none at all."""
        cleaned = self._of(value, name, path)
        return cleaned if isinstance(cleaned, dict) else {}

    def _of(self, value: Any, kind: str, path: Path) -> Any:
        if kind[0] == "[":
            if not isinstance(value, list):
                return self._wrong(value, "a list", path)
            items = [self._element(v, kind[1:-1], (*path, i)) for i, v in enumerate(value)]
            return [item for item in items if item is not _GONE]
        if kind[0] == "{":
            if not isinstance(value, dict):
                return self._wrong(value, "an object", path)
            pairs = {k: self._element(v, kind[1:-1], (*path, k)) for k, v in self._keys(value, path)}
            return {k: v for k, v in pairs.items() if v is not _GONE}
        if kind in ENUMS:
            return self._enum(value, kind, path)
        if kind in SCALARS:
            return self._scalar(value, kind, path)
        return self._fields(value, MESSAGES[kind], path)

    def _element(self, value: Any, kind: str, path: Path) -> Any:
        if value is None and kind != "Value":
            return self._wrong(value, _WORDS.get(kind, "a value"), path)
        return self._of(value, kind, path)

    def _fields(self, value: Any, message: Message, path: Path) -> Any:
        if not isinstance(value, dict):
            return self._wrong(value, "an object", path)
        cleaned: Json = {}
        for key, inner in self._keys(value, path):
            field = message.field(key)
            if field is None:
                if key != "@type":
                    self._say(
                        self.unknown,
                        (*path, key),
                        f"there is no field {key!r} here",
                        f"{did_you_mean(key, message.fields)}, or take it out",
                    )
                continue
            if inner is None and field.kind != "Value":
                continue  # protojson takes null for a field that is not set
            if field.name in cleaned:
                self._say("wrong-type", (*path, key), f"{field.name} is given in two spellings", "keep one")
                continue
            found = self._of(inner, field.kind, (*path, key))
            if found is not _GONE:
                cleaned[field.name] = found
        for group in message.one_of:
            given = [name for name in group if name in cleaned]
            if len(given) > 1:
                self._say(
                    "two-of-one",
                    path,
                    f"{' and '.join(given)} are given, of which only one can be",
                    "keep one of them",
                )
                for name in given[1:]:
                    del cleaned[name]
        return cleaned

    def _keys(self, value: dict[Any, Any], path: Path) -> Iterator[tuple[str, Any]]:
        for key, inner in value.items():
            if isinstance(key, str):
                yield key, inner
            else:
                self._say("wrong-type", path, f"the key {key!r} is no text", "quote it")

    def _enum(self, value: Any, kind: str, path: Path) -> Any:
        names = ENUMS[kind]
        if isinstance(value, str):
            if value in names:
                return value
            self._say(
                "unknown-value", path, f"{value!r} is no value of this field", did_you_mean(value, names)
            )
            return _GONE
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
            return names[value]
        return self._wrong(value, f"one of {', '.join(names)}", path)

    def _scalar(self, value: Any, kind: str, path: Path) -> Any:
        match kind:
            case "string" if isinstance(value, str):
                return value
            case "bool" if isinstance(value, bool):
                return value
            case "int32" | "int64":
                number = _number(value)
                if number is not None and number == int(number) and -_LIMITS[kind] <= number < _LIMITS[kind]:
                    return int(number)
            case "double":
                if (number := _number(value)) is not None:
                    return number
            case "Duration" if isinstance(value, str):
                if _DURATION.fullmatch(value):
                    return value
                self._say(
                    "bad-duration",
                    path,
                    f"{value!r} is no duration",
                    'write seconds with an s, as in "90s" or "0.5s"',
                )
                return _GONE
            case "Struct" if isinstance(value, dict):
                return self._json(value, path)
            case "Value":
                return self._json(value, path)
        return self._wrong(value, _WORDS[kind], path)

    def _json(self, value: Any, path: Path) -> Any:
        """Any JSON, without what JSON has no form for."""
        if isinstance(value, dict):
            pairs = {k: self._json(v, (*path, k)) for k, v in self._keys(value, path)}
            return {k: v for k, v in pairs.items() if v is not _GONE}
        if isinstance(value, list):
            return [v for v in (self._json(v, (*path, i)) for i, v in enumerate(value)) if v is not _GONE]
        if value is None or isinstance(value, str | bool | int):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        return self._wrong(value, "JSON", path)

    def _wrong(self, value: Any, wanted: str, path: Path) -> Any:
        self._say("wrong-type", path, f"{_shown(value)} stands where {wanted} belongs", f"write {wanted}")
        return _GONE

    def _say(self, rule: str, path: Path, what: str, fix: str) -> None:
        self.found.append(broken(rule, path, what, fix))


def depth(value: Any) -> int:
    """Levels of lists and objects, counted without recursion."""
    deepest, todo = 0, [(value, 1)]
    while todo:
        inner, level = todo.pop()
        children: list[Any] = []
        if isinstance(inner, dict):
            children = list(inner.values())
        elif isinstance(inner, list):
            children = inner
        deepest = max(deepest, level)
        if level <= DEEPEST:
            todo += [(child, level + 1) for child in children]
    return deepest


def texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text in some clean JSON, with its place."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from texts(inner, (*path, i))


def _number(value: Any) -> float | None:
    """A number as protojson reads it: digits in quotes count, infinities do not."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
