"""JSON values, and the one canonical way to write them.

Equal values give equal bytes on every machine and Python version, so that digests of them can be
compared: keys sorted, no spaces, UTF-8, numbers as Python's `repr` writes them (RFC 8785 in spirit).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any


def canonical(value: Any) -> bytes:
    """`value` as canonical JSON bytes. ValueError for NaN and infinities, TypeError for non-JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def digest(value: Any) -> str:
    """sha256 of the canonical bytes, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def not_json(value: Any, at: str = "value") -> str:
    """Where and why `value` cannot be JSON; empty when it can."""
    if value is None or isinstance(value, (bool, int)):
        return ""
    if isinstance(value, str):
        return "" if _is_utf8(value) else f"{at} holds half of a surrogate pair, which is not text"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{at} is {value}, which JSON cannot hold"
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                return f"{at} has the key {key!r}; keys must be str"
            if why := not_json(key, f"a key of {at}") or not_json(item, f"{at}[{key!r}]"):
                return why
        return ""
    if isinstance(value, (list, tuple)):
        return next((why for i, item in enumerate(value) if (why := not_json(item, f"{at}[{i}]"))), "")
    return f"{at} is a {type(value).__name__}, which is not JSON"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
