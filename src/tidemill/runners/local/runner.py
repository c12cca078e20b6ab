"""Running a plan on this machine: launch what is ready, retry what may pass, stop cleanly.

The runner keeps no state that matters: what happened is in the store. A runner that was killed is
replaced by the next one, which takes its run over and launches only what did not succeed.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tidemill.errors import RunnerError
from tidemill.ir import codec
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import ArtifactType, PropertyType, Run, RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.local.capacity import Capacity, of_this_machine
from tidemill.runners.local.dispatcher import Dispatcher, Here, Threads
from tidemill.runners.local.events import Listener
from tidemill.runners.local.session import RunResult, Session
from tidemill.runtime import crashpoint, owner
from tidemill.runtime.call import Isolation, Reuse
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.plan import Plan, make_plan
from tidemill.runtime.spawner import Spawner

__all__ = ["LocalRunner", "RunResult"]

PRELOAD = ("tidemill.dsl.pipeline", "tidemill.dsl.component", "tidemill.dsl.resolver")
"""What the module of a pipeline imports of tidemill anyway, loaded once for all executor processes."""


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
        self.store.put_pipeline_version(plan.version, ir.name, codec.dumps(ir))
        run, resumed = self._start(ir, plan, new, run_id)
        crashpoint.reach("run.created")
        capacity = of_this_machine(1 if self.isolation == "none" else self.jobs)
        workers = Here() if self.isolation == "none" else Threads(capacity.jobs)
        check_capacity(plan, capacity)
        dispatcher = Dispatcher(capacity, workers)
        spawner = Spawner(PRELOAD)
        try:
            session = Session(
                self, ir, plan, run, code_root=code_root, workdir=workdir, resumed=resumed, spawner=spawner
            )
            dispatcher.add(session)
            dispatcher.drive()
        finally:
            spawner.close()
        if run.id in dispatcher.errors:
            raise dispatcher.errors[run.id]
        return dispatcher.results[run.id]

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


def check_capacity(plan: Plan, capacity: Capacity) -> None:
    """RunnerError when a node asks for GPUs that this machine does not have: it could never start."""
    for step in plan.steps:
        asked = step.options.resources.gpu
        if asked > capacity.gpu:
            raise RunnerError(
                f"node {step.node_id!r} asks for {asked} GPUs; this machine has {capacity.gpu}",
                hint="run it elsewhere, or say how many there are with TIDEMILL_GPUS=N",
            )


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
