"""What a task does where an engine decides when it starts: make sure of the run, launch a node, end the run.

Whatever the engine knows of its own run comes in as EngineRun; what came of it goes out as an Outcome or as
one of the errors here, which the engine's room translates. Repeating any of it changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tidemill.errors import DefinitionError, FencedError, RunnerError, StoreError
from tidemill.ir import codec
from tidemill.ir.model import NodeIR, PipelineIR
from tidemill.metadata.model import CANCEL, RETRY_AT, NodeRecord, NodeState, Run, RunState
from tidemill.metadata.open import open_store
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.arrivals import Arrived
from tidemill.runners.base.blocked import blocked
from tidemill.runners.base.starting import artifact_types, part_of, plan_of, selection_of, settings_of, wish
from tidemill.runners.base.waiting import OnWait, Wait
from tidemill.runtime import loops, owner
from tidemill.runtime.arriving import ARRIVALS
from tidemill.runtime.base import succeeded, take_from_base
from tidemill.runtime.call import Isolation, NodeCall
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.launch import LOST, Outcome, launch
from tidemill.runtime.retry import failed_nodes
from tidemill.runtime.root import folder
from tidemill.runtime.spawner import Spawner
from tidemill.runtime.upstream import items_of

POLL_SECONDS = 1.0
"""Time between two looks: at a request to end the run, at a decision, at a pool."""
POOL_SECONDS = 120.0
"""After so long a node asks again itself: slots that a dead process held are seen by a claim alone, and a run
that its engine has forgotten by who asks the engine."""
Begin = Callable[[NodeCall, MetadataStore], Outcome]
"""Launches a call somewhere, and waits until it has ended or somebody has to wait for something first."""
_BASE_LOOKS = 60
_PATIENCE = 10
"""Looks at what another task is about to record, before it is taken for dead."""
KEPT = "kept"
"""Key in the settings of a run that does another one again: nodes in loops of which it does some iterations
alone. The others are taken from its base run."""
SELECT = "tidemill_select"
"""The engine's parameter with the part of a pipeline to run: {"only": [...], "from": [...], "to": [...]}."""
DATE = "tidemill_date"
"""The engine's parameter with the date of a run that was started by hand."""


class Blocked(Exception):
    """The node cannot start: something before it did not succeed, or the run is to end."""


class Failed(Exception):
    """The attempt failed for good."""


class Again(Exception):
    """The attempt failed, and is to be made again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the tasks of a pipeline find everything: the same for all of them."""

    ir: PipelineIR
    metadata: str
    """URL of the metadata store."""
    root: str
    """Pipeline root: where artifacts and logs are kept."""
    code_root: str
    """Folder that the user's modules are imported from."""
    workdir: str = ""
    """Where relative file patterns start; the root unless given."""
    isolation: Isolation = "process"
    """What separates executors from the task's own process; see NodeCall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRun:
    """One run of the engine, as a task sees it."""

    record_id: str
    """Id of the run in the record: made of the engine's own id, so that all tasks of a run say the same."""
    owner: str
    """Who drives it: `engine/its id`, no process, so that none can be missed."""
    date: str
    """ISO date of the start of its data interval; empty for a run without one."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    selection: Mapping[str, Any] = field(default_factory=dict)
    is_driven: Callable[[Run], bool] | None = None
    """Asked about an unfinished run that does the same work: whether the engine still drives it, and this one
    is to wait for it. None: such runs go side by side."""
    arrived: Sequence[Arrived] = ()
    """The data that started it, if data did."""

    @property
    def engine(self) -> str:
        """The engine's name."""
        return self.owner.partition("/")[0]


@contextlib.contextmanager
def opened(url: str, token: str = "") -> Iterator[MetadataStore]:
    """The metadata store behind a URL; see open_store."""
    store = open_store(url, token=token)
    try:
        yield store
    finally:
        store.close()


