"""The scheduler against the definition: random plans, loops, failures, retries, cancels, and its cost."""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.ir.model import LoopIR
from tidemill.metadata.model import NodeState, RunState
from tidemill.runners.local.capacity import Capacity
from tidemill.runners.local.scheduler import MOST_PASSED, Fate, Place, Scheduler
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.launch import Outcome
from tidemill.runtime.plan import Plan
from tidemill.testing.scheduler_model import Oracle, Reference, plan_of, plans, step

SEEDS = st.integers(0, 2**32)


@dataclass
class Drive:
    """Drives a scheduler to its end, in an order of events that luck decides; checks each step of it."""

    plan: Plan
    oracle: Oracle
    luck: random.Random
    before: Mapping[Place, Outcome] = field(default_factory=dict)
    jobs: int = 3

    def __post_init__(self) -> None:
        self.reference = Reference(self.plan, self.oracle)
        self.scheduler = Scheduler(self.plan, self.before)
        self.capacity = Capacity(jobs=self.jobs, cpu=2.0, memory=1, gpu=0)
        self.now = 0.0
        self.running: set[Place] = set()
        self.ended: dict[Place, Outcome] = {}
        self.launched: list[Place] = []
        self.attempts: dict[Place, int] = defaultdict(int)
        self.cancels: list[int] = []
        """How many places were launched when the run was canceled, each time."""

    def drive(self, cancel_at: tuple[int, ...] = (), stop_at: int | None = None) -> None:
        """To the end, or to an event's number."""
        events = 0
        while not self.scheduler.over or self.running:
            if events == stop_at:
                return
            if events in cancel_at:
                self.cancels.append(len(self.launched))
                self.scheduler.cancel()
            self.start()
            events += 1
            if self.running:
                self.end(self.luck.choice(sorted(self.running)))
            elif not self.scheduler.over:
                wake = self.scheduler.wake_at()
                assert wake is not None, "nothing runs, nothing waits for its time, and it is not over"
                self.now = max(self.now, wake)
        assert self.scheduler.running == set()

    def start(self) -> None:
        while (place := self.scheduler.take(self.now, self.fits)) is not None:
            self.capacity.take(self.scheduler.steps[place[0]].options.resources)
            assert place not in self.running
            assert place not in self.ended, "it ended already"
            assert place not in self.before, "it ended in an earlier session"
            self.running.add(place)
            if not self.attempts[place]:
                self.launched.append(place)
            self.attempts[place] += 1
            self.check_order(place)
            self.check_parallelism()

    def fits(self, found: Any) -> bool:
        return self.capacity.fits(found.options.resources)

    def end(self, place: Place) -> None:
        self.now += self.luck.random()
        self.running.remove(place)
        self.capacity.give(self.scheduler.steps[place[0]].options.resources)
        if self.attempts[place] <= self.oracle.retries(place):
            self.scheduler.again(place, self.now + self.luck.random())
            return
        self.ended[place] = self.oracle.outcome(self.plan, place)
        self.scheduler.ended(place, self.ended[place])

    def check_order(self, place: Place) -> None:
        """Whatever it waits for has a fate by now, and everything else has when it is an exit node."""
        for p in self.reference.before(place):
            assert p in self.scheduler.fates, f"{place} started before {p} ended"
        if self.scheduler.steps[place[0]].on_exit:
            for s in self.plan.steps:
                assert s.on_exit or (s.node_id, ()) in self.scheduler.fates

    def check_parallelism(self) -> None:
        assert len(self.running) <= self.jobs
        active: dict[Place, set[tuple[int, ...]]] = defaultdict(set)
        for node_id, path in self.running:
            for depth, loop in enumerate(self.scheduler.steps[node_id].loops):
                active[loop, path[:depth]].add(path[: depth + 1])
        for (loop, _), iterations in active.items():
            limits = self.scheduler.steps[loop].loop
            assert limits is not None
            assert not limits.parallelism or len(iterations) <= limits.parallelism


def fates_of(scheduler: Scheduler, reference: Reference) -> dict[Place, Fate]:
    """Of every place that the reference knows, and of every node as a whole."""
    places = {*reference.places(), *((s.node_id, ()) for s in reference.plan.steps)}
    return {place: scheduler.fates[place] for place in places}


@given(plan=plans(), seed=SEEDS)
@settings(max_examples=150)
def test_everything_ends_as_the_definition_says(plan: Plan, seed: int) -> None:
    drive = Drive(plan, Oracle(seed), random.Random(seed))
    drive.drive()
    reference = drive.reference
    assert set(drive.launched) == reference.launched()
    expected = {place: reference.fate(place) for place in fates_of(drive.scheduler, reference)}
    assert fates_of(drive.scheduler, reference) == expected
    failed = any(drive.oracle.state(place) is NodeState.FAILED for place in drive.launched)
    assert drive.scheduler.state is (RunState.FAILED if failed else RunState.COMPLETE)
    blocked = {place for place in reference.places() if reference.fate(place) is Fate.BLOCKED}
    assert blocked <= set(drive.scheduler.blocked())
    assert drive.capacity.running == 0


