"""Running a plan on this machine: launch what is ready, retry what may pass, stop cleanly.

The runner keeps no state that matters: what happened is in the store. A runner that was killed is
replaced by the next one, which takes its run over and launches only what did not succeed.
"""

from __future__ import annotations

import os
import queue
import random
import secrets
import select
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidemill.errors import RunnerError, TidemillError
from tidemill.ir import codec
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import ArtifactType, NodeState, PropertyType, Run, RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.local.events import Event, Listener, NodeEnded, NodeStarted, RunEnded, RunStarted
from tidemill.runtime import crashpoint, owner
from tidemill.runtime.call import Isolation, NodeCall, Reuse
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.launch import Outcome, launch
from tidemill.runtime.plan import Plan, Step, make_plan
from tidemill.runtime.spawner import Spawner

PRELOAD = ("tidemill.dsl.pipeline", "tidemill.dsl.component", "tidemill.dsl.resolver")
"""What the module of a pipeline imports of tidemill anyway, loaded once for all executor processes."""
MAX_BACKOFF = 600.0
"""Seconds; longer waits between retries are cut to this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended."""

    run: Run
    state: RunState
    outcomes: Mapping[str, Outcome]
    """The last outcome of each node that was launched."""
    blocked: tuple[str, ...]
    """Nodes that were not launched because something before them failed or the run was canceled."""
    resumed: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRunner:
    """Runs pipelines on this machine, against one store and one pipeline root."""

    store: MetadataStore
    metadata: str
    """URL of the store, for calls that open it themselves."""
    root: str
    jobs: int = 0
    """Nodes at the same time; 0 means one per core."""
    isolation: Isolation = "process"
    reuse: Reuse = "allowed"
    listener: Listener | None = None
    cancel: CancelToken | None = None

    def run(
        self, ir: PipelineIR, parameters: Mapping[str, Any] | None = None, *, date: str = "",
        code_root: str = "", workdir: str = "", new: bool = False, run_id: str = "",
    ) -> RunResult:  # fmt: skip
        """Run a pipeline to its end.

        The same version, parameters and date as an unfinished run of a dead runner resume that run,
        unless `new`. RunnerError when a living runner does that work already, or a parameter is wrong.
        """
        plan = make_plan(ir, parameters or {}, date)
        return self.follow(ir, plan, code_root=code_root, workdir=workdir, new=new, run_id=run_id)

    def follow(
        self, ir: PipelineIR, plan: Plan, *, code_root: str = "", workdir: str = "", new: bool = False,
        run_id: str = "",
    ) -> RunResult:  # fmt: skip
        """Run a plan of a pipeline to its end, as `run` does."""
        self.store.put_pipeline_version(plan.version, ir.name, codec.dumps(ir))
        run, resumed = self._start(ir, plan, new, run_id)
        crashpoint.reach("run.created")
        session = _Session(self, ir, plan, run, code_root, workdir)
        return session.drive(resumed)

    def _start(self, ir: PipelineIR, plan: Plan, new: bool, run_id: str) -> tuple[Run, bool]:
        """A fresh run, or the unfinished one to go on with."""
        unfinished = [] if new else self._unfinished(plan)
        for run in unfinished:
            alive = owner.is_alive(run.owner)
            if alive is not False:
                where = f"process {run.owner}" if alive else "another machine"
                raise RunnerError(
                    f"run {run.id} does the same work right now ({where})",
                    hint="wait for it, or pass --new to start another",
                )
            if self.store.take_run(run.id, owner=owner.myself(), expected_owner=run.owner):
                return run, True
        run = Run(
            id=run_id or new_run_id(plan.pipeline),
            pipeline=plan.pipeline,
            version=plan.version,
            state=RunState.RUNNING,
            root=self.root,
            parameters=plan.parameters,
            date=plan.date,
            owner=owner.myself(),
        )
        self.store.create_run(run, artifact_types(ir))
        return run, False

    def _unfinished(self, plan: Plan) -> list[Run]:
        runs = self.store.get_runs(pipeline=plan.pipeline, state=RunState.RUNNING)
        same = (plan.version, dict(plan.parameters), plan.date)
        return [r for r in runs if (r.version, dict(r.parameters), r.date) == same]


def new_run_id(pipeline: str) -> str:
    """`pipeline-20240105T000000-7f3a9c`: sorts by time and is unique."""
    return f"{pipeline}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def artifact_types(ir: PipelineIR) -> list[ArtifactType]:
    """The types a pipeline uses, as the store registers them."""
    return [
        ArtifactType(
            name=t.name,
            base_type=t.base_type,
            properties={name: PropertyType[kind] for name, kind in t.properties.items()},
        )
        for t in ir.artifact_types
    ]


