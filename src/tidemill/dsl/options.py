"""Node options: everything about how a node is run, besides its inputs and parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from tidemill.dsl import environment as environments
from tidemill.dsl import retry as retries_of
from tidemill.dsl.environment import Environment
from tidemill.dsl.retry import Retry
from tidemill.errors import did_you_mean
from tidemill.types.size import bytes_of

ISOLATIONS = ("process", "fresh", "none")
TRIGGERS = ("all_success", "all_done", "one_success")
"""What must have become of the nodes before one, so that it runs."""

_TIMES = ("timeout", "queue_timeout", "start_timeout", "total_timeout", "heartbeat", "cache_max_age")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a node asks for, and may not exceed. 0 or "" asks for nothing and limits nothing."""

    cpu: float = 0.0
    """Cores; fractions are allowed."""
    memory: int | str = 0
    """Bytes, or a text such as `512Mi`, `4GiB`, `2G` (Kubernetes' units). A node that uses more fails."""
    gpu: int = 0
    memory_max: int | str = 0
    """After a failure for lack of memory the retry gets half as much again, up to this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """How a node is run. The same on every runner."""

    retries: int = 0
    """Further attempts after a failure that may pass, such as an exception or a timeout."""
    backoff: float | timedelta = 1.0
    """Seconds that the wait before the first retry takes at most; doubled for each further one."""
    retry: Retry | None = None
    """Budgets per class of failure, in place of `retries` and `backoff`."""
    timeout: float | timedelta | None = None
    """Seconds that the executor may take in one attempt."""
    queue_timeout: float | timedelta | None = None
    """Seconds that the node may wait for its turn after it could have started."""
    start_timeout: float | timedelta | None = None
    """Seconds until the executor begins: starting its process, importing its code."""
    total_timeout: float | timedelta | None = None
    """Seconds for all attempts together, the waits between them included."""
    heartbeat: float | timedelta | None = None
    """Seconds within which the node prints something or calls `tidemill.heartbeat()`; else it hangs."""
    log_limit: int | str = "50Mi"
    """Log kept of one attempt: its beginning and its end. 0 keeps everything."""
    resources: Resources = Resources()
    trigger: str = "all_success"
    """When the node runs: `all_success`, once every node before it succeeded (it is skipped when one was
    skipped whose output it cannot do without); `all_done`, once they all ended or can no longer start;
    `one_success`, once they all ended and one of them at least succeeded."""
    cache: bool = True
    """Whether outputs of an equal earlier execution may be reused."""
    cache_max_age: float | timedelta | None = None
    """Seconds after which an earlier execution is too old to reuse."""
    owner: str = ""
    """Who answers for the node: a person or team."""
    labels: Mapping[str, str] = field(default_factory=dict)
    pool: str = ""
    """Pool in which the node holds slots while it runs; see `tidemill pools`."""
    slots: int = 1
    """How many slots of the pool."""
    priority: int = 0
    """Of two nodes that could start, the one with the higher priority does."""
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


def problems_of(options: NodeOptions) -> list[str]:
    """What is wrong with the options, as sentences."""
    resources: object = options.resources
    if not isinstance(resources, Resources):
        return [f"resources is {resources!r}; write Resources(cpu=..., memory=..., gpu=...)"]
    amounts: dict[str, tuple[object, type]] = {
        "retries": (options.retries, int),
        "backoff": (options.backoff, timedelta),
        **{name: (getattr(options, name) or 0, timedelta) for name in _TIMES},
        "log_limit": (options.log_limit, str),
        "resources.cpu": (resources.cpu, float),
        "resources.memory": (resources.memory, str),
        "resources.memory_max": (resources.memory_max, str),
        "resources.gpu": (resources.gpu, int),
    }
    found = _policy_problems(options, amounts)
    found += [why for name, (value, kind) in amounts.items() if (why := _amount_problem(name, value, kind))]
    if not found and 0 < bytes_of(resources.memory_max) < bytes_of(resources.memory):
        found.append(f"resources.memory_max is {resources.memory_max!r}; it must be more than memory")
    if options.trigger not in TRIGGERS:
        found.append(f"trigger is {options.trigger!r}; {did_you_mean(str(options.trigger), TRIGGERS)}")
    cache: object = options.cache
    if not isinstance(cache, bool):
        found.append(f"cache is {cache!r}; write True or False")
    labels: object = options.labels
    pairs = labels.items() if isinstance(labels, Mapping) else [(labels, labels)]
    if not all(_is_plain_text(key) and _is_plain_text(value) for key, value in pairs):
        found.append(f"labels is {labels!r}; write a dict of str to str")
    if not _is_plain_text(options.owner):
        found.append(f"owner is {options.owner!r}; write a str")
    found += environments.problems_of(options.environment)
    return found + _isolation_problems(options) + _pool_problems(options)


def _isolation_problems(options: NodeOptions) -> list[str]:
    isolation: object = options.isolation
    if isolation not in ("", *ISOLATIONS):
        hint = did_you_mean(str(isolation), ISOLATIONS)
        return [f"isolation is {isolation!r}; {hint}"]
    if isolation and options.environment is not None:
        return [f"isolation is {isolation!r}, but a node with an environment has a process of its own in it"]
    return []


def _pool_problems(options: NodeOptions) -> list[str]:
    found = []
    if not _is_plain_text(options.pool) or options.pool != options.pool.strip():
        found.append(f"pool is {options.pool!r}; write the name of a pool")
    for name, least in (("slots", 1), ("priority", None)):
        number: object = getattr(options, name)
        if isinstance(number, bool) or not isinstance(number, int):
            found.append(f"{name} is {number!r}; it must be a whole number")
        elif least is not None and number < least:
            found.append(f"{name} is {number!r}; it must be {least} or more")
    return found


def _policy_problems(options: NodeOptions, amounts: dict[str, tuple[object, type]]) -> list[str]:
    """What is wrong with `retry`; adds its amounts to the others."""
    retry: object = options.retry
    if retry is None:
        return []
    if not isinstance(retry, Retry):
        return [f"retry is {retry!r}; write Retry(user=..., transient=..., ...)"]
    amounts |= retries_of.amounts_of(retry)
    found = retries_of.problems_of(retry)
    if options.retries:
        found.append("retries and retry are both given; write the budgets into retry")
    return found


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
