"""Plans of any shape, an oracle that says how each launch ends, and how everything then must end.

The reference is the definition of a run's end, written as a recursion without any order of events.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile

from hypothesis import strategies as st

from tidemill.ir.model import LoopIR, OptionsIR, ResourcesIR
from tidemill.metadata.model import NodeState
from tidemill.runners.local.scheduler import Fate, Place
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.launch import Outcome
from tidemill.runtime.plan import Plan, Step


def plan_of(steps: Iterable[Step]) -> Plan:
    """A plan without a pipeline."""
    return Plan(pipeline="p", version="v", parameters={}, date="", steps=tuple(steps))


def step(
    name: str, upstream: Iterable[str] = (), *, loops: tuple[str, ...] = (), loop: LoopIR | None = None,
    trigger: str = "all_success", on_exit: bool = False, cpu: float = 0.0,
) -> Step:  # fmt: skip
    """A step of it."""
    return Step(
        node_id=name, component="c", upstream=tuple(sorted(set(upstream))), loops=loops, loop=loop,
        kind="loop" if loop else "component", trigger=trigger, on_exit=on_exit,
        options=OptionsIR(resources=ResourcesIR(cpu=cpu)),
    )  # fmt: skip


@dataclass
class Oracle:
    """How each launch ends; the same for the same seed, whatever the order of launches."""

    seed: int
    most_items: int = 3
    failing: float = 0.15
    skipping: float = 0.15

    def _random(self, what: str, place: Place) -> random.Random:
        return random.Random(f"{self.seed} {what} {place}")

    def state(self, place: Place) -> NodeState:
        """In the end, after all retries."""
        luck = self._random("state", place).random()
        if luck < self.failing:
            return NodeState.FAILED
        if luck < self.failing + self.skipping:
            return NodeState.SKIPPED
        return NodeState.CACHED if luck < 0.5 else NodeState.COMPLETE

    def retries(self, place: Place) -> int:
        """Attempts that fail and are followed by another one."""
        return self._random("retries", place).choice([0, 0, 0, 1, 2])

    def items(self, place: Place) -> int:
        """Iterations, for a loop's own node."""
        return self._random("items", place).randint(0, self.most_items)

    def outcome(self, plan: Plan, place: Place) -> Outcome:
        """What the launcher says in the end."""
        loop = next(s for s in plan.steps if s.node_id == place[0]).loop
        state = self.state(place)
        failed = Failure(kind=FailureKind.EXCEPTION, message="no") if state is NodeState.FAILED else None
        items = self.items(place) if loop and state in (NodeState.COMPLETE, NodeState.CACHED) else None
        return Outcome(state=state, node_id=place[0], failure=failed, iterations=items)


