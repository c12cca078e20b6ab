"""A session: one run being driven. It tells the scheduler what the launcher answered, and the listener both.

It keeps no state that matters: what happened is in the store, and the next session begins from there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.errors import RunnerError, TidemillError
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import ClaimRequest, NodeState, Publication, Run, RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.local.events import Event, NodeEnded, NodeStarted, RunEnded, RunStarted
from tidemill.runners.local.scheduler import Place, Scheduler
from tidemill.runtime import crashpoint, loops, owner
from tidemill.runtime.call import NodeCall
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.launch import Outcome, launch
from tidemill.runtime.plan import Plan
from tidemill.runtime.retry import failed_nodes, policy_of
from tidemill.runtime.spawner import Spawner
from tidemill.runtime.upstream import items_of

if TYPE_CHECKING:
    from tidemill.runners.local.runner import LocalRunner

POLL_SECONDS = 1.0
"""How often a node that waits for somebody is asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended."""

    run: Run
    state: RunState
    outcomes: Mapping[str, Outcome]
    """The last outcome of each node that was launched; in loops of each iteration, as `train[2]`."""
    blocked: tuple[str, ...]
    """Nodes that were not launched because something before them failed or the run was canceled."""
    resumed: bool
    seconds: float


class Session:
    """One run, from the first launch to its end."""

    def __init__(
        self, runner: LocalRunner, ir: PipelineIR, plan: Plan, run: Run, *, code_root: str, workdir: str,
        resumed: bool, spawner: Spawner, now: float,
    ) -> None:  # fmt: skip
        """`now` is the time by the clock of the workers that will launch its nodes."""
        self.runner = runner
        self.ir = ir
        self.plan = plan
        self.run = run
        self.steps = {step.node_id: step for step in plan.steps}
        self.code_root = code_root
        self.workdir = workdir or str(Path.cwd())
        self.resumed = resumed
        self.spawner = spawner
        self.cancel_token = runner.cancel or CancelToken()
        self.exit_token = CancelToken()
        self.attempts: dict[Place, int] = {}
        self.ready: dict[Place, int] = {}
        """Since when each place that was not launched yet is ready, in milliseconds since 1970."""
        self.outcomes: dict[str, Outcome] = {}
        self._started = time.perf_counter()
        self._told_cancel = False
        self.error: BaseException | None = None
        """What is no outcome and ends the session: the store failed, or another runner has a node."""
        self.tell(RunStarted(run=run, plan=plan, resumed=resumed))
        before = ended_before(runner.store, ir, run) if resumed or run.base_run else {}
        held: dict[Place, float] = {}
        for place, outcome in before.items():
            self.outcomes[self.name(place)] = outcome
            delay = self._retry_in(place, outcome)
            if delay is not None:
                held[place] = now + delay
            self.tell(NodeEnded(place=self.name(place), outcome=outcome, retry_in=delay))
        self.scheduler = Scheduler(plan, before, held)

    # --- launching ----------------------------------------------------------------------------------

    def call(self, place: Place) -> NodeCall:
        """The call that launches a place."""
        step = self.scheduler.steps[place[0]]
        self.attempts[place] = self.attempts.get(place, 0) + 1
        return NodeCall(
            metadata=self.runner.metadata,
            run_id=self.run.id,
            node_id=place[0],
            iteration=loops.number(place[1], loops.limits(self.ir, step.loops)),
            ready=self.ready.get(place, 0),
            code_root=self.code_root,
            workdir=self.workdir,
            isolation=self.runner.isolation,
            reuse=self.runner.reuse,
            run_state=self.scheduler.state if step.on_exit else "",
        )

    def launch(self, place: Place, call: NodeCall) -> Outcome:
        """On a worker: one attempt. It raises what is no outcome: the store failed, or another owner."""
        on_exit = self.scheduler.steps[place[0]].on_exit
        token = self.exit_token if on_exit else self.cancel_token
        if token.canceled:
            return Outcome(state=NodeState.CANCELED, node_id=place[0], iteration=call.iteration)
        self.tell(NodeStarted(place=self.name(place), node_id=place[0], attempt=self.attempts[place]))
        return launch(
            call, self.runner.store, pipeline=self.ir, cancel=token, spawner=self.spawner,
            perform=self.runner.perform,
        )  # fmt: skip

    def settle(self, place: Place, outcome: Outcome, now: float) -> None:
        """Take note of an ended attempt: release what waited for it, or try again later."""
        if outcome.waiting:
            self.attempts[place] -= 1
            self.scheduler.again(place, now + POLL_SECONDS)
            return
        self.ready.pop(place, None)
        name = self.name(place)
        self.outcomes[name] = outcome
        delay = self._retry_in(place, outcome)
        self.tell(NodeEnded(place=name, outcome=outcome, retry_in=delay))
        if delay is not None:
            self.scheduler.again(place, now + delay)
        else:
            self.scheduler.ended(place, outcome)

    def _retry_in(self, place: Place, outcome: Outcome) -> float | None:
        """Seconds until the next attempt; None for no more. The launcher decided and recorded it.

        Never more than the policy's longest wait, wherever the wall clock was put meanwhile.
        """
        if self.cancel_token.canceled or not outcome.retry_at:
            return None
        policy = policy_of(self.steps[place[0]].options)
        longest = max(policy.cap, *(rule.backoff for rule in policy.rules), 0.0)
        return min(max(0.0, outcome.retry_at / 1000 - time.time()), longest)

    def note_ready(self) -> None:
        """Stamp what became ready since the last time: an attempt's wait in the queue counts from here."""
        now = int(time.time() * 1000)
        for place in self.scheduler.fresh:
            self.ready.setdefault(place, now)
        self.scheduler.fresh.clear()

    def check_cancel(self) -> None:
        """Pass a cancellation on to the scheduler, once."""
        if self.cancel_token.canceled and not self._told_cancel:
            self._told_cancel = True
            self.scheduler.cancel()

    def stop(self, error: BaseException | None = None) -> None:
        """End what runs, exit nodes too, and start nothing more."""
        self.error = self.error or error
        self.cancel_token.cancel()
        self.exit_token.cancel()

    def name(self, place: Place) -> str:
        """A place as people read it: `train`, or `train[2]`."""
        node_id, path = place
        return f"{node_id}[{','.join(map(str, path))}]" if path else node_id

    # --- the end ------------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether nothing is left to launch or to wait for."""
        return not self.scheduler.running and (self.scheduler.over or self.error is not None)

    def finish(self) -> RunResult:
        """Record the end of the run; the result. RunnerError when another runner took it over."""
        state = self.scheduler.state
        if self.resumed:
            self._end_what_was_left()
        crashpoint.reach("run.end.before")
        if not self.runner.store.end_run(self.run.id, state, owner=owner.myself()):
            raise RunnerError(f"run {self.run.id} was taken over by another runner")
        crashpoint.reach("run.end.after")
        blocked = tuple(dict.fromkeys(self.name(place) for place in self.scheduler.blocked()))
        seconds = time.perf_counter() - self._started
        self.tell(RunEnded(run=self.run, state=state, blocked=blocked, seconds=seconds))
        return RunResult(
            run=self.run,
            state=state,
            outcomes=self.outcomes,
            blocked=blocked,
            resumed=self.resumed,
            seconds=seconds,
        )

    def _end_what_was_left(self) -> None:
        """Nodes that a runner before this one left RUNNING, and that nobody launched again since the run was
        canceled: an ended run runs nothing."""
        for record in self.runner.store.get_nodes(self.run.id):
            if record.state is NodeState.RUNNING:
                claim = self.runner.store.claim(
                    ClaimRequest(
                        run_id=self.run.id, node_id=record.node_id, iteration=record.iteration,
                        component=self.ir.node(record.node_id).component, owner=owner.myself(),
                    )
                )  # fmt: skip
                if claim.granted:
                    canceled = Publication(state=NodeState.CANCELED, message="canceled")
                    self.runner.store.publish(claim, canceled)

    def tell(self, event: Event) -> None:
        """Tell the listener. What it does wrong must not end the run."""
        if self.runner.listener is not None:
            try:
                self.runner.listener(event)
            except (TidemillError, OSError, ValueError):
                return


def ended_before(store: MetadataStore, ir: PipelineIR, run: Run) -> dict[Place, Outcome]:
    """What a run that is gone on with has behind it: a few questions, however many nodes.

    A node that failed stays failed, unless the attempt after its last one is still due.
    """
    records = store.get_nodes(run.id)
    done = [record for record in records if record.state.succeeded]
    heads = [r for r in done if ir.node(r.node_id).loop is not None]
    items = items_of(store, [r.execution_id for r in heads]) if heads else {}
    found = {}
    for record, retry_at in [*((r, 0) for r in done), *failed_nodes(store, records)]:
        limits = loops.limits(ir, ir.node(record.node_id).loops)
        found[record.node_id, loops.path(record.iteration, limits)] = Outcome(
            state=record.state,
            node_id=record.node_id,
            iteration=record.iteration,
            execution_id=record.execution_id,
            attempt=record.attempt,
            message=record.message,
            retry_at=retry_at,
            iterations=len(items[record.execution_id]) if record.execution_id in items else None,
        )
    return found
