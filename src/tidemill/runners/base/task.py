"""What a task does where an engine decides when it starts: make sure of the run, launch a node, end the run.

Whatever the engine knows of its own run comes in as EngineRun; what came of it goes out as an Outcome or as
one of the errors here, which the engine's room translates. Repeating any of it changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tidemill.errors import DefinitionError, RunnerError, StoreError
from tidemill.ir import codec
from tidemill.ir.model import NodeIR, PipelineIR
from tidemill.metadata.model import CANCEL, RETRY_AT, NodeState, Run, RunState
from tidemill.metadata.open import open_store
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.arrivals import Arrived
from tidemill.runners.base.blocked import blocked
from tidemill.runners.base.starting import artifact_types, plan_of, selection_of, settings_of, wish
from tidemill.runtime import loops
from tidemill.runtime.arriving import ARRIVALS
from tidemill.runtime.base import take_from_base
from tidemill.runtime.call import NodeCall
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.launch import Outcome, launch
from tidemill.runtime.root import folder
from tidemill.runtime.select import select
from tidemill.runtime.upstream import items_of

POLL_SECONDS = 1.0
"""Time between two looks: at a request to end the run, at a decision, at a pool."""
_BASE_LOOKS = 60
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
    arrived: Sequence[Arrived] = ()
    """The data that started it, if data did."""

    @property
    def engine(self) -> str:
        """The engine's name."""
        return self.owner.partition("/")[0]


@contextlib.contextmanager
def opened(url: str) -> Iterator[MetadataStore]:
    """The metadata store behind a URL."""
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


def sure_of_run(store: MetadataStore, settings: Settings, run: EngineRun) -> Run:
    """The run in the record, made by whichever task comes first."""
    known = store.get_run(run.record_id)
    if known is not None:
        return known
    ir, workdir = settings.ir, _workdir(settings)
    wanted = run.selection
    selection = (
        select(ir, only=wanted.get("only", ()), start=wanted.get("from", ()), end=wanted.get("to", ()))
        if wanted
        else None
    )
    how = settings_of(ir, code_root=settings.code_root, workdir=workdir)
    if run.arrived:
        how[ARRIVALS] = [arrived.to_json() for arrived in run.arrived]
    made = wish(
        store, ir, run.parameters, root=settings.root, date=run.date, run_id=run.record_id, settings=how,
        selection=selection,
    )  # fmt: skip
    request = f"{run.engine}:{run.record_id}"
    try:
        found = store.create_run(
            replace(made, owner=run.owner), artifact_types(ir), request_id=request,
            most_active=ir.max_active_runs,
        )  # fmt: skip
    except StoreError:  # another task of the same run was faster, with another base run perhaps
        again = store.get_run(run.record_id)
        if again is None:
            raise
        found = again
    return found


def _workdir(settings: Settings) -> str:
    """A working directory is on this machine, even where the root is not."""
    return settings.workdir or str(folder(settings.root))


def launch_node(
    settings: Settings, run: EngineRun, node_id: str, *, store: MetadataStore, iteration: int = 0,
    attempt: int = 0, cancel: CancelToken,
) -> Outcome | None:  # fmt: skip
    """One attempt at a node; None for one that is not part of what the run does. See the errors above."""
    found = sure_of_run(store, settings, run)
    ir = settings.ir
    selection = selection_of(found)
    if selection is not None and selection.base:
        _take_base(store, ir, found, selection.base)
        if node_id in selection.base:
            return _taken(store, found, node_id, iteration)
    step = next((s for s in plan_of(ir, found).steps if s.node_id == node_id), None)
    if step is None:
        return None
    node = ir.node(node_id)
    if found.request == CANCEL and not node.on_exit:
        raise Blocked("the run is to end")
    if why := blocked(store, ir, found, step, iteration):
        raise Blocked(why)
    _wait_for_retry(store, found, node_id, iteration, cancel)
    call = NodeCall(
        metadata=settings.metadata, run_id=found.id, node_id=node_id, iteration=iteration, attempt=attempt,
        ready=int(time.time() * 1000), code_root=settings.code_root,
        workdir=_workdir(settings),
        run_state=_state(store, ir, found).value if node.on_exit else "",
    )  # fmt: skip
    with _watching(store, found, node, cancel):
        while (outcome := launch(call, store, pipeline=ir, cancel=cancel)).waiting:
            if cancel.canceled:
                raise Blocked("the run is to end")
            time.sleep(POLL_SECONDS)
    if outcome.state.succeeded:
        return outcome
    why = f"{loops.place(ir, node_id, iteration)} is {outcome.state}: {outcome.message}"
    if outcome.retry_at and not cancel.canceled:
        raise Again(why)
    raise Failed(why)


def iterations(store: MetadataStore, settings: Settings, run: EngineRun, loop_id: str) -> list[int]:
    """The numbers of all iterations of a loop, over those of the loops around it, in order."""
    found = sure_of_run(store, settings, run)
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


_WITH_ITEMS = (NodeState.COMPLETE, NodeState.CACHED)


def _state(store: MetadataStore, ir: PipelineIR, run: Run) -> RunState:
    """How the run ends when nothing more starts but exit nodes."""
    records = store.get_nodes(run.id)
    if any(r.state is NodeState.FAILED for r in records):
        return RunState.FAILED
    started = {r.node_id for r in records if r.state.succeeded}
    missing = [
        s for s in plan_of(ir, run).steps if not s.on_exit and not s.loops and s.node_id not in started
    ]
    lost = missing or any(r.state is NodeState.CANCELED for r in records)
    if not lost:
        return RunState.COMPLETE
    return RunState.CANCELED if run.request == CANCEL else RunState.FAILED


def _take_base(store: MetadataStore, ir: PipelineIR, run: Run, nodes: Sequence[str]) -> None:
    """Make sure that the nodes taken from the base run are recorded, by this task or by one beside it."""
    base = store.get_run(run.base_run)
    if base is None:
        raise RunnerError(f"the base run {run.base_run!r} is not there any more")
    wanted = [(node_id, None) for node_id in nodes]
    there = {(r.node_id, r.iteration) for r in store.get_nodes(base.id, wanted) if r.state.succeeded}
    for look in range(_BASE_LOOKS):
        here = {(r.node_id, r.iteration) for r in store.get_nodes(run.id, wanted) if r.state.succeeded}
        if there <= here:
            return
        if look:
            time.sleep(POLL_SECONDS)  # another task is about to record it
        take_from_base(store, run, base, ir, nodes)
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


def _wait_for_retry(
    store: MetadataStore, run: Run, node_id: str, iteration: int, cancel: CancelToken
) -> None:
    """Wait until the time that the launcher set for the next attempt: the engine's own wait is fixed."""
    record = next(iter(store.get_nodes(run.id, [(node_id, iteration)])), None)
    if record is None or record.state is not NodeState.FAILED:
        return
    (execution,) = store.get_executions_by_id([record.execution_id])
    until = int(execution.custom_properties.get(RETRY_AT, 0)) / 1000
    while not cancel.canceled and (left := until - time.time()) > 0:
        time.sleep(min(left, POLL_SECONDS))


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