@dataclass
class Reference:
    """What must become of every place, from the definition alone."""

    plan: Plan
    oracle: Oracle
    steps: dict[str, Step] = field(init=False)

    def __post_init__(self) -> None:
        self.steps = {s.node_id: s for s in self.plan.steps}
        self._fates: dict[Place, Fate] = {}

    def seen_from(self, place: Place, node_id: str) -> Place:
        """The place of a node before this one, with the positions in loops that both have in common."""
        mine, theirs = self.steps[place[0]].loops, self.steps[node_id].loops
        common = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(mine, theirs, strict=False))))
        return node_id, place[1][:common]

    def before(self, place: Place) -> list[Place]:
        """Places that must have ended before this one starts."""
        node = self.steps[place[0]]
        return [self.seen_from(place, u) for u in node.upstream if not node.on_exit or self.steps[u].on_exit]

    def may(self, place: Place) -> bool:
        """Whether a launch is called for."""
        node = self.steps[place[0]]
        before = self.before(place)
        lost = any(self.fate(p) in (Fate.FAILED, Fate.BLOCKED) for p in before)
        some = any(self.fate(p) is Fate.SUCCEEDED or self.partly(p) for p in before)
        if node.on_exit or node.trigger == "all_done":
            return True
        return not lost or (node.trigger == "one_success" and some)

    def iterations(self, place: Place) -> list[Place] | Fate:
        """Places below one whose path is not full; or the fate that it shares with its loop."""
        node_id, path = place
        head = (self.steps[node_id].loops[len(path)], path)
        fate = self.fate(head)
        if fate is not Fate.SUCCEEDED:
            return Fate.BLOCKED if fate is Fate.FAILED else fate
        return [(node_id, (*path, i)) for i in range(self.oracle.items(head))]

    def fate(self, place: Place) -> Fate:
        """How it ends, as others see it."""
        if place not in self._fates:
            self._fates[place] = self._fate(place)
        return self._fates[place]

    def _fate(self, place: Place) -> Fate:
        if len(place[1]) == len(self.steps[place[0]].loops):
            if not self.may(place):
                return Fate.BLOCKED
            state = self.oracle.state(place)
            ends = {NodeState.FAILED: Fate.FAILED, NodeState.SKIPPED: Fate.SKIPPED}
            return ends.get(state, Fate.SUCCEEDED)
        below = self.iterations(place)
        if isinstance(below, Fate):
            return below
        fates = {self.fate(p) for p in below}
        if fates & {Fate.FAILED, Fate.BLOCKED}:
            return Fate.FAILED
        some = any(self.fate(p) is Fate.SUCCEEDED or self.partly(p) for p in below)
        return Fate.SKIPPED if Fate.SKIPPED in fates and not some else Fate.SUCCEEDED

    def partly(self, place: Place) -> bool:
        """Whether an iteration succeeded although not all did."""
        if len(place[1]) == len(self.steps[place[0]].loops):
            return False
        below = self.iterations(place)
        if isinstance(below, Fate) or self.fate(place) is not Fate.FAILED:
            return False
        return any(self.fate(p) is Fate.SUCCEEDED or self.partly(p) for p in below)

    def places(self) -> Iterator[Place]:
        """Every full place that comes into being."""
        for node in self.plan.steps:
            yield from self._below((node.node_id, ()))

    def _below(self, place: Place) -> Iterator[Place]:
        if len(place[1]) == len(self.steps[place[0]].loops):
            yield place
            return
        below = self.iterations(place)
        for p in [] if isinstance(below, Fate) else below:
            yield from self._below(p)

    def launched(self) -> set[Place]:
        """Places that are launched."""
        return {p for p in self.places() if self.may(p)}


@st.composite
def plans(draw: st.DrawFn, most: int = 12, exits: bool = True) -> Plan:
    """Nodes and loops in any nesting, each after any of those before it, under any trigger rule."""
    steps: list[Step] = []

    def add(loops: tuple[str, ...], depth: int) -> None:
        name = f"n{len(steps)}"
        known = [s.node_id for s in steps]
        after = draw(st.lists(st.sampled_from(known), max_size=3, unique=True)) if known else []
        cpu = draw(st.sampled_from([0.0, 0.0, 1.0, 2.0]))
        trigger = draw(st.sampled_from(["all_success"] * 3 + ["all_done", "one_success"]))
        upstream = [*after, *loops[-1:]]
        if depth == 3 or len(steps) >= most or draw(st.integers(0, 2)):
            steps.append(step(name, upstream, loops=loops, trigger=trigger, cpu=cpu))
            return
        loop = LoopIR(parallelism=draw(st.integers(0, 2)))
        steps.append(step(name, upstream, loops=loops, trigger=trigger, cpu=cpu, loop=loop))
        for _ in range(draw(st.integers(1, 3))):
            add((*loops, name), depth + 1)

    for _ in range(draw(st.integers(1, 5))):
        add((), 0)
    for i in range(draw(st.integers(0, 2)) if exits else 0):
        known = [s.node_id for s in steps]
        after = draw(st.lists(st.sampled_from(known), max_size=2, unique=True))
        steps.append(step(f"exit{i}", after, on_exit=True))
    return plan_of(steps)
