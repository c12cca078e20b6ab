"""Nodes and events back into messages: by id, by name, by uri, by external id, by context.

Each question costs a fixed number of queries, but for long lists of ids, which are cut at the database's
limit on parameters. Nodes come in the order of their ids unless a list says otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from tidemill.metadata.sql import dialect
from tidemill.metadata.sql.database import Row, Transaction
from tidemill.metadata.sql.mlmd import wire
from tidemill.metadata.sql.mlmd.kinds import CONTEXT, Kind, Message
from tidemill.metadata.sql.mlmd.refusal import invalid, not_found
from tidemill.metadata.sql.mlmd.types import TypeMemory
from tidemill.metadata.sql.properties import property_rows


def fill_nodes(tx: Transaction, memory: TypeMemory, kind: Kind, ids: Sequence[int], out: Message) -> set[int]:
    """Add the nodes with these ids, without those that are not stored, to the repeated field `out`.

    They come in the order of `ids`, each once. The ids of their types.
    """
    wanted = list(dict.fromkeys(ids))
    rows = tx.rows_in(f"SELECT {kind.shown} FROM {kind.table} WHERE id IN ({{ids}}) ORDER BY id", wanted)
    if wanted != [row[0] for row in rows]:  # asked for in another order, in portions, or not all there
        found = {row[0]: row for row in rows}
        rows = [found[node_id] for node_id in wanted if node_id in found]
    type_ids = {row[1] for row in rows}
    types = memory.get(tx, kind, type_ids)
    nodes = dict[int, Message]()
    for node_id, type_id, name, external_id, created, updated, state, *uri in rows:
        node = nodes[node_id] = out.add()
        node.id = node_id
        node.type_id = type_id
        node.type = types[type_id].name
        node.create_time_since_epoch = created
        node.last_update_time_since_epoch = updated
        if name is not None:
            node.name = name
        if external_id is not None:
            node.external_id = external_id
        if state is not None:
            setattr(node, kind.state, state)
        if uri and uri[0] is not None:
            node.uri = uri[0]
    wire.fill_properties(nodes, property_rows(tx, kind.table, nodes))
    return type_ids


def fill_by_ids(tx: Transaction, memory: TypeMemory, kind: Kind, ids: Iterable[int], out: Message) -> None:
    """Like fill_nodes, in the order of the ids themselves, which is what MLMD's calls by id do."""
    fill_nodes(tx, memory, kind, sorted(set(ids)), out)


def fill_one(tx: Transaction, memory: TypeMemory, kind: Kind, node_id: int, out: Message) -> None:
    """Set `out`, which is no list, to one stored node."""
    fill_nodes(tx, memory, kind, [node_id], _Single(out))


def ids_of_type(tx: Transaction, kind: Kind, type_id: int) -> list[int]:
    """Ids of the nodes of a type."""
    return [i for (i,) in tx.rows(f"SELECT id FROM {kind.table} WHERE type_id = ? ORDER BY id", [type_id])]


def ids_in_context(tx: Transaction, kind: Kind, context_id: int) -> list[int]:
    """Ids of the artifacts or executions of a context."""
    sql = f"SELECT {kind.owner} FROM {kind.link} WHERE context_id = ? ORDER BY {kind.owner}"
    return [i for (i,) in tx.rows(sql, [context_id])]


def id_by_name(tx: Transaction, kind: Kind, type_id: int, name: str) -> int:
    """Id of the node of a type with this name; 0 when there is none."""
    row = tx.row(f"SELECT id, name FROM {kind.table} WHERE type_id = ? AND name = ?", (type_id, name))
    return int(row[0]) if row and row[1] == name else 0  # some databases ignore case


