"""Doing again what a run that ended left undone: a new run with the old one as its base.

A run that ended stays as it ended, and so does what succeeded in it. `tidemill retry` asks for this by name;
where an engine starts tasks of such a run once more, that is asked for in the engine's own way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from tidemill.errors import RunnerError, StoreError
from tidemill.ir import codec
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import Run
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.starting import artifact_types, selection_of, wish
from tidemill.runners.base.task import KEPT, EngineRun, Settings
from tidemill.runtime.base import succeeded
from tidemill.runtime.select import Selection, select_again

MARK = ".again-"
"""Comes between the id of an engine's run in the record and the number of the time that it is done again."""

TURN = "turn"
"""Key in the settings of such a run: what the engine had counted when it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What an engine is about to do again."""

    nodes: Collection[str]
    kept: Collection[str] = ()
    """Those of them that are in loops, and of which it does only some iterations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What a retry of a run does."""

    run: Run
    """The run that is retried."""
    ir: PipelineIR
    selection: Selection
    changed: tuple[str, ...]
    """`module:qualname` of code that is not what it was then."""


def plan_again(
    store: MetadataStore, run: Run, *, nodes: Collection[str] = (), present: PipelineIR | None = None
) -> Again:
    """What a retry of `run` would do: all that did not succeed, all from `nodes` on, and what follows.

    `present` is the pipeline as its file defines it now: its code counts. RunnerError when the run has not
    ended, or everything in it succeeded and no node is named.
    """
    if not run.state.ended:
        raise RunnerError(
            f"run {run.id} has not ended: it is {run.state}",
            hint="wait for it, or cancel it first: tidemill cancel RUN",
        )
    ir, changed = with_code_of(codec.loads(store.get_pipeline_version(run.version)), present)
    return Again(run=run, ir=ir, selection=_selection(store, ir, run, nodes), changed=changed)


def with_code_of(ir: PipelineIR, present: PipelineIR | None) -> tuple[PipelineIR, tuple[str, ...]]:
    """A pipeline with the digests of the code that is there now, and of what they are others."""
    now = present.code if present is not None else {}
    changed = tuple(ref for ref, digest in ir.code.items() if now.get(ref, digest) != digest)
    return replace(ir, code={ref: now.get(ref, digest) for ref, digest in ir.code.items()}), changed


def wish_again(store: MetadataStore, again: Again, *, run_id: str = "", priority: int = 0) -> Run:
    """The run that a retry wants, not stored yet: same parameters, date, root and settings."""
    old = again.run
    return wish(
        store, again.ir, old.parameters, root=old.root, date=old.date, settings=old.settings,
        selection=again.selection, base=old.id, priority=priority, run_id=run_id,
    )  # fmt: skip


def latest(store: MetadataStore, run: EngineRun) -> tuple[EngineRun, Run | None]:
    """An engine's run under its present id in the record, and that run; None when there is none yet."""
    found = store.get_run(run.record_id)
    if found is None or not found.state.ended:
        return run, found
    number = 2
    while (later := store.get_run(f"{run.record_id}{MARK}{number}")) is not None:
        found, number = later, number + 1
    return replace(run, record_id=found.id), found


def begun_again(
    store: MetadataStore, settings: Settings, run: EngineRun, turn: int, started: Callable[[], Started]
) -> EngineRun:
    """An engine's run under the id that its tasks work for now: of one that ended, a new one's.

    `turn` counts how often somebody asked the engine to do tasks of the run again; a run that ended since, by
    `tidemill cancel --force` say, stays ended. `started` is asked by the first of the tasks that are done
    again, and the answer counts for all of them. The pipeline is the engine's present one.
    """
    now, found = latest(store, run)
    if found is None or not found.state.ended or turn <= found.settings.get(TURN, 0):
        return now
    ir, part, asked = settings.ir, selection_of(found), started()
    known = {*part.run, *part.base} if part else {node.id for node in ir.nodes}
    nodes = [node.id for node in ir.nodes if node.id in asked.nodes and node.id in known]
    if not nodes:  # tasks of nodes that the run never had
        return now
    again = Again(run=found, ir=ir, changed=(), selection=_selection(store, ir, found, nodes))
    number = int(found.id.rpartition(MARK)[2]) + 1 if now.record_id != run.record_id else 2
    wanted = wish_again(store, again, run_id=f"{run.record_id}{MARK}{number}")
    kept = [name for name in again.selection.run if name in asked.kept]
    wanted = replace(wanted, settings={**wanted.settings, KEPT: kept, TURN: turn}, base_run=found.id)
    request = f"{run.engine}:{wanted.id}"
    try:
        store.create_run(
            replace(wanted, owner=run.owner), artifact_types(ir), request_id=request,
            most_active=ir.max_active_runs,
        )  # fmt: skip
    except StoreError:  # another of the tasks was faster
        if store.get_run(wanted.id) is None:
            raise
    return replace(run, record_id=wanted.id)


def _selection(store: MetadataStore, ir: PipelineIR, run: Run, nodes: Collection[str]) -> Selection:
    done = succeeded(store, ir, store.get_nodes(run.id))
    return select_again(ir, done, start=nodes, within=selection_of(run))