class Equal(Exception):
    """An unfinished run does the same work; `run` is that one."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"run {run.id} does the same work right now")
        self.run = run


def sure_of_run(store: MetadataStore, settings: Settings, run: EngineRun) -> Run:
    """The run in the record, made by whichever task comes first. Equal: see EngineRun.is_driven."""
    known = store.get_run(run.record_id)
    if known is not None:
        return known
    ir, workdir = settings.ir, _workdir(settings)
    selection = part_of(ir, run.selection)
    how = settings_of(ir, code_root=settings.code_root, workdir=workdir)
    if run.arrived:
        how[ARRIVALS] = [arrived.to_json() for arrived in run.arrived]
    made = wish(
        store, ir, run.parameters, root=settings.root, date=run.date, run_id=run.record_id, settings=how,
        selection=selection,
    )  # fmt: skip
    request = f"{run.engine}:{run.record_id}"
    while True:
        try:
            found = store.create_run(
                replace(made, owner=run.owner), artifact_types(ir), request_id=request,
                most_active=ir.max_active_runs, unless_equal=run.is_driven is not None,
            )  # fmt: skip
        except StoreError:  # another task of the same run was faster, with another base run perhaps
            again = store.get_run(run.record_id)
            if again is None:
                raise
            return again
        if found.id == made.id:
            return found
        if run.is_driven is None or run.is_driven(found):
            raise Equal(found)
        store.end_run(found.id, RunState.FAILED, owner=found.owner, close_nodes=True)  # nobody else will


def _workdir(settings: Settings) -> str:
    """A working directory is on this machine, even where the root is not."""
    return settings.workdir or str(folder(settings.root))


def launch_node(
    settings: Settings, run: EngineRun, node_id: str, *, store: MetadataStore, iteration: int = 0,
    attempt: int = 0, cancel: CancelToken, ready: int = 0, python: str = "", spawner: Spawner | None = None,
    on_wait: OnWait | None = None, last: bool = False, begin: Begin | None = None,
) -> Outcome | None:  # fmt: skip
    """One attempt at a node, `attempt` being the engine's count of its tries, if it has one; None for a node
    that is not part of what the run does. See the errors above.

    `on_wait` is called while there is something to wait for, by default to sleep a little; it may raise what
    leaves this, and `ready` is then the wait's when the task starts again. `python`: see NodeCall. `last`:
    the engine says that no earlier try goes on, so none is waited for. `begin`: launches in place of this
    process.
    """
    wait = on_wait or _hold
    found = _sure_in_time(store, settings, run, node_id, cancel, wait)
    ir = settings.ir
    if node_id in _take_base(store, ir, found):
        return _taken(store, found, node_id, iteration)
    step = next((s for s in plan_of(ir, found).steps if s.node_id == node_id), None)
    if step is None:
        return None
    node = ir.node(node_id)
    if found.request == CANCEL and not node.on_exit:
        raise Blocked("the run is to end")
    if why := blocked(store, ir, found, step, iteration):
        raise Blocked(why)
    known = _wait_for_earlier_try(store, found, node_id, iteration, cancel, last=last)
    _wait_for_retry(store, found, node, iteration, cancel, wait)
    # Tries that the engine lost before they came here are no attempts.
    attempt = min(attempt, known + 1)
    call = NodeCall(
        metadata=settings.metadata, run_id=found.id, node_id=node_id, iteration=iteration, attempt=attempt,
        ready=ready or int(time.time() * 1000), code_root=settings.code_root,
        workdir=_workdir(settings), isolation=settings.isolation, python=python,
        run_state=_state(store, ir, found).value if node.on_exit else "",
    )  # fmt: skip
    begin = begin or partial(launch, pipeline=ir, cancel=cancel, spawner=spawner)
    with _watching(store, found, node, cancel):
        while (outcome := begin(call, store)).waiting:
            if cancel.canceled:
                raise _ended(cancel)
            wait(store, _wait_of(node, call))
    return judged(ir, outcome, cancel)


def judged(ir: PipelineIR, outcome: Outcome, cancel: CancelToken) -> Outcome:
    """An outcome that succeeded; Again or Failed for any other one."""
    if outcome.state.succeeded:
        return outcome
    why = f"{loops.place(ir, outcome.node_id, outcome.iteration)} is {outcome.state}: {outcome.message}"
    if outcome.state is NodeState.RUNNING or (outcome.retry_at and not (cancel.canceled and not cancel.lost)):
        raise Again(why)
    raise Failed(why)


def _ended(cancel: CancelToken) -> Exception:
    """What ends a task that waits, and is canceled."""
    return Again(LOST) if cancel.lost else Blocked("the run is to end")


def iterations(store: MetadataStore, settings: Settings, run: EngineRun, loop_id: str) -> list[int]:
    """The numbers of all iterations of a loop, over those of the loops around it, in order."""
    found = sure_of_run(store, settings, run)
    _take_base(store, settings.ir, found)
    head = settings.ir.node(loop_id)
    outer = loops.limits(settings.ir, head.loops)
    inner = loops.limits(settings.ir, (*head.loops, loop_id))
    records = [r for r in store.get_nodes(found.id, [(loop_id, None)]) if r.state in _WITH_ITEMS]
    items = items_of(store, [r.execution_id for r in records])
    return sorted(
        loops.number((*loops.path(r.iteration, outer), position), inner)
        for r in records
        for position in range(len(items[r.execution_id]))
    )


def end_run(store: MetadataStore, settings: Settings, run: EngineRun) -> RunState:
    """Record how the run ended, once; the state it ended in."""
    found = sure_of_run(store, settings, run)
    if not found.state.ended:
        state = _state(store, settings.ir, found)
        store.end_run(found.id, state, owner=run.owner, close_nodes=True)
        found = store.get_run(found.id) or found
    return found.state


def state_so_far(store: MetadataStore, settings: Settings, run: EngineRun) -> RunState:
    """How the run ends when nothing more starts but exit nodes."""
    return _state(store, settings.ir, sure_of_run(store, settings, run))


def failed_for_good(store: MetadataStore, run_id: str, node_id: str, iteration: int) -> str:
    """Why the node failed, if its last attempt did and no other one is due; else empty.

    For an engine that tries again whatever happened: the answer to such a try is there already.
    """
    record = next(iter(store.get_nodes(run_id, [(node_id, iteration)])), None)
    if record is None or record.state is not NodeState.FAILED or _retry_at(store, record):
        return ""
    return record.message or "it failed"


_WITH_ITEMS = (NodeState.COMPLETE, NodeState.CACHED)


def _state(store: MetadataStore, ir: PipelineIR, run: Run) -> RunState:
    """How the run ends when nothing more starts but exit nodes."""
    records = store.get_nodes(run.id)
    # A failed attempt that another one was to follow, had nobody asked for the end, is no failure.
    if any(not again or run.request != CANCEL for _, again in failed_nodes(store, records)):
        return RunState.FAILED
    done = succeeded(store, ir, records)
    missing = [s for s in plan_of(ir, run).steps if not s.on_exit and s.node_id not in done]
    lost = missing or any(r.state is NodeState.CANCELED for r in records)
    if not lost:
        return RunState.COMPLETE
    return RunState.CANCELED if run.request == CANCEL else RunState.FAILED


def _take_base(store: MetadataStore, ir: PipelineIR, run: Run) -> tuple[str, ...]:
    """Make sure that what is taken from the base run is recorded, by this task or by one beside it; the nodes
    that the run takes and does not do."""
    selection = selection_of(run)
    nodes: list[str] = [*(selection.base if selection else ()), *run.settings.get(KEPT, ())]
    if selection is None or not nodes or not run.base_run:
        return ()
    base = store.get_run(run.base_run)
    if base is None:
        raise RunnerError(f"the base run {run.base_run!r} is not there any more")
    wanted = [(node_id, None) for node_id in nodes]
    there = {(r.node_id, r.iteration) for r in store.get_nodes(base.id, wanted) if r.state.succeeded}
    for look in range(_BASE_LOOKS):
        here = {(r.node_id, r.iteration) for r in store.get_nodes(run.id, wanted) if r.state.succeeded}
        if there <= here:
            return selection.base
        if look:
            time.sleep(POLL_SECONDS)  # another task is about to record it
        with contextlib.suppress(FencedError):  # another task took us for dead, and records it
            take_from_base(store, run, base, ir, nodes, attempt=1 + look // _PATIENCE)
    raise Again(f"the results of run {base.id} could not be taken in {_BASE_LOOKS} tries")


def _taken(store: MetadataStore, run: Run, node_id: str, iteration: int) -> Outcome | None:
    """What the base run made of the node; None for an iteration that was not there."""
    record = next(iter(store.get_nodes(run.id, [(node_id, iteration)])), None)
    if record is None:
        return None
    items = items_of(store, [record.execution_id])[record.execution_id]
    return Outcome(
        state=record.state,
        node_id=node_id,
        iteration=iteration,
        execution_id=record.execution_id,
        message=record.message,
        iterations=len(items),
    )


def _wait_for_earlier_try(
    store: MetadataStore, run: Run, node_id: str, iteration: int, cancel: CancelToken, *, last: bool
) -> int:
    """Wait while an earlier try goes on in a process of this machine that its engine lost sight of: what it
    makes counts, so the body runs once. One that cannot be seen is taken over; what it publishes is refused.
    The number of the newest attempt, 0 when there was none.
    """
    while True:
        record = next(iter(store.get_nodes(run.id, [(node_id, iteration)])), None)
        if record is None:
            return 0
        unseen = record.state is not NodeState.RUNNING or record.owner == owner.myself()
        if last or unseen or cancel.canceled or owner.is_alive(record.owner) is not True:
            return record.attempt
        time.sleep(POLL_SECONDS)


def _sure_in_time(
    store: MetadataStore, settings: Settings, run: EngineRun, node_id: str, cancel: CancelToken, wait: OnWait
) -> Run:
    """The run, once no other one does the same work: what that one made is then reused."""
    while True:
        try:
            return sure_of_run(store, settings, run)
        except Equal as equal:
            if cancel.canceled:
                raise _ended(cancel) from None
            until = int((time.time() + POOL_SECONDS) * 1000)
            wait(store, Wait(kind="run", run_id=equal.run.id, node_id=node_id, until=until))


def _wait_for_retry(
    store: MetadataStore, run: Run, node: NodeIR, iteration: int, cancel: CancelToken, wait: OnWait
) -> None:
    """Wait until the time that the launcher set for the next attempt: the engine's own wait is fixed."""
    record = next(iter(store.get_nodes(run.id, [(node.id, iteration)])), None)
    if record is None or record.state is not NodeState.FAILED:
        return
    until = _retry_at(store, record)
    while not cancel.canceled and until / 1000 > time.time():
        asked = Wait(
            kind="retry", run_id=run.id, node_id=node.id, iteration=iteration, until=until,
            to_the_end=node.on_exit,
        )  # fmt: skip
        wait(store, asked)


