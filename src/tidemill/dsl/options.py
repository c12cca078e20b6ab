"""Node options: everything about how a node is run, besides its inputs and parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from tidemill.dsl import environment as environments
from tidemill.dsl.environment import Environment
from tidemill.errors import did_you_mean

ISOLATIONS = ("process", "fresh", "none")
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
    environment: Environment | None = None
    """What the executor finds installed: `VirtualEnv(...)` or `Container(...)`; None for the environment
    that runs tidemill."""
    isolation: str = ""
    """`process`, `fresh` or `none` for this node, whatever the run says: a forked process, a brand-new
    interpreter, or no process of its own. Empty: as the run says."""


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
    resources: object = options.resources
    if not isinstance(resources, Resources):
        return [f"resources is {resources!r}; write Resources(cpu=..., memory=..., gpu=...)"]
    amounts: dict[str, tuple[object, type]] = {
        "retries": (options.retries, int),
        "backoff": (options.backoff, timedelta),
        "timeout": (options.timeout or 0, timedelta),
        "cache_max_age": (options.cache_max_age or 0, timedelta),
        "resources.cpu": (resources.cpu, float),
        "resources.memory": (resources.memory, str),
        "resources.gpu": (resources.gpu, int),
    }
    found = [why for name, (value, kind) in amounts.items() if (why := _amount_problem(name, value, kind))]
    cache: object = options.cache
    if not isinstance(cache, bool):
        found.append(f"cache is {cache!r}; write True or False")
    labels: object = options.labels
    pairs = labels.items() if isinstance(labels, Mapping) else [(labels, labels)]
    if not all(_is_plain_text(key) and _is_plain_text(value) for key, value in pairs):
        found.append(f"labels is {labels!r}; write a dict of str to str")
    if not _is_plain_text(options.owner):
        found.append(f"owner is {options.owner!r}; write a str")
    return found + environments.problems_of(options.environment) + _isolation_problems(options)


def _isolation_problems(options: NodeOptions) -> list[str]:
    isolation: object = options.isolation
    if isolation not in ("", *ISOLATIONS):
        hint = did_you_mean(str(isolation), ISOLATIONS)
        return [f"isolation is {isolation!r}; {hint}"]
    if isolation and options.environment is not None:
        return [f"isolation is {isolation!r}, but a node with an environment has a process of its own in it"]
    return []


def _amount_problem(name: str, value: object, kind: type) -> str:
    if kind is str and isinstance(value, str):
        try:
            bytes_of(value)
        except ValueError as error:
            return f"{name}: {error}"
        return ""
    number = value.total_seconds() if kind is timedelta and isinstance(value, timedelta) else value
    accepted = int if kind in (int, str) else (int, float)
    if isinstance(number, bool) or not isinstance(number, accepted) or not math.isfinite(number):
        return f"{name} is {value!r}; it must be {'a whole number' if accepted is int else 'a number'}"
    return f"{name} is {value!r}; it cannot be negative" if number < 0 else ""


def _is_plain_text(value: object) -> bool:
    """Whether it is a str that no placeholder was written into."""
    return isinstance(value, str) and "\0" not in value
