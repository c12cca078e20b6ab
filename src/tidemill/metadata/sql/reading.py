"""Rows back to values: executions, artifacts, events, contexts and nodes.

Each question costs a fixed number of queries, however many rows answer it (long lists of ids are cut at
the database's limit on parameters). Every function works inside the caller's transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter

from tidemill.metadata.model import (
    FAILURE,
    FINGERPRINT,
    Artifact,
    ArtifactState,
    Context,
    Event,
    EventType,
    Execution,
    ExecutionState,
    FailureRecord,
    NodeRecord,
    NodeState,
    PathStep,
    TypeKind,
)
from tidemill.metadata.sql import names, schema
from tidemill.metadata.sql.database import Row, Transaction
from tidemill.metadata.sql.properties import read_properties

FEW = 2000
"""Rows that are cheaply sorted."""

_NODE_COLUMNS = (
    "run_id, node_id, iteration, state, attempt, fence, execution_id, owner, cache_key, message, "
    "start_time, end_time, pool, slots"
)
_ARTIFACT = (
    "SELECT a.id, t.name, a.uri, a.name, a.state, a.create_time_since_epoch, a.last_update_time_since_epoch "
    "FROM Artifact a JOIN Type t ON t.id = a.type_id"
)
_EXECUTION = (
    "SELECT e.id, t.name, e.name, e.last_known_state, e.create_time_since_epoch, "
    "e.last_update_time_since_epoch FROM Execution e JOIN Type t ON t.id = e.type_id"
)


def nodes(tx: Transaction, run_id: str, keys: Sequence[tuple[str, int | None]] | None) -> list[NodeRecord]:
    """See MetadataStore.get_nodes."""
    select = f"SELECT {_NODE_COLUMNS}, first_execution_id FROM tidemill_node WHERE run_id = ?"
    if keys is None:
        rows = tx.rows(select, (run_id,))
    else:
        by_iteration: dict[int | None, list[str]] = defaultdict(list)
        for node_id, number in keys:
            by_iteration[number].append(node_id)
        rows = []
        for number, node_ids in by_iteration.items():
            one = "" if number is None else " AND iteration = ?"
            values = [run_id] if number is None else [run_id, number]
            rows += tx.rows_in(f"{select}{one} AND node_id IN ({{ids}})", node_ids, values)
    rows = sorted({row[:3]: row for row in rows}.values(), key=itemgetter(-1))
    return [
        NodeRecord(
            run_id=run, node_id=node, iteration=iteration, state=NodeState(state), attempt=attempt,
            fence=fence, execution_id=execution, owner=owner, cache_key=cache_key, message=message,
            start_time=start, end_time=end, pool=pool or "", slots=slots or 0,
        )
        for (run, node, iteration, state, attempt, fence, execution, owner, cache_key, message, start, end,
             pool, slots, _)
        in rows
    ]  # fmt: skip


def executions(tx: Transaction, run_id: str, node_id: str) -> list[Execution]:
    """See MetadataStore.get_executions."""
    contexts = [names.find_context(tx, names.RUN, run_id)]
    if node_id:
        row = tx.row("SELECT pipeline FROM tidemill_run WHERE id = ?", (run_id,))
        name = names.node_name(row[0], node_id) if row else ""
        contexts.append(names.find_context(tx, names.NODE, name))
    if not all(contexts):
        return []
    joins = "".join(
        f" JOIN Association c{i} ON c{i}.execution_id = e.id AND c{i}.context_id = ?"
        for i in range(len(contexts))
    )
    return _executions(tx, tx.rows(f"{_EXECUTION}{joins} ORDER BY e.id", contexts))


def executions_by_id(tx: Transaction, ids: Iterable[int]) -> list[Execution]:
    """See MetadataStore.get_executions_by_id."""
    return _executions(tx, sorted(tx.rows_in(f"{_EXECUTION} WHERE e.id IN ({{ids}})", set(ids))))


def artifacts(tx: Transaction, *, type: str, run_id: str, pipeline: str, limit: int) -> list[Artifact]:
    """See MetadataStore.get_artifacts."""
    conditions, values = ["1 = 1"], list[object]()
    contexts = [
        names.find_context(tx, kind, name)
        for kind, name in ((names.RUN, run_id), (names.PIPELINE, pipeline))
        if name
    ]
    types = _artifact_types(tx, type) if type else []
    if not all(contexts) or (type and not types):
        return []
    few = bool(types) and all(is_small(tx, "Artifact", "type_id", i) for i in types)
    source, newest = "Artifact a", "a.id"
    if contexts and not few:  # in the order of the index by context
        source, newest = "Attribution c0 CROSS JOIN Artifact a", "c0.artifact_id"
    elif contexts:
        source = "Artifact a CROSS JOIN Attribution c0"
    for number, context in enumerate(contexts):
        source += f" CROSS JOIN Attribution c{number}" if number else ""
        conditions.append(f"c{number}.context_id = ? AND c{number}.artifact_id = a.id")
        values.append(context)
    if types:
        conditions.append(f"{'' if few else '+'}a.type_id IN ({', '.join('?' * len(types))})")
        values += types
    rows = tx.rows(
        f"SELECT a.id FROM {source} WHERE {' AND '.join(conditions)} ORDER BY {newest} DESC LIMIT ?",
        [*values, max(limit, 0)],
    )
    return artifacts_by_id(tx, [i for (i,) in rows])[::-1]


def _artifact_types(tx: Transaction, name: str) -> list[int]:
    """Ids of the artifact types with this name: MLMD's versions of it count too."""
    rows = tx.rows(
        f"SELECT id FROM Type WHERE name = {tx.dialect.exact('?')} AND type_kind = ?",
        (name, TypeKind.ARTIFACT.value),
    )
    return [i for (i,) in rows]


