"""Node options: everything about how a node is run, besides its inputs and parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {f"{unit}i": 2 ** (10 * i) for i, unit in enumerate(["", "K", "M", "G", "T"]) if unit}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a node asks for. Runners use it to place work; 0 or "" asks for nothing."""

    cpu: float = 0.0
    """Cores; fractions are allowed."""
    memory: int | str = 0
    """Bytes, or a text such as `512Mi`, `4GiB`, `2G` (Kubernetes' units)."""
    gpu: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """How a node is run. The same on every runner."""

    retries: int = 0
    """Further attempts after a failure that may pass, such as an exception or a timeout."""
    backoff: float | timedelta = 1.0
    """Seconds before the first retry; doubled for each further one."""
    timeout: float | timedelta | None = None
    """Seconds that one attempt may take."""
    resources: Resources = Resources()
    cache: bool = True
    """Whether outputs of an equal earlier execution may be reused."""
    cache_max_age: float | timedelta | None = None
    """Seconds after which an earlier execution is too old to reuse."""
    owner: str = ""
    """Who answers for the node: a person or team."""
    labels: Mapping[str, str] = field(default_factory=dict)


def seconds(value: float | timedelta | None) -> float:
    """Seconds, 0 for None."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    return float(value or 0.0)


def bytes_of(memory: int | str) -> int:
    """Bytes of `512Mi`, `4GiB`, `2G`, `1.5Gi` or a plain number; ValueError otherwise."""
    if not isinstance(memory, str):
        return int(memory)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?i?)B?\s*", memory)
    if not match or match[2] not in _UNITS:
        raise ValueError(f"{memory!r} is not an amount of memory; write for example 512Mi, 4GiB or 2G")
    return int(float(match[1]) * _UNITS[match[2]])


def problems_of(options: NodeOptions) -> list[str]:
    """What is wrong with the options, as sentences."""
    found = []
    if options.retries < 0:
        found.append(f"retries is {options.retries}; it cannot be negative")
    for name in ("backoff", "timeout", "cache_max_age"):
        if seconds(getattr(options, name)) < 0:
            found.append(f"{name} is {getattr(options, name)}; it cannot be negative")
    if options.resources.cpu < 0 or options.resources.gpu < 0:
        found.append("resources cannot be negative")
    try:
        bytes_of(options.resources.memory)
    except ValueError as error:
        found.append(str(error))
    return found
