"""Running a plan on this machine: launch what is ready, retry what may pass, stop cleanly.

The runner keeps no state that matters: what happened is in the store. A runner that was killed is
replaced by the next one, which takes its run over and launches only what did not succeed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import Run
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.starting import settings_of, start, wish
from tidemill.runners.local.capacity import Capacity
from tidemill.runners.local.driver import Driver, session_of
from tidemill.runners.local.events import Listener
from tidemill.runners.local.session import RunResult, Session
from tidemill.runtime import crashpoint
from tidemill.runtime.call import Isolation, Reuse
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.launch import Perform
from tidemill.runtime.select import Selection
from tidemill.runtime.spawner import Spawner

__all__ = ["LocalRunner", "RunResult"]


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
    perform: Perform | None = None
    """What executes orders, instead of processes of this machine."""

    def run(
        self, ir: PipelineIR, parameters: Mapping[str, Any] | None = None, *, date: str = "",
        code_root: str = "", workdir: str = "", new: bool = False, run_id: str = "", file: str = "",
        selection: Selection | None = None, base: str = "latest",
    ) -> RunResult:  # fmt: skip
        """Run a pipeline, or a part of it, to its end.

        The same work as an unfinished run of a dead runner resumes that run, unless `new`. SameWork when a
        living runner does it already; RunnerError when a parameter or the base run is wrong.
        """
        return self.finish(ir, *self._start(ir, parameters, date, code_root, workdir, new, run_id, file,
                                             selection, base))  # fmt: skip

    def begin(
        self, ir: PipelineIR, parameters: Mapping[str, Any] | None, capacity: Capacity, spawner: Spawner, *,
        date: str = "", code_root: str = "", workdir: str = "", new: bool = False, run_id: str = "",
        now: float = 0.0,
    ) -> Session:  # fmt: skip
        """A run that is on record, for a dispatcher with this capacity to drive; see `run`."""
        run, resumed = self._start(ir, parameters, date, code_root, workdir, new, run_id)
        crashpoint.reach("run.created")
        return session_of(self, ir, run, resumed=resumed, capacity=capacity, spawner=spawner, now=now)

    def _start(
        self, ir: PipelineIR, parameters: Mapping[str, Any] | None, date: str, code_root: str, workdir: str,
        new: bool, run_id: str, file: str = "", selection: Selection | None = None, base: str = "latest",
    ) -> tuple[Run, bool]:  # fmt: skip
        settings = settings_of(
            ir, code_root=code_root, workdir=workdir, file=file, isolation=self.isolation, reuse=self.reuse
        )
        wanted = wish(
            self.store, ir, parameters or {}, root=self.root, date=date, settings=settings, run_id=run_id,
            selection=selection, base=base,
        )  # fmt: skip
        return start(self.store, ir, wanted, new=new)

    def finish(self, ir: PipelineIR, run: Run, resumed: bool) -> RunResult:
        """Drive a run that this process owns to its end."""
        crashpoint.reach("run.created")
        with Driver(self) as driver:
            driver.begin(ir, run, resumed=resumed, cancel=self.cancel)
            while run.id not in driver.ended:
                driver.step()
            return driver.ended[run.id].result()
