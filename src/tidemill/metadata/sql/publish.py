"""Publish: how a claimed attempt ended, in one transaction guarded by state and fence.

Everything that makes an end visible is written together: the node's row, the execution, new artifacts,
events, contexts. A stale attempt matches no row and changes nothing. The number of statements does not
depend on how many inputs, outputs and properties there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from tidemill.errors import FencedError, StoreError
from tidemill.metadata.model import (
    Artifact,
    ArtifactState,
    Claim,
    EventType,
    ExecutionState,
    NodeState,
    Publication,
)
from tidemill.metadata.sql import names
from tidemill.metadata.sql.claim import Standing, standing
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.properties import PropertyRow, custom_rows, declared_rows, insert_properties

_EXECUTION_STATES = {
    NodeState.COMPLETE: ExecutionState.COMPLETE,
    NodeState.CACHED: ExecutionState.CACHED,
    NodeState.SKIPPED: ExecutionState.CANCELED,  # MLMD has no such state; `skip_reason` tells them apart
    NodeState.FAILED: ExecutionState.FAILED,
    NodeState.CANCELED: ExecutionState.CANCELED,
}
_MESSAGE_PROPERTIES = {NodeState.SKIPPED: "skip_reason", NodeState.FAILED: "error"}

Paths = dict[tuple[int, EventType], list[tuple[str, int]]]
"""(artifact, event type) -> where it stands: name of the input or output, index in its list.

MLMD keeps one event per artifact, execution and type; an artifact that stands in two places has a path
of two pairs, as TFX writes it."""


def publish(tx: Transaction, claim: Claim, publication: Publication) -> int:
    """See MetadataStore.publish."""
    _check(claim, publication)
    now = standing(tx, claim.run_id, claim.node_id, claim.iteration)
    if now.fence == claim.fence and now.execution_id == claim.execution_id and now.state is publication.state:
        return claim.execution_id  # this very end is recorded already; the answer was lost
    _end_node(tx, claim, publication, now)
    _end_execution(tx, claim, publication)
    linked = [a.id for artifacts in publication.outputs.values() for a in artifacts if a.id]
    _check_known(tx, claim, {*linked, *(i for ids in publication.inputs.values() for i in ids)})
    contexts = _contexts(tx, claim, now)
    _link_contexts(tx, contexts, linked)
    paths = _input_paths(publication.inputs)
    places = [(o, i, a) for o, artifacts in publication.outputs.items() for i, a in enumerate(artifacts)]
    new = _add_artifacts(tx, claim, publication.state, [place for place in places if not place[2].id])
    made = iter(new)
    for output, index, artifact in places:
        paths.setdefault((artifact.id or next(made), EventType.OUTPUT), []).append((output, index))
    tx.insert_rows("Attribution", "context_id, artifact_id", [(c, a) for a in new for c in contexts])
    _add_events(tx, claim.execution_id, paths)
    return claim.execution_id


def _check(claim: Claim, publication: Publication) -> None:
    """Refuse what makes no sense, before anything is written."""
    where = f"node {claim.node_id!r} of run {claim.run_id}"
    if not claim.granted:
        raise FencedError("only a granted claim can be published", where=where)
    if publication.state is NodeState.RUNNING:
        raise StoreError("RUNNING is not an end that can be published", where=where)
    outputs = [a for artifacts in publication.outputs.values() for a in artifacts]
    if publication.state is NodeState.SKIPPED and outputs:
        raise StoreError("a skipped node has no outputs", where=where)
    if publication.state is NodeState.CACHED and not all(a.id for a in outputs):
        raise StoreError("a cached result can only link artifacts that are stored (id > 0)", where=where)


def _end_node(tx: Transaction, claim: Claim, publication: Publication, now: Standing) -> None:
    """The compare-and-set that makes everything else in this transaction legitimate."""
    changed = tx.execute(
        "UPDATE tidemill_node SET state = ?, cache_key = ?, message = ?, end_time = ? "
        "WHERE run_id = ? AND node_id = ? AND iteration = ? AND execution_id = ? AND state = ? AND fence = ?",
        (publication.state.value, publication.cache_key, publication.message, tx.now, claim.run_id,
         claim.node_id, claim.iteration, claim.execution_id, NodeState.RUNNING.value, claim.fence),
    )  # fmt: skip
    if changed == 1:
        return
    if now.fence != claim.fence:
        why = f"attempt {now.attempt} of {now.owner or 'another process'} took over"
    else:
        why = f"it already ended as {now.state}"
    raise FencedError(
        f"attempt {claim.attempt} may not end node {claim.node_id!r} as {publication.state}: {why}",
        where=f"run {claim.run_id}",
        hint="nothing was recorded; what this attempt wrote is not referenced",
    )


def _end_execution(tx: Transaction, claim: Claim, publication: Publication) -> None:
    state = _EXECUTION_STATES[publication.state]
    changed = tx.execute(
        "UPDATE Execution SET last_known_state = ?, last_update_time_since_epoch = ? "
        "WHERE id = ? AND last_known_state = ?",
        (state.value, tx.now, claim.execution_id, ExecutionState.RUNNING.value),
    )
    if changed != 1:
        raise FencedError(
            f"execution {claim.execution_id} is no longer RUNNING",
            where=f"node {claim.node_id!r} of run {claim.run_id}",
            hint="another program changed it in the metadata database",
        )
    properties = dict(publication.properties)
    if name := _MESSAGE_PROPERTIES.get(publication.state):
        properties.setdefault(name, publication.message)
    insert_properties(tx, "Execution", custom_rows(claim.execution_id, properties))


def _check_known(tx: Transaction, claim: Claim, ids: Iterable[int]) -> None:
    """MLMD's schema has no foreign keys, so a wrong id would be found only by whoever reads it."""
    wanted = set(ids)
    found = {i for (i,) in tx.rows_in("SELECT id FROM Artifact WHERE id IN ({ids})", wanted)}
    if missing := sorted(wanted - found):
        raise StoreError(
            f"there is no artifact {missing[0]} in this store",
            where=f"node {claim.node_id!r} of run {claim.run_id}",
        )