@given(plan=plans(), seed=SEEDS, stop=st.integers(0, 30))
@settings(max_examples=100)
def test_another_session_goes_on_where_one_stopped(plan: Plan, seed: int, stop: int) -> None:
    """Nothing that succeeded is launched again; what failed is; the fates are those of one session."""
    first = Drive(plan, Oracle(seed), random.Random(seed))
    first.drive(stop_at=stop)
    done = {place: outcome for place, outcome in first.ended.items() if outcome.state.succeeded}
    second = Drive(plan, Oracle(seed), random.Random(seed + 1), before=done)
    second.drive()
    reference = second.reference
    assert set(second.launched) == reference.launched() - set(done)
    expected = {place: reference.fate(place) for place in fates_of(second.scheduler, reference)}
    assert fates_of(second.scheduler, reference) == expected


@given(plan=plans(), seed=SEEDS, cancels=st.lists(st.integers(0, 15), min_size=1, max_size=2, unique=True))
@settings(max_examples=100)
def test_after_a_cancel_only_exit_nodes_start(plan: Plan, seed: int, cancels: list[int]) -> None:
    """A second cancel stops these too; what ended before keeps its end; everything ends."""
    drive = Drive(plan, Oracle(seed), random.Random(seed))
    drive.drive(cancel_at=tuple(cancels))
    for place in drive.launched[drive.cancels[0] :] if drive.cancels else []:
        assert drive.scheduler.steps[place[0]].on_exit
    assert len(drive.cancels) < 2 or drive.launched[drive.cancels[1] :] == []
    for s in plan.steps:
        assert (s.node_id, ()) in drive.scheduler.fates
    for place, outcome in drive.ended.items():
        fate = drive.scheduler.fates[place]
        assert (fate is Fate.SUCCEEDED) == (outcome.state in (NodeState.COMPLETE, NodeState.CACHED))
        assert place in drive.reference.launched()
    if drive.scheduler.state is RunState.COMPLETE:
        assert not set(drive.scheduler.fates.values()) & {Fate.FAILED} or not drive.cancels
        assert not drive.cancels or Fate.BLOCKED not in drive.scheduler.fates.values()


def ends(place: Place, state: NodeState = NodeState.COMPLETE, iterations: int | None = None) -> Outcome:
    return Outcome(state=state, node_id=place[0], iterations=iterations)


def always(_: object) -> bool:
    return True


def test_a_node_that_fits_passes_one_that_does_not_but_not_for_ever() -> None:
    """The large one is next after so many smaller ones, though more of them are ready."""
    small = [step(f"s{i}", cpu=1.0) for i in range(MOST_PASSED + 50)]
    scheduler = Scheduler(plan_of([step("large", cpu=2.0), *small]))
    capacity = Capacity(jobs=9, cpu=2.0, memory=1, gpu=0)
    order: list[str] = []
    held: list[Place] = []

    def take() -> Place | None:
        place = scheduler.take(0.0, lambda s: capacity.fits(s.options.resources))
        if place is not None:
            capacity.take(scheduler.steps[place[0]].options.resources)
            order.append(place[0])
        return place

    first = take()
    assert first == ("large", ())
    scheduler.running.discard(first)
    capacity.give(scheduler.steps["large"].options.resources)
    scheduler.again(first, 0.0)
    blocker = scheduler.take(0.0, lambda s: s.node_id == "s0")
    assert blocker is not None
    capacity.take(scheduler.steps["s0"].options.resources)
    for _ in range(MOST_PASSED + 20):
        place = take()
        if place is None:
            break
        held.append(place)
        capacity.give(scheduler.steps[place[0]].options.resources)
        scheduler.ended(place, ends(place))
    assert len(held) <= MOST_PASSED
    assert take() is None, "something started before the node that waited long enough"
    capacity.give(scheduler.steps["s0"].options.resources)
    scheduler.ended(blocker, ends(blocker))
    assert take() == ("large", ())


def test_retries_wait_for_their_time() -> None:
    scheduler = Scheduler(plan_of([step("a"), step("b", ["a"])]))
    place = scheduler.take(0.0, always)
    assert place == ("a", ())
    scheduler.again(place, 5.0)
    assert scheduler.wake_at() == 5.0
    assert scheduler.take(4.9, always) is None
    assert scheduler.take(5.0, always) == ("a", ())
    assert not scheduler.over


