"""The two calls that store nodes and what connects them at once: PutExecution, PutLineageSubgraph."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.mlmd import reading
from tidemill.metadata.sql.mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, Message
from tidemill.metadata.sql.mlmd.linking import Edge, add_events, add_links
from tidemill.metadata.sql.mlmd.refusal import Refusal, Status, invalid, not_found
from tidemill.metadata.sql.mlmd.types import TypeMemory
from tidemill.metadata.sql.mlmd.writing import put_nodes


def put_execution(tx: Transaction, memory: TypeMemory, request: Message, response: Message) -> None:
    """Store an execution, its artifacts and events, and put all of them into contexts."""
    if not request.HasField("execution"):
        raise invalid("No execution is found")
    options, pairs = request.options, request.artifact_event_pairs
    reuse = options.reuse_artifact_if_already_exist_by_external_id
    artifacts = [pair.artifact if pair.HasField("artifact") else None for pair in pairs]
    events = [pair.event if pair.HasField("event") else None for pair in pairs]
    given = [artifact for artifact in artifacts if artifact is not None]
    stored = iter(_put_artifacts(tx, memory, given, reuse=reuse))
    artifact_ids = [0 if artifact is None else next(stored) for artifact in artifacts]
    (execution_id,) = put_nodes(
        tx, memory, EXECUTION, [request.execution], force_update_time=options.force_update_time
    )
    edges: list[Edge] = []
    for index, event in enumerate(events):
        if event is not None:
            artifact_ids[index] = _end_of(event, artifact_ids[index], execution_id)
            edges.append((artifact_ids[index], execution_id, event))
    add_events(tx, edges)
    context_ids = _contexts_of(tx, memory, request)
    add_links(tx, EXECUTION, [(c, execution_id) for c in context_ids])
    add_links(tx, ARTIFACT, [(c, a) for c in context_ids for a in artifact_ids if a])
    response.execution_id = execution_id
    response.artifact_ids.extend(i or -1 for i in artifact_ids)
    response.context_ids.extend(context_ids)


def _contexts_of(tx: Transaction, memory: TypeMemory, request: Message) -> list[int]:
    """Ids of the contexts of a PutExecution, in order."""
    options = request.options
    if not options.force_reuse_context:
        return _put_contexts(tx, memory, request.contexts, reuse=options.reuse_context_if_already_exist)
    named = {context.id for context in request.contexts if context.HasField("id")}
    stored = {i for (i,) in tx.rows_in("SELECT id FROM Context WHERE id IN ({ids})", named)}
    if missing := sorted(named - stored):
        raise not_found(f"Context with ID {missing[0]} was not found in MLMD")
    others = [context for context in request.contexts if not context.HasField("id")]
    made = iter(_put_contexts(tx, memory, others, reuse=options.reuse_context_if_already_exist))
    return [context.id if context.HasField("id") else next(made) for context in request.contexts]


def put_subgraph(tx: Transaction, memory: TypeMemory, request: Message, response: Message) -> None:
    """Store executions, artifacts and contexts, the events that the edges name, and every link."""
    _check_edges(request)
    for node in (*request.artifacts, *request.executions, *request.contexts):
        if not node.HasField("type_id"):
            raise invalid("Type id is missing.")
    options = request.options
    contexts = _put_contexts(tx, memory, request.contexts, reuse=options.reuse_context_if_already_exist)
    artifacts = _put_artifacts(
        tx,
        memory,
        request.artifacts,
        reuse=options.reuse_artifact_if_already_exist_by_external_id,
    )
    executions = put_nodes(tx, memory, EXECUTION, request.executions)
    add_links(tx, EXECUTION, [(c, e) for c in contexts for e in executions])
    add_links(tx, ARTIFACT, [(c, a) for c in contexts for a in artifacts])
    edges: list[Edge] = []
    for edge in request.event_edges:
        event = edge.event
        artifact = event.artifact_id if event.HasField("artifact_id") else artifacts[edge.artifact_index]
        execution = event.execution_id if event.HasField("execution_id") else executions[edge.execution_index]
        edges.append((artifact, execution, event))
    add_events(tx, edges)
    response.execution_ids.extend(executions)
    response.artifact_ids.extend(artifacts)
    response.context_ids.extend(contexts)


def _put_artifacts(
    tx: Transaction, memory: TypeMemory, artifacts: Sequence[Message], *, reuse: bool
) -> list[int]:
    """Store artifacts; with `reuse`, one without an id updates the stored one with its external id."""
    wanted = [a.external_id for a in artifacts if a.external_id and not a.HasField("id")] if reuse else []
    if not wanted:
        return put_nodes(tx, memory, ARTIFACT, artifacts)
    updates = len(artifacts) > len([a for a in artifacts if not a.HasField("id")])
    if len(artifacts) > 1 and (updates or len(set(wanted)) < len(wanted)):  # one may make what another means
        return [i for a in artifacts for i in _put_artifacts(tx, memory, [a], reuse=True)]
    stored = reading.ids_by_external_ids(tx, ARTIFACT, wanted)
    found = []
    for artifact in artifacts:
        if not artifact.HasField("id") and artifact.external_id in stored:
            same = type(artifact)()
            same.CopyFrom(artifact)
            same.id = stored[artifact.external_id]
            found.append(same)
        else:
            found.append(artifact)
    return put_nodes(tx, memory, ARTIFACT, found)


def _put_contexts(
    tx: Transaction, memory: TypeMemory, contexts: Sequence[Message], *, reuse: bool
) -> list[int]:
    """Store contexts; with `reuse`, one without an id is the stored one of its type and name, unchanged."""
    for context in contexts:
        for name in ("type_id", "name"):
            if not context.HasField(name):
                raise invalid(f"Context is missing a {name}")
    if not reuse:
        return put_nodes(tx, memory, CONTEXT, contexts)
    keys = [(c.type_id, c.name) for c in contexts if not c.HasField("id")]
    if len(contexts) > 1 and len(set(keys)) < len(contexts):  # one may make or rename what another means
        return [i for c in contexts for i in _put_contexts(tx, memory, [c], reuse=True)]
    stored = reading.ids_by_names(tx, CONTEXT, keys)
    found = [0 if c.HasField("id") else stored.get((c.type_id, c.name), 0) for c in contexts]
    put = [c for c, i in zip(contexts, found, strict=True) if not i]
    made = iter(put_nodes(tx, memory, CONTEXT, put) if put else ())
    return [i or next(made) for i in found]


def _end_of(event: Message, artifact_id: int, execution_id: int) -> int:
    """The artifact of an event; refused when it contradicts what it stands beside."""
    if event.HasField("execution_id") and event.execution_id != execution_id:
        raise invalid(f"event.execution_id is {event.execution_id}, but the execution is {execution_id}")
    if not artifact_id and not event.HasField("artifact_id"):
        raise invalid("If no artifact is present, given event must have an artifact_id")
    if artifact_id and event.HasField("artifact_id") and event.artifact_id != artifact_id:
        raise invalid(f"event.artifact_id is {event.artifact_id}, but the artifact is {artifact_id}")
    return artifact_id or int(event.artifact_id)


def _check_edges(request: Message) -> None:
    """Every edge has an event and both ends, and an end that is said twice is said alike."""
    for number, edge in enumerate(request.event_edges):
        if not edge.HasField("event"):
            raise invalid(f"No event found for event_edge {number}")
        for name, nodes in (("execution", request.executions), ("artifact", request.artifacts)):
            index = getattr(edge, f"{name}_index")
            named, listed = edge.event.HasField(f"{name}_id"), edge.HasField(f"{name}_index")
            where = f"event_edge {number}"
            if not named and not listed:
                raise invalid(f"{where} has neither {name}_index nor event.{name}_id")
            if listed and not 0 <= index < len(nodes):
                raise Refusal(
                    Status.OUT_OF_RANGE, f"{where} has {name}_index {index}, but there are {len(nodes)}"
                )
            if named and listed and not nodes[index].HasField("id"):
                raise invalid(f"{where} names an event.{name}_id, but {name} {index} has no id")
            if named and listed and nodes[index].id != getattr(edge.event, f"{name}_id"):
                raise invalid(f"{where}: {name} {index} has the id {nodes[index].id}, its event another")
