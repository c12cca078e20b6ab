"""Whether there is another attempt, when, and with how much memory: one pure function.

What was spent is counted from the record of the failed attempts, never from memory, so a runner that
resumes a run finds every budget and every wait as its predecessor left them. Decision 0019.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from tidemill.ir.model import OptionsIR, RetryIR
from tidemill.metadata.model import (
    FAILURE,
    MEMORY_LIMIT,
    RETRY_AT,
    Execution,
    ExecutionState,
    NodeRecord,
    NodeState,
)
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.limits import Limits

GROWTH = 1.5
"""After a failure for lack of memory the next attempt gets so many times as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A failed attempt, as the record tells it. Times are milliseconds since 1970."""

    kind: FailureKind
    began: int
    ended: int
    retry_at: int = 0
    """When the next attempt may begin; 0 when there was to be none."""
    memory: int = 0
    """Bytes it was allowed; 0 for no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Try again, not before `at` (milliseconds since 1970), with `memory` bytes (0: no limit)."""

    at: int
    reason: str
    memory: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The failure is final, and why."""

    reason: str


def decide(
    options: OptionsIR, history: Sequence[Past], failure: Failure, now_ms: int, rng: Random
) -> Retry | GiveUp:
    """What follows a failed attempt. `history` holds the failures before it, oldest first.

    The wait is uniform between 0 and min(cap, base * factor**(n-1)) for the n-th failure of its group
    (full jitter): attempts that failed together do not come back together. A rule's own backoff
    replaces the base.
    """
    group = failure.kind.group
    if not group:
        return GiveUp(reason=f"{failure.kind} does not pass by trying again")
    if failure.timeout == "total":
        return GiveUp(reason="the time for all attempts together is over")
    policy = policy_of(options)
    used = sum(past.kind.group == group for past in history)
    spent = [past for past in history if past.kind.group and past.kind is not FailureKind.LOST]
    budget: int = getattr(policy, group)
    if options.retry is None and len(spent) >= budget:  # the short form is one number for everything
        return GiveUp(reason=_spent(len(spent), budget, "attempts"))
    if used >= budget:
        return GiveUp(reason=_spent(used, budget, f"{group} failures"))
    memory = memory_for(options, [*history, _as_past(failure, now_ms)])
    if group == "memory" and memory <= memory_for(options, history):
        return GiveUp(reason="it may not have more memory than it had; raise memory_max")
    base = policy.backoff if failure.backoff < 0 else failure.backoff
    wait = rng.uniform(0.0, longest_wait(policy, base, used + 1))
    at = now_ms + round(wait * 1000)
    if options.total_timeout and history and at >= history[0].began + options.total_timeout * 1000:
        return GiveUp(reason="the next attempt would begin after the time for all attempts is over")
    return Retry(at=at, reason=f"{group} failure {used + 1} of {budget} that are tried again", memory=memory)


def longest_wait(policy: RetryIR, base: float, failures: int) -> float:
    """Seconds that the wait after the n-th failure of a group never exceeds."""
    # The power of a long history would overflow a float; the cap is reached long before.
    try:
        grown: float = base * policy.factor ** (failures - 1)
    except OverflowError:
        grown = policy.cap
    return max(0.0, min(policy.cap, grown))


def policy_of(options: OptionsIR) -> RetryIR:
    """The budgets and the backoff: those of `retry`, or every budget `retries`."""
    if options.retry is not None:
        return options.retry
    n = options.retries
    return RetryIR(user=n, transient=n, timeout=n, memory=n, infrastructure=n, backoff=options.backoff)


def memory_for(options: OptionsIR, history: Iterable[Past]) -> int:
    """Bytes that the next attempt may use; 0 for no limit.

    It grows by half with each failure for lack of memory, up to `memory_max`.
    """
    limit = options.resources.memory
    most = max(options.resources.memory_max, limit)
    for past in history:
        if past.kind is FailureKind.OUT_OF_MEMORY:
            limit = min(most, int(limit * GROWTH))
    return limit


def time_left(options: OptionsIR, history: Sequence[Past], now_ms: int) -> float:
    """Seconds of `total_timeout` that are left; infinite without one, negative when it is over."""
    if not options.total_timeout:
        return float("inf")
    began = min((past.began for past in history), default=now_ms)
    return options.total_timeout - max(0, now_ms - began) / 1000


def limits_for(options: OptionsIR, history: Sequence[Past], now_ms: int) -> Limits:
    """What the attempt that begins now may use."""
    left = time_left(options, history, now_ms)
    return Limits(
        start=options.start_timeout,
        run=options.timeout,
        # A node whose time is over gets a moment, for 0 would mean: no limit.
        total=0.0 if left == float("inf") else max(left, 0.001),
        heartbeat=options.heartbeat,
        memory=memory_for(options, history),
        cpu=options.resources.cpu,
        log=options.log_limit,
    )


def waited_too_long(options: OptionsIR, ready_ms: int, now_ms: int) -> Failure | None:
    """The failure of a node that was ready for longer than `queue_timeout`; `ready_ms` 0: not known."""
    waited = (now_ms - ready_ms) / 1000
    if not (options.queue_timeout and ready_ms) or waited <= options.queue_timeout:
        return None
    text = f"waited {waited:.1f} s for its turn, longer than its queue_timeout of {options.queue_timeout:g} s"
    return Failure(kind=FailureKind.TIMEOUT, message=text, timeout="queue")


def history_of(executions: Iterable[Execution]) -> list[Past]:
    """The failed ones among the attempts of one node (of one iteration), oldest first."""
    found = []
    for execution in sorted(executions, key=lambda e: e.id):
        recorded = execution.custom_properties
        if execution.state is not ExecutionState.FAILED:
            continue
        found.append(
            Past(
                kind=_kind(str(recorded.get(FAILURE, FailureKind.LOST.value))),
                began=execution.create_time,
                ended=execution.update_time,
                retry_at=int(recorded.get(RETRY_AT, 0)),
                memory=int(recorded.get(MEMORY_LIMIT, 0)),
            )
        )
    return found


def failed_nodes(store: MetadataStore, nodes: Iterable[NodeRecord]) -> list[tuple[NodeRecord, int]]:
    """Those of a run's nodes whose last attempt failed, with the time of the next one (0: there is none)."""
    failed = [node for node in nodes if node.state is NodeState.FAILED]
    if not failed:
        return []
    executions = store.get_executions_by_id([node.execution_id for node in failed])
    retry_at = {e.id: int(e.custom_properties.get(RETRY_AT, 0)) for e in executions}
    return [(node, retry_at.get(node.execution_id, 0)) for node in failed]


def _kind(name: str) -> FailureKind:
    """The class by its recorded name; an unknown one was written by a later version of tidemill."""
    return FailureKind(name) if name in FailureKind.__members__ else FailureKind.EXCEPTION


def _as_past(failure: Failure, now_ms: int) -> Past:
    return Past(kind=failure.kind, began=now_ms, ended=now_ms)


def _spent(used: int, budget: int, what: str) -> str:
    return f"{used} of {budget} {what} are spent" if budget else f"no {what} are tried again"
