"""Kubernetes' quantities: cores as `250m` or `1.5`, bytes as `512Mi`, `2G` or plain numbers."""

from __future__ import annotations

import math
import re

_CORES = re.compile(r"(\d+(?:\.\d+)?)(m?)")
_BYTES = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)?")
_UNITS = {
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
}  # fmt: skip


def cores(text: str) -> float | None:
    """Cores; None for what is no quantity."""
    match = _CORES.fullmatch(text)
    if match is None:
        return None
    return float(match[1]) / (1000 if match[2] else 1)


def size(text: str) -> int | None:
    """Bytes; None for what is no quantity."""
    match = _BYTES.fullmatch(text)
    if match is None:
        return None
    return int(float(match[1]) * _UNITS.get(match[2] or "", 1))


def of_cores(count: float) -> str:
    """Thousandths of cores, rounded up."""
    return str(int(count)) if count == int(count) else f"{math.ceil(round(count * 1000, 6))}m"


def of_size(count: int) -> str:
    """The largest unit that says it exactly, else bytes."""
    for unit in ("Gi", "Mi"):
        if count % _UNITS[unit] == 0:
            return f"{count // _UNITS[unit]}{unit}"
    return str(count)
