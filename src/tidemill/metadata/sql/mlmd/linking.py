"""What connects nodes: events, attributions and associations, parent contexts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.mlmd import reading
from tidemill.metadata.sql.mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, Kind, Message
from tidemill.metadata.sql.mlmd.refusal import invalid

Edge = tuple[int, int, Message]
"""(artifact id, execution id, the event), for an event whose own ids may be unset."""
_NO_TYPE = "No event type is specified."


def put_events(tx: Transaction, events: Sequence[Message]) -> None:
    """Store events, after looking that both ends are stored. A second event of the same type between
    the same nodes contradicts the first."""
    edges = []
    for event in events:
        for name in ("artifact", "execution"):
            if not event.HasField(f"{name}_id"):
                raise invalid(f"No {name} id is specified.")
        edges.append((event.artifact_id, event.execution_id, event))
    if not all(event.type for event in events):
        raise invalid(_NO_TYPE)
    _require(tx, ARTIFACT, (a for a, _, _ in edges), "No artifact with the given id {}")
    _require(tx, EXECUTION, (e for _, e, _ in edges), "No execution with the given id {}")
    add_events(tx, edges)


def add_events(tx: Transaction, edges: Sequence[Edge]) -> None:
    """Store events between nodes that need no check."""
    rows = []
    for artifact_id, execution_id, event in edges:
        kind = event.type
        if not kind:
            raise invalid(_NO_TYPE)
        time = event.milliseconds_since_epoch if event.HasField("milliseconds_since_epoch") else tx.now
        rows.append((artifact_id, execution_id, kind, time))
    ids = tx.insert_counted("Event", "artifact_id, execution_id, type, milliseconds_since_epoch", rows)
    steps: list[tuple[int, bool, int | None, str | None]] = []
    for event_id, (_, _, event) in zip(ids, edges, strict=True):
        for step in event.path.steps if event.HasField("path") else ():
            if step.HasField("index"):
                steps.append((event_id, True, step.index, None))
            elif step.HasField("key"):
                steps.append((event_id, False, None, step.key))
    tx.insert_rows("EventPath", "event_id, is_index_step, step_index, step_key", steps)


def has_event(tx: Transaction, events: Sequence[Message]) -> bool:
    """Whether the first of these events is stored."""
    return any(
        tx.row(
            "SELECT id FROM Event WHERE artifact_id = ? AND execution_id = ? AND type = ?",
            (event.artifact_id, event.execution_id, event.type),
        )
        for event in events[:1]
    )


def has_parent(tx: Transaction, parents: Sequence[Message]) -> bool:
    """Whether the first of these relations is stored."""
    return any(
        (pair.child_id, pair.parent_id) in reading.parents_of(tx, [pair.child_id]) for pair in parents[:1]
    )


def put_links(tx: Transaction, kind: Kind, links: Sequence[Message]) -> None:
    """Put nodes into contexts, after looking that both are stored; what is there already stays."""
    pairs = [(link.context_id, getattr(link, kind.owner)) for link in links]
    _require(tx, CONTEXT, (c for c, _ in pairs), "Context id not found: {}")
    _require(tx, kind, (n for _, n in pairs), kind.name.capitalize() + " id not found: {}")
    add_links(tx, kind, pairs)


def add_links(tx: Transaction, kind: Kind, pairs: Iterable[tuple[int, int]]) -> None:
    """Store (context id, node id) pairs that are not stored yet."""
    tx.insert_missing(kind.link, kind.link_columns, sorted(set(pairs)))


def put_parents(tx: Transaction, parents: Sequence[Message]) -> None:
    """Make contexts the parents of others; refused when that would close a circle."""
    for pair in parents:
        if not pair.HasField("parent_id") or not pair.HasField("child_id"):
            raise invalid("Missing parent / child id in the parent_context")
    ids = {i for pair in parents for i in (pair.parent_id, pair.child_id)}
    _require(tx, CONTEXT, ids, "Given parent / child id in the parent_context cannot be found: {}")
    known = _ancestry(tx, {pair.parent_id for pair in parents})
    for pair in parents:
        if pair.child_id in _above(known, pair.parent_id):
            raise invalid(
                f"There is a cycle detected of the given relationship: context {pair.child_id} is "
                f"context {pair.parent_id} or above it"
            )
        known[pair.child_id].add(pair.parent_id)
    rows = [(pair.child_id, pair.parent_id) for pair in parents]
    tx.insert_rows("ParentContext", "context_id, parent_context_id", rows)


def _ancestry(tx: Transaction, context_ids: set[int]) -> dict[int, set[int]]:
    """Child -> parents, for these contexts and all above them."""
    found: dict[int, set[int]] = defaultdict(set)
    level, seen = set(context_ids), set[int]()
    while level:
        seen |= level
        for child, parent in reading.parents_of(tx, level):
            found[child].add(parent)
        level = {parent for child in level for parent in found[child]} - seen
    return found


def _above(parents: dict[int, set[int]], start: int) -> set[int]:
    """`start` and every context above it."""
    found, pending = {start}, [start]
    while pending:
        fresh = parents[pending.pop()] - found
        found |= fresh
        pending += fresh
    return found


def _require(tx: Transaction, kind: Kind, ids: Iterable[int], message: str) -> None:
    """Refuse ids that are not stored."""
    wanted = set(ids)
    found = {i for (i,) in tx.rows_in(f"SELECT id FROM {kind.table} WHERE id IN ({{ids}})", wanted)}
    if missing := sorted(wanted - found):
        raise invalid(message.format(missing[0]))
