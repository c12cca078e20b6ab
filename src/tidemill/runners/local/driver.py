"""Driving runs that this process owns: one dispatcher, one watch and one helper process for all of them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tidemill.errors import RunnerError, TidemillError
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import Run, RunState
from tidemill.runners.base.starting import plan_of, selection_of
from tidemill.runners.base.watch import Watch
from tidemill.runners.local.capacity import Capacity, of_this_machine
from tidemill.runners.local.dispatcher import Dispatcher, Here, Threads
from tidemill.runners.local.session import RunResult, Session
from tidemill.runtime import owner
from tidemill.runtime.base import take_from_base
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.plan import Plan
from tidemill.runtime.spawner import PRELOAD, Spawner

if TYPE_CHECKING:
    from tidemill.runners.local.runner import LocalRunner

STANDARD = "tidemill.components."
LIBRARIES = ("numpy", "polars", "pyarrow.compute", "pyarrow.parquet")
"""What most executors of the standard components import: half a second of each, where it is not there yet."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended here: with a result, or with an error that came from outside of it."""

    run: Run
    value: RunResult | BaseException

    def result(self) -> RunResult:
        """The result; raises the error."""
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


class Driver:
    """Drives any number of runs on the slots of this machine. Use it as a context manager."""

    def __init__(self, runner: LocalRunner) -> None:
        self.runner = runner
        self.capacity = of_this_machine(1 if runner.isolation == "none" else runner.jobs)
        workers = Here() if runner.isolation == "none" else Threads(self.capacity.jobs)
        self.dispatcher = Dispatcher(self.capacity, workers)
        self.spawner = Spawner(PRELOAD, family=STANDARD, libraries=LIBRARIES)
        self.watch = Watch(runner.store)
        self.ended: dict[str, Ended] = {}
        """By id of the run; whoever drives for ever takes them out."""
        self._sessions: dict[str, Session] = {}
        self._given: set[str] = set()

    def __enter__(self) -> Self:
        self.watch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for session in self._sessions.values():
                session.stop()
        self.dispatcher.workers.close()
        self.spawner.close()
        self.watch.__exit__(kind, error, trace)
        for run_id in list(self._sessions):
            self._forget(run_id)

    def __len__(self) -> int:
        """Runs under way."""
        return len(self._sessions)

    def begin(self, ir: PipelineIR, run: Run, *, resumed: bool, cancel: CancelToken | None = None) -> None:
        """Begin with a run that this process owns. When it cannot run here it is FAILED, and that raises."""
        try:
            self._add(ir, run, resumed=resumed, cancel=cancel)
        except TidemillError:
            self.runner.store.end_run(run.id, RunState.FAILED, owner=owner.myself(), close_nodes=True)
            raise

    def _add(self, ir: PipelineIR, run: Run, *, resumed: bool, cancel: CancelToken | None) -> None:
        token = cancel or CancelToken()
        session = session_of(
            replace(self.runner, cancel=token), ir, run, resumed=resumed, capacity=self.capacity,
            spawner=self.spawner, now=self.dispatcher.workers.now(),
        )  # fmt: skip
        self._sessions[run.id] = session
        if cancel is not None:
            self._given.add(run.id)
        self.watch.add(run.id, token)
        self.dispatcher.add(session)

    def step(self) -> None:
        """Let some time pass in which something may happen: at most half a second."""
        self.dispatcher.step()
        for run_id in [*self.dispatcher.results, *self.dispatcher.errors]:
            value = self.dispatcher.results.pop(run_id, None) or self.dispatcher.errors.pop(run_id)
            self.ended[run_id] = Ended(self._sessions[run_id].run, value)
            self._forget(run_id)

    def cancel(self) -> None:
        """End all runs as canceled."""
        for session in self._sessions.values():
            session.cancel_token.cancel()

    def _forget(self, run_id: str) -> None:
        session = self._sessions.pop(run_id)
        self.watch.remove(run_id)
        with contextlib.suppress(OSError):
            session.exit_token.close()
            if run_id not in self._given:
                session.cancel_token.close()
        self._given.discard(run_id)


def session_of(
    runner: LocalRunner, ir: PipelineIR, run: Run, *, resumed: bool, capacity: Capacity, spawner: Spawner,
    now: float,
) -> Session:  # fmt: skip
    """What drives a run that is on record: its plan, with what it takes from a base run taken already."""
    plan = plan_of(ir, run)
    check_capacity(plan, capacity)
    selection = selection_of(run)
    if selection is not None and selection.base:
        base = runner.store.get_run(run.base_run)
        if base is None:
            raise RunnerError(f"the base run {run.base_run!r} is not there any more")
        take_from_base(runner.store, run, base, ir, selection.base)
    settings = run.settings
    return Session(
        replace(runner, reuse=settings.get("reuse", runner.reuse)), ir, plan, run,
        code_root=settings.get("code_root", ""), workdir=settings.get("workdir", ""), resumed=resumed,
        spawner=spawner, now=now,
    )  # fmt: skip


def check_capacity(plan: Plan, capacity: Capacity) -> None:
    """RunnerError when a node asks for GPUs that this machine does not have: it could never start."""
    for step in plan.steps:
        asked = step.options.resources.gpu
        if asked > capacity.gpu:
            raise RunnerError(
                f"node {step.node_id!r} asks for {asked} GPUs; this machine has {capacity.gpu}",
                hint="run it elsewhere, or say how many there are with TIDEMILL_GPUS=N",
            )