def _contexts(tx: Transaction, claim: Claim, now: Standing) -> tuple[int, int, int]:
    return (
        names.ensure_context(tx, names.PIPELINE, now.pipeline),
        now.run_context,
        names.ensure_context(tx, names.NODE, names.node_name(now.pipeline, claim.node_id)),
    )


def _link_contexts(tx: Transaction, contexts: tuple[int, int, int], artifact_ids: Sequence[int]) -> None:
    """Attribute artifacts that are stored, and perhaps attributed, already."""
    if not artifact_ids:
        return
    present = set(
        tx.rows_in(
            "SELECT context_id, artifact_id FROM Attribution "
            "WHERE context_id IN (?, ?, ?) AND artifact_id IN ({ids})",
            artifact_ids,
            contexts,
        )
    )
    wanted = dict.fromkeys((context, artifact) for artifact in artifact_ids for context in contexts)
    missing = [pair for pair in wanted if pair not in present]
    tx.insert_rows("Attribution", "context_id, artifact_id", missing)


def _add_artifacts(
    tx: Transaction, claim: Claim, state: NodeState, places: Sequence[tuple[str, int, Artifact]]
) -> list[int]:
    """Store new artifacts, each with the output and the index where it stands; their ids.

    What a failed or canceled attempt put out is kept for people to look at, but never LIVE.
    """
    if not places:
        return []
    life = ArtifactState.LIVE if state is NodeState.COMPLETE else ArtifactState.ABANDONED
    attempt = f"{claim.run_id}/{claim.node_id}/{claim.iteration}/{claim.attempt}"
    types = [names.artifact_type(tx, artifact.type, artifact.properties) for _, _, artifact in places]
    ids = tx.insert_counted(
        "Artifact",
        "type_id, uri, state, name, create_time_since_epoch, last_update_time_since_epoch",
        [
            (
                stored.id,
                artifact.uri,
                life.value,
                artifact.name or f"{attempt}/{output}/{index}",
                tx.now,
                tx.now,
            )
            for (output, index, artifact), stored in zip(places, types, strict=True)
        ],
    )
    properties: list[PropertyRow] = []
    for artifact_id, (_, _, artifact), stored in zip(ids, places, types, strict=True):
        kind_of = partial(names.declared_type, stored.properties, artifact.type)
        properties += declared_rows(artifact_id, artifact.properties, kind_of)
        properties += custom_rows(artifact_id, artifact.custom_properties)
    insert_properties(tx, "Artifact", properties)
    return ids


def _input_paths(inputs: Mapping[str, Sequence[int]]) -> Paths:
    paths: Paths = {}
    for name, ids in inputs.items():
        for index, artifact_id in enumerate(ids):
            paths.setdefault((artifact_id, EventType.INPUT), []).append((name, index))
    return paths


def _add_events(tx: Transaction, execution_id: int, paths: Paths) -> None:
    if not paths:
        return
    ids = tx.insert_counted(
        "Event",
        "artifact_id, execution_id, type, milliseconds_since_epoch",
        [(artifact_id, execution_id, kind.value, tx.now) for artifact_id, kind in paths],
    )
    steps: list[tuple[int, bool, int | None, str | None]] = []
    for event_id, places in zip(ids, paths.values(), strict=True):
        for name, index in places:
            steps += [(event_id, False, None, name), (event_id, True, index, None)]
    tx.insert_rows("EventPath", "event_id, is_index_step, step_index, step_key", steps)