def test_a_cancel_ends_what_waits_for_its_retry() -> None:
    scheduler = Scheduler(plan_of([step("a"), step("b", ["a"]), step("x", on_exit=True)]))
    place = scheduler.take(0.0, always)
    assert place is not None
    scheduler.again(place, 5.0)
    scheduler.cancel()
    assert scheduler.take(9.0, always) == ("x", ())
    scheduler.ended(("x", ()), ends(("x", ())))
    assert scheduler.over
    assert scheduler.state is RunState.CANCELED
    assert set(scheduler.blocked()) == {("a", ()), ("b", ())}


@pytest.mark.parametrize("state", [NodeState.FAILED, NodeState.CANCELED])
def test_an_exit_node_that_does_not_succeed_decides_how_the_run_ends(state: NodeState) -> None:
    """A COMPLETE run has no failed and no canceled node, exit nodes included."""
    scheduler = Scheduler(plan_of([step("a"), step("x", on_exit=True)]))
    for name, how in (("a", NodeState.COMPLETE), ("x", state)):
        assert scheduler.take(0.0, always) == (name, ())
        if how is NodeState.CANCELED:
            scheduler.cancel()
        scheduler.ended((name, ()), ends((name, ()), how))
    assert scheduler.state.value == state.value


def test_exit_nodes_still_start_when_the_first_cancel_comes_late() -> None:
    scheduler = Scheduler(plan_of([step("a"), step("x", on_exit=True), step("y", ["x"], on_exit=True)]))
    for name in ("a", "x", "y"):
        place = scheduler.take(0.0, always)
        assert place == (name, ())
        if name == "x":
            scheduler.cancel()
        scheduler.ended(place, ends(place))
    assert scheduler.state is RunState.COMPLETE


def test_a_failure_is_not_forgotten_when_a_cancel_follows() -> None:
    scheduler = Scheduler(plan_of([step("a"), step("b"), step("c", ["b"])]))
    for name, how in (("a", NodeState.FAILED), ("b", NodeState.CANCELED)):
        place = scheduler.take(0.0, always)
        assert place == (name, ())
        scheduler.cancel() if name == "b" else None
        failure = Failure(kind=FailureKind.EXCEPTION, message="no")
        scheduler.ended(place, Outcome(state=how, node_id=name, failure=failure))
    assert scheduler.state is RunState.FAILED


# --- cost -----------------------------------------------------------------------------------------


def calls_per_node(make: Callable[[int], Plan], nodes: int, items: int) -> float:
    """Calls of functions, Python's own included, for each launch from the plan to the end."""
    plan = make(nodes)
    counted = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    launches = 0
    sys.setprofile(count)
    try:
        scheduler = Scheduler(plan)
        capacity = Capacity(jobs=4, cpu=4.0, memory=1, gpu=0)
        running: list[Place] = []
        while not scheduler.over:
            while not capacity.full and (place := scheduler.take(0.0, always)) is not None:
                capacity.take(scheduler.steps[place[0]].options.resources)
                running.append(place)
                launches += 1
            place = running.pop(0)
            capacity.give(scheduler.steps[place[0]].options.resources)
            scheduler.ended(place, ends(place, iterations=items))
    finally:
        sys.setprofile(None)
    return counted / launches


def chain(nodes: int) -> Plan:
    return plan_of(step(f"n{i}", [f"n{i - 1}"] if i else []) for i in range(nodes))


def fan(nodes: int) -> Plan:
    middle = [step(f"n{i}", ["first"]) for i in range(nodes - 2)]
    return plan_of([step("first"), *middle, step("last", [s.node_id for s in middle])])


def layers(nodes: int) -> Plan:
    """Each node after three of the layer before it."""
    width = 10
    found = []
    for i in range(nodes):
        row = i // width - 1
        found.append(
            step(f"n{i}", [f"n{row * width + (i + j) % width}" for j in range(3)] if row >= 0 else [])
        )
    return plan_of(found)


def loop(nodes: int) -> Plan:
    body = [step(f"n{i}", ["head", *([f"n{i - 1}"] if i else [])], loops=("head",)) for i in range(3)]
    return plan_of([step("head", loop=LoopIR(parallelism=4)), *body, step("last", ["n2"])])


@pytest.mark.parametrize("shape", [chain, fan, layers])
def test_the_cost_of_a_node_does_not_grow_with_the_plan(shape: Callable[[int], Plan]) -> None:
    few, many = (calls_per_node(shape, nodes, 0) for nodes in (100, 10_000))
    assert many <= 1.5 * few, f"{few:.1f} calls per node of 100, {many:.1f} of 10,000"


def test_the_cost_of_an_iteration_does_not_grow_with_the_loop() -> None:
    few, many = (calls_per_node(loop, 0, items) for items in (33, 3333))
    assert many <= 1.5 * few, f"{few:.1f} calls per node of 33 iterations, {many:.1f} of 3,333"