def ids_by_names(tx: Transaction, kind: Kind, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """(type id, name) -> id, for those that are stored."""
    found: dict[tuple[int, str], int] = {}
    step = dialect.MOST_PARAMETERS // 4  # databases limit the depth of a condition too
    for start in range(0, len(keys), step):
        part = keys[start : start + step]
        condition = " OR ".join(["(type_id = ? AND name = ?)"] * len(part))
        sql = f"SELECT type_id, name, id FROM {kind.table} WHERE {condition}"
        rows = tx.rows(sql, [value for key in part for value in key])
        found |= {(type_id, name): node_id for type_id, name, node_id in rows}
    return found  # some databases ignore case; whoever asks looks for the very name


def ids_by_uris(tx: Transaction, uris: Iterable[str]) -> list[int]:
    """Ids of the artifacts with any of these uris."""
    wanted = set(uris)
    rows = tx.rows_in("SELECT id, uri FROM Artifact WHERE uri IN ({ids})", wanted)
    return [i for i, uri in rows if uri in wanted]  # some databases ignore case


def ids_by_external_ids(tx: Transaction, kind: Kind, external_ids: Sequence[str]) -> dict[str, int]:
    """External id -> id, for those that are stored."""
    wanted = set(external_ids)
    rows = tx.rows_in(f"SELECT external_id, id FROM {kind.table} WHERE external_id IN ({{ids}})", wanted)
    return {external_id: i for external_id, i in rows if external_id in wanted}


def require_external_ids(tx: Transaction, kind: Kind, external_ids: Sequence[str]) -> list[int]:
    """Ids of the nodes with these external ids; refused when one is empty or none is found."""
    if not external_ids:
        return []
    if not all(external_ids):
        raise invalid("Invalid argument because at least one empty external_id exists.")
    found = ids_by_external_ids(tx, kind, external_ids)
    if not found:
        raise not_found(f"No {kind.plural} found for external_ids.")
    return list(found.values())


def links_of(tx: Transaction, kind: Kind, node_ids: Iterable[int]) -> list[Row]:
    """(node id, context id) of the nodes' attributions or associations, sorted."""
    sql = f"SELECT {kind.owner}, context_id FROM {kind.link} WHERE {kind.owner} IN ({{ids}})"
    return sorted(tx.rows_in(sql, set(node_ids)))


def parents_of(tx: Transaction, context_ids: Iterable[int]) -> list[Row]:
    """(child, parent) for every parent of these contexts."""
    return tx.rows_in(
        "SELECT context_id, parent_context_id FROM ParentContext WHERE context_id IN ({ids})",
        set(context_ids),
    )


def children_of(tx: Transaction, context_ids: Iterable[int]) -> list[Row]:
    """(child, parent) for every child of these contexts."""
    return tx.rows_in(
        "SELECT context_id, parent_context_id FROM ParentContext WHERE parent_context_id IN ({ids})",
        set(context_ids),
    )


def fill_linked_contexts(
    tx: Transaction, memory: TypeMemory, pairs: Sequence[Row], answer: Message, field: str, *, parents: bool
) -> None:
    """Group the contexts at one end of (child, parent) pairs by the id at the other end.

    `answer` is a map of ids to messages whose repeated `field` takes the contexts.
    """
    groups: dict[int, list[int]] = defaultdict(list)
    for child, parent in sorted(pairs):
        key, linked = (child, parent) if parents else (parent, child)
        groups[key].append(linked)
    for key, linked_ids in groups.items():
        fill_by_ids(tx, memory, CONTEXT, linked_ids, getattr(answer[key], field))


def fill_events(tx: Transaction, rows: Sequence[Row], out: Message) -> None:
    """Add events with their paths to the repeated field `out`."""
    by_id = dict[int, Message]()
    for event_id, artifact_id, execution_id, kind, time in rows:
        event = by_id[event_id] = out.add()
        event.artifact_id = artifact_id
        event.execution_id = execution_id
        event.type = kind
        if time is not None:
            event.milliseconds_since_epoch = time
    steps = tx.rows_in(
        "SELECT event_id, is_index_step, step_index, step_key FROM EventPath "
        f"WHERE event_id IN ({{ids}}) {tx.dialect.path_order}",
        by_id,
    )
    for event_id, is_index, index, key in steps:
        if is_index:
            by_id[event_id].path.steps.add(index=index)
        else:
            by_id[event_id].path.steps.add(key=key)


class _Single:
    """A message in the place of a repeated field."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def add(self, **fields: object) -> Message:
        """The message, with its fields set."""
        self._message.MergeFrom(type(self._message)(**fields))
        return self._message
