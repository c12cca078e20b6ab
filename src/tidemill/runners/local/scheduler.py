"""The scheduler: which nodes of a run may start now, given how others ended. It does nothing itself.

It is told what happened and what time it is, and says what to launch; it touches no clock, no store, no
process. So the runner and the simulation drive the very same rules.

Every node of the plan ends once as seen from outside its loops. Inside, it ends once per iteration. A
*place* is a node and a path of positions in the loops around it: a full path is one launch, a shorter
one stands for all iterations below it. What waits for a place is told once, when it ends.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from tidemill.metadata.model import NodeState, RunState
from tidemill.runtime.launch import Outcome
from tidemill.runtime.plan import Plan, Step

Place = tuple[str, tuple[int, ...]]
"""A node and where in its loops."""

_Entry = tuple[int, int, tuple[int, ...], Place]
"""Priority (smaller is more), order in the plan, path, and the place itself."""

MOST_PASSED = 100
"""How often a node that does not fit lets others start before it; then it is next."""
_SCANNED = 64
"""Nodes that are looked at for one that fits."""


class Fate(Enum):
    """How a place ended, as far as others must know."""

    SUCCEEDED = auto()
    SKIPPED = auto()
    FAILED = auto()
    BLOCKED = auto()
    """It never started: something before it failed, or the run was canceled."""


_FATES = {
    NodeState.COMPLETE: Fate.SUCCEEDED,
    NodeState.CACHED: Fate.SUCCEEDED,
    NodeState.SKIPPED: Fate.SKIPPED,
    NodeState.FAILED: Fate.FAILED,
    NodeState.CANCELED: Fate.FAILED,
}


@dataclass(slots=True)
class _Group:
    """All iterations of one node below a path that is not full."""

    left: int
    succeeded: int = 0
    skipped: int = 0
    failed: int = 0

    def add(self, fate: Fate, *, partly: bool) -> None:
        self.left -= 1
        self.succeeded += partly or fate is Fate.SUCCEEDED
        self.skipped += fate is Fate.SKIPPED
        self.failed += fate in (Fate.FAILED, Fate.BLOCKED)

    @property
    def fate(self) -> Fate:
        if self.failed:
            return Fate.FAILED
        return Fate.SKIPPED if self.skipped and not self.succeeded else Fate.SUCCEEDED


@dataclass(slots=True)
class _Loop:
    """The iterations of one loop below one path."""

    count: int
    parallelism: int
    begun: int = 0
    active: int = 0


class Scheduler:
    """One run: what waits, what is ready, what ended."""

    def __init__(
        self, plan: Plan, before: Mapping[Place, Outcome] | None = None,
        held: Mapping[Place, float] | None = None,
    ) -> None:  # fmt: skip
        self.steps = {step.node_id: step for step in plan.steps}
        self.order = {step.node_id: i for i, step in enumerate(plan.steps)}
        self.before = dict(before or {})
        """Places that need no launch, because they ended already."""
        self.held = dict(held or {})
        """Those among them that are to be launched again all the same, and when."""
        self.fresh: list[Place] = []
        """Places that became ready; whoever wants to know takes them out."""
        self.fates: dict[Place, Fate] = {}
        self._partly: set[Place] = set()
        """Places in loops of which an iteration succeeded, and another one did not."""
        self.running: set[Place] = set()
        self.canceled = False
        self.failed = False
        self._lost = False
        self._inside: dict[str, list[Step]] = defaultdict(list)
        for step in plan.steps:
            for loop_id in step.loops:
                self._inside[loop_id].append(step)
        self._unmet: dict[Place, int] = {}
        self._waiters: dict[Place, list[Place]] = defaultdict(list)
        self._groups: dict[Place, _Group] = {}
        self._loops: dict[Place, _Loop] = {}
        self._in_iteration: dict[Place, int] = {}
        """Nodes of an iteration that did not end; the place is the loop's, with the iteration's path."""
        self._ready: list[_Entry] = []
        self._passed: dict[Place, int] = {}
        self._later: list[tuple[float, int, Place]] = []
        self._news: deque[tuple[Place, Fate, int]] = deque()
        self._open = sum(not step.on_exit for step in plan.steps)
        self._left = len(plan.steps)
        self._exiting = self._stopped = False
        self._counter = 0
        for step in plan.steps:
            if not step.loops and not step.on_exit:
                self._begin(step, ())
        self._spread()

    # --- what happened ------------------------------------------------------------------------------

    def ended(self, place: Place, outcome: Outcome) -> None:
        """An attempt ended, and no other one follows."""
        self.running.discard(place)
        fate = _FATES[outcome.state]
        self.failed |= fate is Fate.FAILED and outcome.state is NodeState.FAILED
        self._news.append((place, fate, outcome.iterations or 0))
        self._spread()

    def again(self, place: Place, at: float) -> None:
        """The place is to be launched again at this time."""
        self.running.discard(place)
        if self._stopped or (self.canceled and not self._exiting):
            self._news.append((place, Fate.BLOCKED, 0))
            self._spread()
            return
        self._counter += 1
        heapq.heappush(self._later, (at, self._counter, place))

    def cancel(self) -> None:
        """Nothing more starts, but exit nodes once all that runs has ended. A second time: nor they."""
        self._stopped = self.canceled
        self.canceled = True
        if self._exiting and not self._stopped:
            return  # what waits are exit nodes alone
        waiting = [entry[-1] for entry in self._ready] + [entry[-1] for entry in self._later]
        self._ready, self._later = [], []
        self._news.extend((place, Fate.BLOCKED, 0) for place in waiting)
        self._spread()

    # --- what to do ---------------------------------------------------------------------------------

    def take(self, now: float, fits: Callable[[Step], bool]) -> Place | None:
        """The next place to launch that fits; it counts as running. None when there is none."""
        while self._later and self._later[0][0] <= now:
            self._push(heapq.heappop(self._later)[2])
        passed: list[_Entry] = []
        found: Place | None = None
        while self._ready and len(passed) < _SCANNED:
            entry = heapq.heappop(self._ready)
            place = entry[-1]
            if fits(self.steps[place[0]]):
                found = place
                break
            passed.append(entry)
            if self._passed.get(place, 0) >= MOST_PASSED:
                break  # it has waited long enough: nothing else starts before it
        for entry in passed:
            heapq.heappush(self._ready, entry)
            if found is not None:
                self._passed[entry[-1]] = self._passed.get(entry[-1], 0) + 1
        if found is not None:
            self._passed.pop(found, None)
            self.running.add(found)
        return found

    def wake_at(self) -> float | None:
        """When something becomes ready by itself."""
        return self._later[0][0] if self._later else None

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self._left == 0

    @property
    def state(self) -> RunState:
        """How the run ends, or would end now. Exit nodes that fail, fail the run too."""
        if self.failed:
            return RunState.FAILED
        return RunState.CANCELED if self.canceled and self._lost else RunState.COMPLETE

    def blocked(self) -> Iterator[Place]:
        """Places that never started because something before them failed, or the run was canceled."""
        for place, fate in self.fates.items():
            if fate is Fate.BLOCKED:
                yield place

    # --- beginning ----------------------------------------------------------------------------------

    def _begin(self, step: Step, path: tuple[int, ...]) -> None:
        """A place comes into being, and waits for those before it."""
        place = (step.node_id, path)
        unmet = 0
        for node_id in step.upstream:
            if step.on_exit and not self.steps[node_id].on_exit:
                continue
            before = self._seen_from(step, path, node_id)
            if before not in self.fates:
                self._waiters[before].append(place)
                unmet += 1
        self._unmet[place] = unmet
        if not unmet:
            self._judge(place)

    def _seen_from(self, step: Step, path: tuple[int, ...], node_id: str) -> Place:
        """The place of a node before this one: with as much of the path as both have loops in common."""
        common = 0
        for mine, theirs in zip(step.loops, self.steps[node_id].loops, strict=False):
            if mine != theirs:
                break
            common += 1
        return node_id, path[:common]

    def _judge(self, place: Place) -> None:
        """All before it has ended: it is ready, or can never start."""
        step = self.steps[place[0]]
        upstream = [
            self._seen_from(step, place[1], node_id)
            for node_id in step.upstream
            if not step.on_exit or self.steps[node_id].on_exit
        ]
        lost = any(self.fates[u] in (Fate.FAILED, Fate.BLOCKED) for u in upstream)
        if step.on_exit or step.trigger == "all_done":
            may = True
        elif step.trigger == "one_success":
            may = not lost or any(self.fates[u] is Fate.SUCCEEDED or u in self._partly for u in upstream)
        else:
            may = not lost
        if self._stopped or (self.canceled and not step.on_exit) or not may:
            self._news.append((place, Fate.BLOCKED, 0))
        elif place in self.held:
            self.again(place, self.held.pop(place))
        elif place in self.before:
            known = self.before[place]
            self.failed |= known.state is NodeState.FAILED
            self._news.append((place, _FATES[known.state], known.iterations or 0))
        else:
            self._push(place)

    def _push(self, place: Place) -> None:
        step = self.steps[place[0]]
        self.fresh.append(place)
        heapq.heappush(self._ready, (-step.options.priority, self.order[place[0]], place[1], place))

    # --- ending -------------------------------------------------------------------------------------

    def _spread(self) -> None:
        """Tell everybody who waits what ended, and who waits for them in turn."""
        while True:
            while self._news:
                self._end(*self._news.popleft())
            if self._open or self._exiting:
                return
            self._exiting = True
            for step in self.steps.values():
                if step.on_exit:
                    self._begin(step, ())

    def _end(self, place: Place, fate: Fate, iterations: int) -> None:
        node_id, path = place
        step = self.steps[node_id]
        self.fates[place] = fate
        self._lost |= fate in (Fate.BLOCKED, Fate.FAILED)
        if len(path) < len(step.loops):
            self._groups.pop(place, None)
        elif step.loop is not None:
            self._open_loop(step, path, fate, iterations)
        for waiter in self._waiters.pop(place, ()):
            self._unmet[waiter] -= 1
            if not self._unmet[waiter]:
                self._judge(waiter)
        if path:
            self._end_in_iteration(step, path, fate)
        else:
            self._left -= 1
            self._open -= not step.on_exit

    def _end_in_iteration(self, step: Step, path: tuple[int, ...], fate: Fate) -> None:
        """One iteration less for the node; perhaps the iteration itself is over."""
        group = self._groups[step.node_id, path[:-1]]
        group.add(fate, partly=(step.node_id, path) in self._partly)
        if not group.left:
            if group.succeeded and group.failed:
                self._partly.add((step.node_id, path[:-1]))
            self._news.append(((step.node_id, path[:-1]), group.fate, 0))
        head = step.loops[len(path) - 1]
        self._in_iteration[head, path] -= 1
        if not self._in_iteration[head, path]:
            del self._in_iteration[head, path]
            loop = self._loops[head, path[:-1]]
            loop.active -= 1
            self._next_iterations(head, path[:-1])

    def _open_loop(self, head: Step, path: tuple[int, ...], fate: Fate, count: int) -> None:
        """A loop's own node ended: its iterations begin, or all in it shares its fate."""
        inside = self._inside[head.node_id]
        if fate is not Fate.SUCCEEDED or not count:
            shared = Fate.BLOCKED if fate is Fate.FAILED else fate
            self._news.extend(((step.node_id, path), shared, 0) for step in inside)
            return
        assert head.loop is not None
        for step in inside:
            self._groups[step.node_id, path] = _Group(count)
        self._loops[head.node_id, path] = _Loop(count, head.loop.parallelism)
        self._next_iterations(head.node_id, path)

    def _next_iterations(self, head: str, path: tuple[int, ...]) -> None:
        loop = self._loops[head, path]
        while loop.begun < loop.count and not (loop.parallelism and loop.active >= loop.parallelism):
            below = (*path, loop.begun)
            loop.begun += 1
            loop.active += 1
            self._in_iteration[head, below] = len(self._inside[head])
            for step in self._inside[head]:
                if len(step.loops) == len(below):
                    self._begin(step, below)
