"""Taking results from a base run: nodes that a run does not do itself are recorded as CACHED from there.

So whatever comes after them finds its inputs as if they had run. Asking again goes on where it stopped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from tidemill.errors import RunnerError
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import (
    Artifact,
    ArtifactState,
    ClaimRequest,
    EventType,
    Execution,
    NodeRecord,
    NodeState,
    Publication,
    Run,
)
from tidemill.metadata.store import MetadataStore
from tidemill.runtime import crashpoint, importing, owner
from tidemill.runtime.cache import PARTS
from tidemill.runtime.launch import REASON
from tidemill.runtime.resolve import DIGEST
from tidemill.runtime.select import Selection, required
from tidemill.runtime.upstream import ITEMS, items_of

BASE = "tidemill.base_execution"
"""Custom property of an execution that stands for one of the base run: the id of that one."""
_KEPT = (ITEMS, PARTS)
"""What of tidemill's own properties is about the result, not about how the attempt went."""


def find_base(store: MetadataStore, pipeline: PipelineIR, selection: Selection, name: str, date: str) -> Run:
    """The base run `name`, or for `latest` the newest of the date that ended and has what is needed.

    RunnerError when it does not exist, is another pipeline's, or lacks something.
    """
    if name != "latest":
        base = store.get_run(name)
        if base is None:
            raise RunnerError(f"there is no run {name!r}", hint="see: tidemill runs list")
        if base.pipeline != pipeline.name:
            raise RunnerError(f"run {name} is one of pipeline {base.pipeline!r}, not {pipeline.name!r}")
        if why := lacking(store, pipeline, selection, base):
            raise RunnerError(
                f"run {name} cannot be the base: {why}", hint="run more nodes (--from), or name another base"
            )
        return base
    why = ""
    for run in store.get_runs(pipeline=pipeline.name, limit=100):
        if run.date == date and run.state.ended:
            lacks = lacking(store, pipeline, selection, run)
            if not lacks:
                return run
            why = why or f"; the newest, {run.id}: {lacks}"
    dated = f" of {date}" if date else ""
    raise RunnerError(
        f"no run{dated} has the results of {', '.join(sorted(required(pipeline, selection)))}{why}",
        hint="run the whole pipeline first, run more nodes (--from), or name a run with --base",
    )


def lacking(store: MetadataStore, pipeline: PipelineIR, selection: Selection, base: Run) -> str:
    """Why a run cannot be the base for a selection; empty when it can."""
    must = required(pipeline, selection)
    records = store.get_nodes(base.id)
    for node_id in sorted(must - succeeded(store, pipeline, records)):
        states = [r.state for r in records if r.node_id == node_id and not r.state.succeeded]
        return f"node {node_id!r} is {states[0]} there" if states else f"node {node_id!r} did not run there"
    return ""


def available(store: MetadataStore, pipeline: PipelineIR, selection: Selection, base: Run) -> Selection:
    """The selection without those nodes of the base that did not succeed there and need not have."""
    there = succeeded(store, pipeline, store.get_nodes(base.id))
    return replace(selection, base=tuple(node_id for node_id in selection.base if node_id in there))


def succeeded(store: MetadataStore, pipeline: PipelineIR, records: Sequence[NodeRecord]) -> set[str]:
    """Nodes that succeeded in every iteration that there is, given all records of a run."""
    by_node: dict[str, list[NodeRecord]] = defaultdict(list)
    for record in records:
        by_node[record.node_id].append(record)
    heads = [r.execution_id for node in pipeline.nodes if node.loop is not None for r in by_node[node.id]]
    items = items_of(store, heads) if heads else {}
    found: set[str] = set()
    for node in pipeline.nodes:
        mine = by_node[node.id]
        expected = 1
        if node.loops:
            around = by_node[node.loops[-1]]
            expected = sum(len(items.get(r.execution_id, ())) for r in around) if around else -1
        if len(mine) == expected and all(r.state.succeeded for r in mine):
            found.add(node.id)
    return found


def take_from_base(
    store: MetadataStore, run: Run, base: Run, pipeline: PipelineIR, nodes: Collection[str]
) -> None:
    """Record the nodes in `run` as they ended in `base`, as far as they succeeded there.

    RunnerError when files of theirs are gone or damaged: then nothing more is recorded.
    """
    wanted = [(node_id, None) for node_id in nodes]
    records = [r for r in store.get_nodes(base.id, wanted) if r.state.succeeded]
    done = {(r.node_id, r.iteration) for r in store.get_nodes(run.id, wanted) if r.state.succeeded}
    left = [r for r in records if (r.node_id, r.iteration) not in done]
    ids = sorted({r.execution_id for r in left})
    outputs = store.get_outputs(ids) if ids else {}
    executions = {e.id: e for e in store.get_executions_by_id(ids)}
    inputs = _inputs(store, ids)
    for record in left:
        _check(record, base, outputs.get(record.execution_id, {}))
    for record in left:
        execution = executions[record.execution_id]
        found = outputs.get(record.execution_id, {})
        _take(store, run, base, pipeline, record, execution, found, inputs.get(record.execution_id, {}))
        crashpoint.reach("base.taken")


def _take(
    store: MetadataStore, run: Run, base: Run, pipeline: PipelineIR, record: NodeRecord,
    execution: Execution, outputs: Mapping[str, list[Artifact]], inputs: Mapping[str, Sequence[int]],
) -> None:  # fmt: skip
    claim = store.claim(
        ClaimRequest(
            run_id=run.id,
            node_id=record.node_id,
            component=pipeline.node(record.node_id).component,
            owner=owner.myself(),
            iteration=record.iteration,
        )
    )
    if not claim.granted:
        return  # as the one who drives the run we are alone: it is there already
    skipped = record.state is NodeState.SKIPPED
    kept = {
        name: value
        for name, value in execution.custom_properties.items()
        if name in _KEPT or not name.startswith("tidemill.")
    }
    reason = f"taken from run {base.id} (execution {record.execution_id})"
    publication = Publication(
        state=NodeState.SKIPPED if skipped else NodeState.CACHED,
        inputs=inputs,
        outputs={} if skipped else outputs,
        properties={**kept, REASON: reason, BASE: record.execution_id},
        cache_key=record.cache_key,
        message=record.message if skipped else reason,
    )
    store.publish(claim, publication)


def _check(record: NodeRecord, base: Run, outputs: Mapping[str, list[Artifact]]) -> None:
    for name, artifacts in outputs.items():
        for artifact in artifacts:
            wrong = "" if artifact.state is ArtifactState.LIVE else f"is {artifact.state.name}"
            if not wrong and importing.IMPORTED in artifact.custom_properties:
                wrong = importing.changed(artifact)
            elif not wrong and DIGEST in artifact.custom_properties:
                wrong = importing.wrong_with(artifact)
            if wrong:
                raise RunnerError(
                    f"output {name!r} of {record.node_id} in run {base.id} cannot be used: {wrong}",
                    hint=f"run it again: --from {record.node_id}",
                )


def _inputs(store: MetadataStore, ids: Sequence[int]) -> dict[int, dict[str, list[int]]]:
    """Ids of the input artifacts per execution and input, in order."""
    places: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for event in store.get_events(execution_ids=ids) if ids else ():
        if event.type is EventType.INPUT:
            for name, index in zip(event.path[::2], event.path[1::2], strict=False):
                places[event.execution_id][str(name)].append((int(index), event.artifact_id))
    return {
        execution_id: {
            name: [artifact_id for _, artifact_id in sorted(found)] for name, found in each.items()
        }
        for execution_id, each in places.items()
    }
