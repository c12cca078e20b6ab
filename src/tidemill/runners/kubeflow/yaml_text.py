"""JSON values as YAML text: block style for people to read, the same bytes for the same value.

Every YAML 1.1 and 1.2 reader gives the value back. Plain scalars are those that no reader takes for anything
else; every other text is a JSON string, which YAML reads as it is. There are no anchors, tags, folded lines.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+-]*(:[A-Za-z0-9_./@+-]+)*")
"""Texts that are written as they are, unless they are words below."""
_WORDS = frozenset(["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"])
"""What some reader takes for something other than text, in any case of letters."""
_LONGEST_KEY = 1000
_JSON = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
"""Characters that JSON leaves alone and YAML does not print."""


def dumps(value: Any) -> str:
    """One document, ending with a newline. ValueError for NaN and infinities, TypeError for what is not JSON.

    Keys are sorted, and must be text of less than 1,000 characters: YAML has no longer simple ones.
    """
    if (isinstance(value, Mapping) and value) or (isinstance(value, (list, tuple)) and value):
        return "".join(f"{line}\n" for line in _lines(value))
    return f"{_scalar(value)}\n"


def _lines(value: Mapping[str, Any] | Sequence[Any]) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key in sorted(value):
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is not text")
            if len(key) >= _LONGEST_KEY:
                raise ValueError(f"the key {key[:50]!r}... is too long for YAML")
            yield from _entry(f"{_text(key)}:", value[key], "")
    else:
        for item in value:
            yield from _entry("-", item, "  ")


def _entry(head: str, value: Any, inner: str) -> Iterator[str]:
    """A key or a dash, and what belongs to it; lists stand below their key without indent."""
    if isinstance(value, Mapping) and value:
        lines = _lines(value)
        if head == "-":
            yield f"- {next(lines)}"
        else:
            yield head
        for line in lines:
            yield f"  {line}"
    elif isinstance(value, (list, tuple)) and value:
        lines = _lines(value)
        if head == "-":
            yield f"- {next(lines)}"
        else:
            yield head
        for line in lines:
            yield f"{inner}{line}"
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _number(value)
        case str():
            return _text(value)
        case {}:
            return "{}"
        case [] | ():
            return "[]"
    raise TypeError(f"{type(value).__name__} is not JSON")


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON number")
    found = repr(value)
    mantissa, e, exponent = found.partition("e")
    if not e:
        return found
    # YAML 1.1 takes a number with an exponent for text unless it has a point and a sign.
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    exponent = exponent if exponent[0] in "+-" else f"+{exponent}"
    return f"{mantissa}e{exponent}"


def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return _JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
