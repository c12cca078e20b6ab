"""A worker: takes runs from the queue and drives them on this machine, and those of workers that died.

Several may share a store, on this machine or others; each run is driven by one of them at any time. All
runs of a worker share its slots. It keeps no state: killed at any moment, the next one goes on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tidemill.errors import StoreError, TidemillError
from tidemill.ir import codec
from tidemill.metadata.model import CANCEL, Run, RunState
from tidemill.runners.base.starting import QUEUED
from tidemill.runners.local.driver import Driver, Ended
from tidemill.runners.local.runner import LocalRunner
from tidemill.runtime import crashpoint, owner

IDLE_SECONDS = 0.3
"""How long an idle worker sleeps between two looks at the queue."""
RESCUE_SECONDS = 3.0
"""How often a worker looks for runs whose worker died."""
MOST_TROUBLES = 3
"""How often a run may meet a store that fails before it is FAILED."""
_MANY = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """A worker begins with a run."""

    run: Run
    resumed: bool


Report = Took | Ended


class Worker:
    """Drives queued runs, at most `most_runs` at once, until it is told to stop."""

    def __init__(self, runner: LocalRunner, *, most_runs: int = 0, tell: Callable[[Report], None]) -> None:
        self.runner = runner
        self.store = runner.store
        self.tell = tell
        self.stopping = False
        self.failed = 0
        """Runs that ended here and are not COMPLETE."""
        self._most = most_runs
        self._driven: set[str] = set()
        self._troubles: Counter[str] = Counter()
        self._look_at = 0.0
        self._rescue_at = 0.0

    def stop(self) -> None:
        """Take no more runs, and return when those under way have ended."""
        self.stopping = True

    def work(self, *, once: bool = False) -> None:
        """Until told to stop; with `once`, until the queue is empty and nothing is under way."""
        with Driver(self.runner) as driver:
            most = self._most or max(4, 2 * driver.capacity.jobs)
            while True:
                if not self.stopping:
                    for run, resumed in self._next(most - len(driver)):
                        self._begin(driver, run, resumed)
                if len(driver):
                    driver.step()
                elif self.stopping or once:
                    return
                else:
                    time.sleep(IDLE_SECONDS)
                for run_id in list(driver.ended):
                    self._end(driver.ended.pop(run_id))

    def _next(self, room: int) -> Iterator[tuple[Run, bool]]:
        """Runs to begin with now: those that others left, then the queue's. Looks are not too frequent."""
        now = time.monotonic()
        if now < self._look_at or room <= 0:
            return
        if now >= self._rescue_at:
            self._rescue_at = now + RESCUE_SECONDS
            for run in self._left_behind():
                if room and self._rescue(run):
                    room -= 1
                    yield replace(run, owner=owner.myself()), True
        while room and self.store.get_runs(state=RunState.QUEUED, limit=1):
            taken = self.store.take_queued(owner.myself())
            if taken is None:
                break
            crashpoint.reach("queue.taken")
            room -= 1
            yield taken, False
        self._look_at = time.monotonic() + IDLE_SECONDS

    def _left_behind(self) -> list[Run]:
        """Runs from the queue that nobody drives, oldest first: their worker is dead, or had trouble here."""
        running = self.store.get_runs(state=RunState.RUNNING, limit=_MANY)
        return [
            run
            for run in reversed(running)
            if run.settings.get(QUEUED)
            and (
                owner.is_alive(run.owner) is False
                or (run.owner == owner.myself() and run.id not in self._driven)
            )
        ]

    def _rescue(self, run: Run) -> bool:
        """Whether the run is ours now, and to be gone on with. One that was to end is ended."""
        if not self.store.take_run(run.id, owner=owner.myself(), expected_owner=run.owner):
            return False
        if run.request == CANCEL:
            self.store.end_run(run.id, RunState.CANCELED, owner=owner.myself(), close_nodes=True)
            return False
        return True

    def _begin(self, driver: Driver, run: Run, resumed: bool) -> None:
        """What is wrong with one run must not stop the others."""
        self.tell(Took(run=run, resumed=resumed))
        self._driven.add(run.id)
        try:
            ir = codec.loads(self.store.get_pipeline_version(run.version))
            driver.begin(ir, run, resumed=resumed)
        except TidemillError as error:
            self._end(Ended(run, error))

    def _end(self, ended: Ended) -> None:
        self._driven.discard(ended.run.id)
        self._look_at = 0.0  # there is room now
        self.tell(ended)
        if not isinstance(ended.value, BaseException):
            self.failed += ended.value.state is not RunState.COMPLETE
            return
        self.failed += 1
        self._troubles[ended.run.id] += 1
        passing = isinstance(ended.value, StoreError) and self._troubles[ended.run.id] < MOST_TROUBLES
        if not passing:  # else it is ours still, and is gone on with like those of the dead
            self.store.end_run(ended.run.id, RunState.FAILED, owner=owner.myself(), close_nodes=True)