def artifacts_by_id(tx: Transaction, ids: Iterable[int]) -> list[Artifact]:
    """See MetadataStore.get_artifacts_by_id."""
    return _artifacts(tx, sorted(tx.rows_in(f"{_ARTIFACT} WHERE a.id IN ({{ids}})", set(ids))))


def outputs(tx: Transaction, execution_ids: Sequence[int]) -> dict[int, dict[str, list[Artifact]]]:
    """See MetadataStore.get_outputs."""
    found = events(tx, [], execution_ids, (EventType.OUTPUT,))
    by_id = {a.id: a for a in artifacts_by_id(tx, {e.artifact_id for e in found})}
    places = []
    for event in found:
        for name, index in zip(event.path[::2], event.path[1::2], strict=False):
            places.append((event.execution_id, str(name), index, event.artifact_id))
    answer: dict[int, dict[str, list[Artifact]]] = {}
    for execution_id, name, _, artifact_id in sorted(
        places, key=lambda p: (p[0], p[1], str(type(p[2])), p[2])
    ):
        answer.setdefault(execution_id, {}).setdefault(name, []).append(by_id[artifact_id])
    return answer


def events(
    tx: Transaction, artifact_ids: Iterable[int], execution_ids: Iterable[int],
    types: Collection[EventType] = (),
) -> list[Event]:  # fmt: skip
    """See MetadataStore.get_events."""
    rows = {
        *events_at(tx, "artifact_id", artifact_ids, types),
        *events_at(tx, "execution_id", execution_ids, types),
    }
    paths: dict[int, list[PathStep]] = defaultdict(list)
    steps = tx.rows_in(
        "SELECT event_id, is_index_step, step_index, step_key FROM EventPath "
        f"WHERE event_id IN ({{ids}}) {tx.dialect.path_order}",
        [row[0] for row in rows],
    )
    for event_id, is_index, index, key in steps:
        paths[event_id].append(index if is_index else key)
    return [
        Event(
            artifact_id=artifact_id, execution_id=execution_id, type=EventType(kind),
            path=tuple(paths.get(event_id, ())), time=time or 0,
        )
        for event_id, artifact_id, execution_id, kind, time in sorted(rows)
    ]  # fmt: skip


def events_at(tx: Transaction, column: str, ids: Iterable[int], types: Collection[int] = ()) -> list[Row]:
    """Rows (id, artifact, execution, type, time) of the events at these artifacts or executions.

    The types are the database's to look at: an artifact that everybody uses has as many events.
    """
    those = f" AND type IN ({', '.join(str(int(number)) for number in sorted(types))})" if types else ""
    return tx.rows_in(
        "SELECT id, artifact_id, execution_id, type, milliseconds_since_epoch FROM Event "
        f"WHERE {column} IN ({{ids}}){those}",
        set(ids),
    )