class _Session:
    """One run being driven: which steps are ready, running, waiting to be retried, or done."""

    def __init__(
        self, runner: LocalRunner, ir: PipelineIR, plan: Plan, run: Run, code_root: str, workdir: str
    ) -> None:
        self.runner = runner
        self.ir = ir
        self.plan = plan
        self.run = run
        self.code_root = code_root
        self.workdir = workdir or str(Path.cwd())
        self.cancel = runner.cancel or CancelToken()
        self.spawner = Spawner(PRELOAD)
        self.steps = {step.node_id: step for step in plan.steps}
        self.waiting = {step.node_id: set(step.upstream) for step in plan.steps}
        self.attempts = dict.fromkeys(self.steps, 0)
        self.outcomes: dict[str, Outcome] = {}
        self.running: set[str] = set()
        self.ended: queue.SimpleQueue[tuple[str, Outcome | BaseException | None]] = queue.SimpleQueue()

    def drive(self, resumed: bool) -> RunResult:
        """Launch until nothing is left that can be launched, then end the run."""
        started = time.perf_counter()
        self._tell(RunStarted(run=self.run, plan=self.plan, resumed=resumed))
        submit, shutdown = self._workers()
        try:
            self._launch_ready(submit)
            while self.running:
                node_id, ended = self._next()
                if isinstance(ended, BaseException):
                    self.cancel.cancel()
                    raise ended
                if ended is None:
                    self._submit(submit, node_id)
                    continue
                self.running.discard(node_id)
                self._settle(ended)
                self._launch_ready(submit)
        finally:
            shutdown()
            self.spawner.close()
        return self._finish(resumed, started)

    def _workers(self) -> tuple[Callable[..., Any], Callable[[], None]]:
        """How to call a function: on a thread, or (without isolation) right here, one after another."""
        if self.runner.isolation == "none":
            return lambda function, *args: function(*args), lambda: None
        pool = ThreadPoolExecutor(self.runner.jobs or os.cpu_count() or 1, thread_name_prefix="launch")
        return pool.submit, pool.shutdown

    def _next(self) -> tuple[str, Outcome | BaseException | None]:
        """The next thing that ended; Ctrl-C cancels what runs and then goes on waiting for it."""
        try:
            return self.ended.get()
        except KeyboardInterrupt:
            self.cancel.cancel()
            return self.ended.get()

    def _launch_ready(self, submit: Callable[..., Any]) -> None:
        if self.cancel.canceled:
            return
        for node_id in [n for n, upstream in self.waiting.items() if not upstream]:
            del self.waiting[node_id]
            self.running.add(node_id)
            self._submit(submit, node_id)

    def _submit(self, submit: Callable[..., Any], node_id: str) -> None:
        self.attempts[node_id] += 1
        submit(self._launch, node_id)

    def _launch(self, node_id: str) -> None:
        """On a worker: one attempt."""
        try:
            if self.cancel.canceled:
                self.ended.put((node_id, Outcome(state=NodeState.CANCELED, node_id=node_id)))
                return
            self._tell(NodeStarted(node_id=node_id, attempt=self.attempts[node_id]))
            call = NodeCall(
                metadata=self.runner.metadata,
                run_id=self.run.id,
                node_id=node_id,
                code_root=self.code_root,
                workdir=self.workdir,
                isolation=self.runner.isolation,
                reuse=self.runner.reuse,
            )
            outcome = launch(
                call, self.runner.store, pipeline=self.ir, cancel=self.cancel, spawner=self.spawner
            )
            self.ended.put((node_id, outcome))
        except BaseException as error:
            self.ended.put((node_id, error))

    def _settle(self, outcome: Outcome) -> None:
        """Take note of an ended attempt: release what waited for it, or try again later."""
        node_id = outcome.node_id
        self.outcomes[node_id] = outcome
        delay = self._retry_in(self.steps[node_id], outcome)
        self._tell(NodeEnded(outcome=outcome, retry_in=delay))
        if delay is not None:
            self.running.add(node_id)
            _later(delay, self.cancel, lambda: self.ended.put((node_id, None)))
        elif outcome.state.succeeded:
            for upstream in self.waiting.values():
                upstream.discard(node_id)

    def _retry_in(self, step: Step, outcome: Outcome) -> float | None:
        """Seconds until the next attempt, with full jitter on the upper half; None for no more."""
        used = self.attempts[step.node_id]
        failure = outcome.failure
        if self.cancel.canceled or failure is None or not failure.kind.retryable:
            return None
        if used > step.options.retries:
            return None
        longest: float = min(step.options.backoff * 2.0 ** (used - 1), MAX_BACKOFF)
        return longest * random.uniform(0.5, 1.0)

    def _finish(self, resumed: bool, started: float) -> RunResult:
        failed = any(o.state is NodeState.FAILED for o in self.outcomes.values())
        state = RunState.FAILED if failed else RunState.COMPLETE
        if self.cancel.canceled and len(self._succeeded()) < len(self.steps):
            state = RunState.CANCELED
        crashpoint.reach("run.end.before")
        if not self.runner.store.end_run(self.run.id, state, owner=owner.myself()):
            raise RunnerError(f"run {self.run.id} was taken over by another runner")
        crashpoint.reach("run.end.after")
        blocked = tuple(self.waiting)
        seconds = time.perf_counter() - started
        self._tell(RunEnded(run=self.run, state=state, blocked=blocked, seconds=seconds))
        return RunResult(
            run=self.run,
            state=state,
            outcomes=self.outcomes,
            blocked=blocked,
            resumed=resumed,
            seconds=seconds,
        )

    def _succeeded(self) -> list[str]:
        return [n for n, o in self.outcomes.items() if o.state.succeeded]

    def _tell(self, event: Event) -> None:
        """Tell the listener. What it does wrong must not end the run."""
        if self.runner.listener is not None:
            try:
                self.runner.listener(event)
            except (TidemillError, OSError, ValueError):
                return


def _later(delay: float, cancel: CancelToken, action: Callable[[], None]) -> None:
    """Do `action` after `delay` seconds, or at once when canceled."""

    def wait() -> None:
        select.select([cancel.fileno()], [], [], delay)
        action()

    threading.Thread(target=wait, daemon=True).start()
