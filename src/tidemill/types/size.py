"""Sizes as people write them, in node options and in settings, which know nothing of each other."""

from __future__ import annotations

import re

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {f"{unit}i": 2 ** (10 * i) for i, unit in enumerate(["", "K", "M", "G", "T"]) if unit}


def bytes_of(memory: int | str) -> int:
    """Bytes of `512Mi`, `4GiB`, `2G`, `1.5Gi` or a plain number; ValueError otherwise."""
    if not isinstance(memory, str):
        return int(memory)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?i?)B?\s*", memory)
    if not match or match[2] not in _UNITS:
        raise ValueError(f"{memory!r} is not an amount of memory; write for example 512Mi, 4GiB or 2G")
    return int(float(match[1]) * _UNITS[match[2]])