def contexts_by_execution(tx: Transaction, execution_id: int) -> list[Context]:
    """See MetadataStore.get_contexts_by_execution."""
    rows = tx.rows(
        "SELECT c.id, t.name, c.name, c.create_time_since_epoch, c.last_update_time_since_epoch "
        "FROM Association s JOIN Context c ON c.id = s.context_id JOIN Type t ON t.id = c.type_id "
        "WHERE s.execution_id = ? ORDER BY c.id",
        (execution_id,),
    )
    properties = read_properties(tx, "Context", [row[0] for row in rows])
    return [
        Context(
            id=id, type=type, name=name, properties=properties[id][0], custom_properties=properties[id][1],
            create_time=create_time, update_time=update_time,
        )
        for id, type, name, create_time, update_time in rows
    ]  # fmt: skip


def failures(
    tx: Transaction, *, pipeline: str, fingerprint: str, since: int, limit: int
) -> list[FailureRecord]:
    """See MetadataStore.get_failures. Starts from the index of string properties by name and value."""
    conditions, values = "", list[object]()
    for condition, value in (
        (f" AND p.string_value = {tx.dialect.exact('?')}", fingerprint),
        (f" AND r.pipeline = {tx.dialect.exact('?')}", pipeline),
        (" AND n.end_time >= ?", since),
    ):
        if value:
            conditions += condition
            values.append(value)
    rows = tx.rows(
        "SELECT n.execution_id, n.run_id, r.pipeline, r.version, n.node_id, n.iteration, n.attempt, "
        "p.string_value, n.message, n.end_time FROM ExecutionProperty p "
        "JOIN tidemill_node n ON n.execution_id = p.execution_id JOIN tidemill_run r ON r.id = n.run_id "
        "WHERE p.name = ? AND p.is_custom_property = TRUE AND n.state = ?"
        f"{conditions} ORDER BY p.execution_id DESC LIMIT ?",
        [FINGERPRINT, NodeState.FAILED.value, *values, max(limit, 0)],
    )
    properties = read_properties(tx, "Execution", [row[0] for row in rows])
    return [
        FailureRecord(
            execution_id=id, run_id=run, pipeline=of, version=version, node_id=node, iteration=iteration,
            attempt=attempt, kind=str(properties[id][1].get(FAILURE, "")), fingerprint=found,
            message=message, time=time,
        )
        for id, run, of, version, node, iteration, attempt, found, message, time in rows
    ]  # fmt: skip


def row_counts(tx: Transaction) -> dict[str, int]:
    """See MetadataStore.statistics."""
    tables = [t.name for t in (*schema.MLMD_TABLES, *schema.OWN_TABLES)]
    row = tx.row("SELECT " + ", ".join(f"(SELECT COUNT(*) FROM {table})" for table in tables))
    return dict(zip(tables, row or (), strict=True))


# A look-up takes a tenth of the call that an enumeration answers.
_EXECUTION_STATES = {state.value: state for state in ExecutionState}
_ARTIFACT_STATES = {state.value: state for state in ArtifactState}


def _executions(tx: Transaction, rows: Sequence[Row]) -> list[Execution]:
    properties = read_properties(tx, "Execution", [row[0] for row in rows])
    return [
        Execution(
            id=id, type=type, name=name or "", state=_EXECUTION_STATES[state or 0],
            properties=properties[id][0], custom_properties=properties[id][1],
            create_time=create_time, update_time=update_time,
        )
        for id, type, name, state, create_time, update_time in rows
    ]  # fmt: skip


def _artifacts(tx: Transaction, rows: Sequence[Row]) -> list[Artifact]:
    properties = read_properties(tx, "Artifact", [row[0] for row in rows])
    return [
        Artifact(
            id=id, type=type, uri=uri or "", name=name or "", state=_ARTIFACT_STATES[state or 0],
            properties=properties[id][0], custom_properties=properties[id][1],
            create_time=create_time, update_time=update_time,
        )
        for id, type, uri, name, state, create_time, update_time in rows
    ]  # fmt: skip


def is_small(tx: Transaction, table: str, column: str, value: int) -> bool:
    """Whether so few rows have a value that they are best read all, and then put in order.

    Of more, the first of a page are soon found among the rows in order.
    """
    row = tx.row(
        f"SELECT COUNT(*) FROM (SELECT 1 FROM {table} WHERE {column} = ? LIMIT {FEW + 1}) few", (value,)
    )
    return row is None or row[0] <= FEW
