"""The decision whether, when and with what there is another attempt."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.ir.model import OptionsIR, ResourcesIR, RetryIR
from tidemill.metadata.model import FAILURE, MEMORY_LIMIT, RETRY_AT, Execution, ExecutionState
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.retry import (
    GiveUp,
    Past,
    Retry,
    decide,
    history_of,
    limits_for,
    memory_for,
    time_left,
    waited_too_long,
)

NOW = 1_800_000_000_000
GROUPS = ("user", "transient", "timeout", "memory", "infrastructure")
KINDS = st.sampled_from(list(FailureKind))
budgets = st.integers(0, 4)
policies = st.builds(
    RetryIR,
    user=budgets, transient=budgets, timeout=budgets, memory=budgets, infrastructure=budgets,
    backoff=st.floats(0, 100), factor=st.floats(1, 10), cap=st.floats(0, 1000),
)  # fmt: skip
resources = st.builds(ResourcesIR, memory=st.just(1000), memory_max=st.sampled_from([0, 1000, 5000, 10**6]))
long_forms = st.builds(OptionsIR, retry=policies, resources=resources)
short_forms = st.builds(OptionsIR, retries=budgets, backoff=st.floats(0, 1000), resources=resources)


def fail(kind: FailureKind, **more: object) -> Failure:
    return Failure(kind=kind, message="m", **more)  # type: ignore[arg-type]  # each test gives the right ones


def play(
    options: OptionsIR, kinds: list[FailureKind], seed: int = 0, lost: int = 0
) -> tuple[list[Past], list[Retry]]:
    """Attempts that fail one after another until one is final; what was decided on the way."""
    rng, now = random.Random(seed), NOW
    history = [Past(kind=FailureKind.LOST, began=NOW, ended=NOW)] * lost
    decisions: list[Retry] = []
    for kind in kinds:
        decision = decide(options, history, fail(kind), now, rng)
        if isinstance(decision, GiveUp):
            break
        decisions.append(decision)
        history.append(Past(kind=kind, began=now, ended=now, retry_at=decision.at))
        now = decision.at
    return history, decisions


@given(long_forms, st.lists(KINDS, max_size=30), st.integers())
def test_no_group_is_tried_again_more_often_than_its_budget(
    options: OptionsIR, kinds: list[FailureKind], seed: int
) -> None:
    history, _ = play(options, kinds, seed)
    assert options.retry is not None
    for group in GROUPS:
        assert sum(p.kind.group == group for p in history) <= getattr(options.retry, group)
    assert all(past.kind.group for past in history)


@given(short_forms, st.lists(KINDS, max_size=30), st.integers(), st.integers(0, 3))
def test_the_short_form_counts_everything_but_lost_runners_together(
    options: OptionsIR, kinds: list[FailureKind], seed: int, lost: int
) -> None:
    history, _ = play(options, kinds, seed, lost)
    assert sum(past.kind is not FailureKind.LOST for past in history) <= options.retries


@given(long_forms, st.lists(KINDS, max_size=30), st.integers())
def test_a_wait_is_never_negative_and_never_longer_than_the_cap(
    options: OptionsIR, kinds: list[FailureKind], seed: int
) -> None:
    _, decisions = play(options, kinds, seed)
    assert options.retry is not None
    before = NOW
    for decision in decisions:
        assert 0 <= decision.at - before <= options.retry.cap * 1000 + 1
        before = decision.at


@given(long_forms | short_forms, st.lists(KINDS, max_size=20), st.integers())
def test_a_runner_that_resumes_decides_as_its_predecessor(
    options: OptionsIR, kinds: list[FailureKind], seed: int
) -> None:
    """The history that is read back from the record is the one that was in memory."""
    history, _ = play(options, kinds, seed)
    recorded = [
        Execution(
            type="T", id=i + 1, state=ExecutionState.FAILED, create_time=past.began, update_time=past.ended,
            custom_properties={FAILURE: past.kind.value, RETRY_AT: past.retry_at},
        )
        for i, past in enumerate(history)
    ]  # fmt: skip
    running = Execution(type="T", id=99, state=ExecutionState.RUNNING)
    assert history_of([running, *reversed(recorded)]) == history
    for kind in FailureKind:
        again = [
            decide(options, h, fail(kind), NOW, random.Random(seed)) for h in (history, history_of(recorded))
        ]
        assert again[0] == again[1]


def test_the_jitter_is_full_and_even() -> None:
    """Uniform between 0 and min(cap, base * factor**(n-1)): mean, spread and every tenth of the range."""
    policy = RetryIR(transient=99, backoff=2.0, factor=3.0, cap=30.0)
    options = OptionsIR(retry=policy)
    rng = random.Random(7)
    for failures, longest in ((0, 2.0), (1, 6.0), (2, 18.0), (3, 30.0), (40, 30.0), (90, 30.0)):
        history = [Past(kind=FailureKind.TRANSIENT, began=NOW, ended=NOW)] * failures
        waits = []
        for _ in range(4000):
            decision = decide(options, history, fail(FailureKind.TRANSIENT), NOW, rng)
            assert isinstance(decision, Retry)
            waits.append((decision.at - NOW) / 1000)
        assert 0 <= min(waits) < 0.01 * longest
        assert 0.99 * longest < max(waits) <= longest
        assert statistics.mean(waits) == pytest.approx(longest / 2, rel=0.05)
        assert statistics.stdev(waits) == pytest.approx(longest / 12**0.5, rel=0.05)
        tenths = [sum(i <= w / longest * 10 < i + 1 for w in waits) for i in range(10)]
        assert min(tenths) > 300, tenths


@pytest.mark.parametrize(
    "kind",
    [FailureKind.DATA, FailureKind.VALIDATION, FailureKind.RESOLUTION, FailureKind.PERMANENT,
     FailureKind.INVALID_OUTPUT, FailureKind.CANCELED],
)  # fmt: skip
def test_what_cannot_pass_is_final(kind: FailureKind) -> None:
    rich = RetryIR(user=9, transient=9, timeout=9, memory=9, infrastructure=9)
    assert isinstance(decide(OptionsIR(retry=rich), [], fail(kind), NOW, random.Random()), GiveUp)
    assert isinstance(decide(OptionsIR(retries=9), [], fail(kind), NOW, random.Random()), GiveUp)


def test_a_rule_has_its_own_backoff() -> None:
    options = OptionsIR(retry=RetryIR(transient=1, backoff=500.0))
    failure = fail(FailureKind.TRANSIENT, backoff=0.0)
    assert decide(options, [], failure, NOW, random.Random(1)) == Retry(
        at=NOW, reason="transient failure 1 of 1 that are tried again"
    )


def test_memory_grows_by_half_up_to_its_maximum() -> None:
    options = OptionsIR(retry=RetryIR(memory=9, user=9), resources=ResourcesIR(memory=1000, memory_max=3000))
    history: list[Past] = []
    given_: list[int] = []
    for kind in (FailureKind.OUT_OF_MEMORY, FailureKind.EXCEPTION, *[FailureKind.OUT_OF_MEMORY] * 4):
        decision = decide(options, history, fail(kind), NOW, random.Random(1))
        if isinstance(decision, GiveUp):
            assert "raise memory_max" in decision.reason
            break
        given_.append(decision.memory)
        history.append(Past(kind=kind, began=NOW, ended=NOW))
        assert memory_for(options, history) == decision.memory
    assert given_ == [1500, 1500, 2250, 3000]
    fixed = OptionsIR(retries=3, resources=ResourcesIR(memory=1000))
    assert isinstance(decide(fixed, [], fail(FailureKind.OUT_OF_MEMORY), NOW, random.Random(1)), GiveUp)


def test_the_time_for_all_attempts_includes_the_waits() -> None:
    options = OptionsIR(retry=RetryIR(user=9, backoff=0.0), total_timeout=10.0)
    first = Past(kind=FailureKind.EXCEPTION, began=NOW, ended=NOW + 1000)
    failure = fail(FailureKind.EXCEPTION)
    assert isinstance(decide(options, [first], failure, NOW + 9_999, random.Random()), Retry)
    assert isinstance(decide(options, [first], failure, NOW + 10_000, random.Random()), GiveUp)
    assert time_left(options, [first], NOW + 4000) == 6.0
    assert time_left(options, [first], NOW - 5000) == 10.0, "a clock that is set back gives no time"
    assert limits_for(options, [first], NOW + 4000).total == 6.0
    assert 0 < limits_for(options, [first], NOW + 99_000).total < 0.01
    total = fail(FailureKind.TIMEOUT, timeout="total")
    assert isinstance(decide(OptionsIR(retries=9), [], total, NOW, random.Random()), GiveUp)


def test_waiting_in_the_queue_has_a_limit() -> None:
    options = OptionsIR(queue_timeout=5.0)
    assert waited_too_long(options, NOW, NOW + 5000) is None
    assert waited_too_long(options, 0, NOW) is None, "nobody said since when"
    assert waited_too_long(OptionsIR(), NOW, NOW + 10**9) is None
    late = waited_too_long(options, NOW, NOW + 5001)
    assert late is not None
    assert (late.kind, late.timeout) == (FailureKind.TIMEOUT, "queue")


def test_a_class_of_a_later_version_is_read_as_an_exception() -> None:
    recorded = {FAILURE: "FROM_THE_FUTURE", MEMORY_LIMIT: 7}
    (past,) = history_of([Execution(type="T", state=ExecutionState.FAILED, custom_properties=recorded)])
    assert (past.kind, past.memory) == (FailureKind.EXCEPTION, 7)
