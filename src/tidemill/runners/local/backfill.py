"""Backfill: one run for each date of a range, oldest first. Asking again does only what is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from tidemill.errors import TidemillError
from tidemill.ir import codec
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import SELECTION, Run, RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.ending import LOOK_SECONDS
from tidemill.runners.base.starting import SameWork, start, wish
from tidemill.runners.local.driver import Driver
from tidemill.runners.local.runner import LocalRunner
from tidemill.runtime import owner
from tidemill.runtime.plan import bind_parameters

_ALL = 2**31 - 1


class Verdict(StrEnum):
    """What becomes of a date, or became of it."""

    RUN = "RUN"
    SKIPPED = "SKIPPED"
    """It has a run already, which is not to be repeated."""
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    NOT_STARTED = "NOT STARTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One date of a backfill."""

    date: str
    verdict: Verdict
    run_id: str = ""
    why: str = ""
    seconds: float = 0.0

    @property
    def bad(self) -> bool:
        """Whether the date has no complete run, and nothing is going to change that."""
        return self.verdict in (Verdict.FAILED, Verdict.CANCELED, Verdict.NOT_STARTED)


def plan_backfill(
    store: MetadataStore, ir: PipelineIR, dates: Sequence[str], parameters: Mapping[str, Any], rerun: str
) -> list[Day]:
    """What is to be done about each date. `rerun` is none, failed or all.

    What counts are whole runs of this very version with these parameters. A date with a COMPLETE one is
    skipped unless all are rerun; one whose newest failed or was canceled is left as it is unless those are.
    """
    version, bound = codec.version(ir), bind_parameters(ir, parameters)
    newest: dict[str, Run] = {}
    complete: dict[str, Run] = {}
    for run in reversed(store.get_runs(pipeline=ir.name, limit=_ALL)):
        if run.version == version and dict(run.parameters) == bound and SELECTION not in run.settings:
            newest[run.date] = run
            if run.state is RunState.COMPLETE:
                complete[run.date] = run
    return [_day(date, newest.get(date), complete.get(date), rerun) for date in dates]


def _day(date: str, newest: Run | None, complete: Run | None, rerun: str) -> Day:
    if rerun == "all" or newest is None or not newest.state.ended:
        return Day(date=date, verdict=Verdict.RUN)
    if complete is not None:
        why = f"run {complete.id} is complete"
        return Day(date=date, verdict=Verdict.SKIPPED, run_id=complete.id, why=why)
    if rerun == "failed":
        return Day(date=date, verdict=Verdict.RUN, why=f"run {newest.id} is {newest.state}")
    why = "an earlier run ended so; --rerun failed runs it again"
    return Day(date=date, verdict=Verdict(newest.state.value), run_id=newest.id, why=why)


class Backfill:
    """Drives the runs of a plan, at most `parallel` at once."""

    def __init__(
        self, runner: LocalRunner, ir: PipelineIR, parameters: Mapping[str, Any], *,
        settings: Mapping[str, Any], parallel: int = 1, keep_going: bool = False,
        tell: Callable[[Day], None],
    ) -> None:  # fmt: skip
        self.runner = runner
        self.ir = ir
        self.parameters = parameters
        self.settings = settings
        most = ir.max_active_runs or parallel
        self.parallel = max(1, min(parallel, most))
        self.keep_going = keep_going
        self.tell = tell
        self.canceled = False
        self._ended: dict[str, Day] = {}
        self._driver: Driver | None = None
        self._mine: dict[str, str] = {}
        """Run -> date, for runs that are driven here."""
        self._others: dict[str, str] = {}
        """Run -> date, for equal runs that another process drives."""

    def cancel(self) -> None:
        """End what runs and start nothing more."""
        self.canceled = True
        if self._driver is not None:
            self._driver.cancel()

    def run(self, plan: Sequence[Day]) -> list[Day]:
        """Do it; what became of each date, in the order of the plan."""
        left = [day.date for day in plan if day.verdict is Verdict.RUN][::-1]
        failed = any(day.bad for day in plan)
        with Driver(self.runner) as driver:
            self._driver = driver
            while True:
                stopped = self.canceled or (failed and not self.keep_going)
                while left and not stopped and len(self._mine) + len(self._others) < self.parallel:
                    self._begin(driver, left.pop())
                    stopped = not self.keep_going and any(day.bad for day in self._ended.values())
                if len(driver):
                    driver.step()
                elif self._others:
                    time.sleep(LOOK_SECONDS)
                elif not left or stopped:
                    break
                self._collect(driver, left)
                failed = failed or any(day.bad for day in self._ended.values())
        return [self._became(day) for day in plan]

    def _became(self, day: Day) -> Day:
        if day.verdict is not Verdict.RUN:
            return day
        return self._ended.get(day.date) or replace(day, verdict=Verdict.NOT_STARTED)

    def _begin(self, driver: Driver, date: str) -> None:
        store = self.runner.store
        try:
            wanted = wish(
                store, self.ir, self.parameters, root=self.runner.root, date=date, settings=self.settings
            )
            run, resumed = start(store, self.ir, wanted)
            self._mine[run.id] = date
            driver.begin(self.ir, run, resumed=resumed)
        except SameWork as same:
            self._others[same.run.id] = date
        except TidemillError as error:
            self._mine = {run_id: d for run_id, d in self._mine.items() if d != date}
            self._end(Day(date=date, verdict=Verdict.FAILED, why=error.message))

    def _collect(self, driver: Driver, left: list[str]) -> None:
        """Take note of what ended, here and elsewhere."""
        for run_id in list(driver.ended):
            ended = driver.ended.pop(run_id)
            date = self._mine.pop(run_id)
            if isinstance(ended.value, BaseException):
                self._end(Day(date=date, verdict=Verdict.FAILED, run_id=run_id, why=str(ended.value)))
            else:
                verdict = Verdict(ended.value.state.value)
                self._end(Day(date=date, verdict=verdict, run_id=run_id, seconds=ended.value.seconds))
        for run_id, date in list(self._others.items()):
            run = self.runner.store.get_run(run_id)
            if run is None or (run.state is RunState.RUNNING and owner.is_alive(run.owner) is False):
                del self._others[run_id]
                left.append(date)  # its runner died: it is taken over
            elif run.state.ended:
                del self._others[run_id]
                seconds = (run.end_time - run.start_time) / 1000
                why = "by another process"
                verdict = Verdict(run.state.value)
                self._end(Day(date=date, verdict=verdict, run_id=run_id, seconds=seconds, why=why))

    def _end(self, day: Day) -> None:
        self._ended[day.date] = day
        self.tell(day)
