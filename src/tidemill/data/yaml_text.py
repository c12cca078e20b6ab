"""Plain values as YAML text, the same on every machine.

PyYAML writes the same value differently with and without its C library, and takes seconds for ten
thousand columns. What is written here is a small part of YAML: mappings, lists of scalars, scalars.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

_PLAIN = re.compile(r"[^\W\d][\w./ -]*(?<! )|[^\W\d]")
_RESOLVER: Any = yaml.resolver.Resolver()
_TEXT = "tag:yaml.org,2002:str"


def dump(value: Mapping[str, Any], indent: int = 0) -> str:
    """The text of a mapping, with a line end; keys in their order."""
    return "".join(f"{line}\n" for line in _mapping(value, indent))


def _mapping(value: Mapping[str, Any], indent: int) -> Iterator[str]:
    pad = " " * indent
    for name, content in value.items():
        key = scalar(name)
        if isinstance(content, Mapping) and content:
            yield f"{pad}{key}:"
            yield from _mapping(content, indent + 2)
        elif isinstance(content, Mapping):
            yield f"{pad}{key}: {{}}"
        elif isinstance(content, Sequence) and not isinstance(content, str):
            yield f"{pad}{key}:" if content else f"{pad}{key}: []"
            for item in content:
                if isinstance(item, Mapping):
                    first, *rest = _mapping(item, indent + 2)
                    yield f"{pad}- {first.lstrip(' ')}"
                    yield from rest
                else:
                    yield f"{pad}- {scalar(item)}"
        else:
            yield f"{pad}{key}: {scalar(content)}"


def scalar(value: Any) -> str:
    """One value: text is quoted where YAML would take it for something else."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise TypeError(f"no YAML for {type(value).__name__}")
    if not value.isprintable():
        return _escaped(value)
    if _PLAIN.fullmatch(value) and _resolves_to(value) == _TEXT:
        return value
    quoted = value.replace("'", "''")
    return f"'{quoted}'"


def _resolves_to(value: str) -> Any:
    return _RESOLVER.resolve(yaml.ScalarNode, value, (True, False))


def _float(value: float) -> str:
    """Shortest text that reads back as the same number; YAML 1.1 wants a point and a signed exponent."""
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    point = "" if "." in mantissa else ".0"
    sign = "" if exponent[0] in "+-" else "+"
    return f"{mantissa}{point}e{sign}{exponent}"


def _escaped(value: str) -> str:
    """In double quotes, with what does not print as an escape: JSON's, but for characters beyond 16 bits."""
    parts = [
        json.dumps(c, ensure_ascii=False)[1:-1] if c.isprintable() or c in "\n\t\r" else f"\\U{ord(c):08x}"
        for c in value
    ]
    return f'"{"".join(parts)}"'