def _wait_of(node: NodeIR, call: NodeCall) -> Wait:
    """What the launcher said that it waits for."""
    approval, options = node.kind == "approval", node.options
    if approval:
        until = call.ready + int(options.timeout * 1000) + 1 if options.timeout else 0
    else:
        until = int((time.time() + POOL_SECONDS) * 1000)
    return Wait(
        kind="approval" if approval else "pool", run_id=call.run_id, node_id=node.id,
        iteration=call.iteration, ready=call.ready, until=until, pool=options.pool, slots=options.slots,
        to_the_end=node.on_exit,
    )  # fmt: skip


def _hold(store: MetadataStore, wait: Wait) -> None:  # noqa: ARG001 - as any other way to wait
    left = wait.until / 1000 - time.time() if wait.until else POLL_SECONDS
    time.sleep(max(0.0, min(left, POLL_SECONDS)))


def _retry_at(store: MetadataStore, record: NodeRecord) -> int:
    """When the next attempt is due, in milliseconds since 1970; 0 when none is."""
    (execution,) = store.get_executions_by_id([record.execution_id])
    return int(execution.custom_properties.get(RETRY_AT, 0))


@contextlib.contextmanager
def _watching(store: MetadataStore, run: Run, node: NodeIR, cancel: CancelToken) -> Iterator[None]:
    """A block whose token is canceled when somebody asks that the run ends. Exit nodes run to their end."""
    if node.on_exit:
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL_SECONDS):
            with contextlib.suppress(StoreError):
                asked = store.get_run(run.id)
                if asked is not None and asked.request == CANCEL:
                    cancel.cancel()
                    return

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def read_ir(path: Path) -> PipelineIR:
    """The IR that was compiled for an engine. RunnerError when it is missing or damaged."""
    try:
        return codec.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunnerError(
            f"the compiled pipeline is missing: {path}",
            hint="compile it again: tidemill compile FILE --to ENGINE",
        ) from None
    except DefinitionError as error:
        raise RunnerError(f"the compiled pipeline is damaged: {error}", where=os.fspath(path)) from None
