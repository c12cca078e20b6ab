"""Nodes from messages into rows: new ones in batches, stored ones by MLMD's rules of update.

An update names a stored node by id. It replaces what an update may set (kinds.Kind.fields) and all
properties; with a mask, only what the mask names. The type and, but for contexts, the name stay as they
are. The update time changes when anything in the message differs from what is stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import inf

from tidemill.metadata.sql import dialect
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.mlmd import values
from tidemill.metadata.sql.mlmd.kinds import ARTIFACT, CONTEXT, TIMES, Kind, Message
from tidemill.metadata.sql.mlmd.refusal import Refusal, Status, invalid, not_found
from tidemill.metadata.sql.mlmd.types import NodeType, TypeMemory

PropertyKey = tuple[str, bool]
"""(name, whether it is custom)."""
_WORTHWHILE = 32
"""Rows of a group on average, from which on each group gets statements of its own."""
_Keys = set[PropertyKey] | None
"""The properties that a masked update may touch; None means all."""


@dataclass(slots=True)
class _Stored:
    """A node as the database has it, and as it shall be."""

    type_id: int
    name: str | None
    time: int
    before: list[object]
    """Values of Kind.fields."""
    after: list[object]
    properties: dict[PropertyKey, values.Stored] = field(default_factory=dict)
    wanted: dict[PropertyKey, values.Stored] = field(default_factory=dict)
    touched: bool = False


def put_nodes(
    tx: Transaction, memory: TypeMemory, kind: Kind, nodes: Sequence[Message], *,
    mask: Sequence[str] = (), abort_if_changed: bool = False, force_update_time: bool = False,
) -> list[int]:  # fmt: skip
    """Store nodes without an id and update those with one, in the order given, which is that of the ids.

    As in MLMD, one may update a node that was stored before it in the same call.
    """
    ids: list[int] = []
    for known, alike in groupby(nodes, key=lambda node: bool(node.HasField("id"))):
        part = list(alike)
        if known:
            _update(tx, memory, kind, part, mask, abort_if_changed=abort_if_changed, force=force_update_time)
            ids += [node.id for node in part]
        else:
            ids += _insert(tx, memory, kind, part)
    return ids


def is_stored(tx: Transaction, kind: Kind, node_id: int) -> bool:
    """Whether there is a node with this id."""
    return tx.row(f"SELECT id FROM {kind.table} WHERE id = ?", (node_id,)) is not None


def _insert(tx: Transaction, memory: TypeMemory, kind: Kind, nodes: Sequence[Message]) -> list[int]:
    rows = []
    for node in nodes:
        if not node.HasField("type_id"):
            raise invalid(f"Type id is missing. Each new {kind.name} must have the id of its type")
        rows.append((node.type_id, *_fields(kind, node, kind.given), tx.now, tx.now))
    type_ids = [row[0] for row in rows]
    types = _types(tx, memory, kind, type_ids)
    if kind is CONTEXT and not all(node.name for node in nodes):
        raise invalid("Context name should not be empty")
    try:
        ids = tx.insert_counted(kind.table, kind.insertion, rows)
    except tx.dialect.errors:
        # Of a name that is taken and a wrong property, MLMD tells the property: it looks at that first.
        values.group({}, 0, nodes[0].properties, types[type_ids[0]].properties)
        values.group({}, 0, nodes[0].custom_properties, None)
        raise

    def grouped(types: Mapping[int, NodeType]) -> values.Groups:
        groups: values.Groups = {}
        for node_id, node, type_id in zip(ids, nodes, type_ids, strict=True):
            values.group(groups, node_id, node.properties, types[type_id].properties)
            values.group(groups, node_id, node.custom_properties, None)
        return groups

    try:
        groups = grouped(types)
    except Refusal:
        groups = grouped(_types(tx, memory, kind, type_ids, again=True))
    _insert_properties(tx, kind, groups)
    return ids


def _update(
    tx: Transaction, memory: TypeMemory, kind: Kind, nodes: Sequence[Message], mask: Sequence[str], *,
    abort_if_changed: bool, force: bool,
) -> None:  # fmt: skip
    stored = _read(tx, kind, [node.id for node in nodes])
    for node in nodes:
        found = stored.get(node.id)
        if found is None:
            raise invalid(f"Cannot find the given id {node.id}: there is no such {kind.name}")
        if node.HasField("type_id") and node.type_id != found.type_id:
            raise invalid(f"Given type_id {node.type_id} is different from the one known: {found.type_id}")
        if abort_if_changed and node.last_update_time_since_epoch != found.time:
            raise Refusal(
                Status.FAILED_PRECONDITION,
                f"abort_if_latest_updated_time_changed: {kind.name} {node.id} was updated at {found.time}, "
                f"not at {node.last_update_time_since_epoch}",
            )
    type_ids = [node.type_id for node in stored.values()]
    types = _types(tx, memory, kind, type_ids)
    keys = _masked_keys(mask)

    def wanted(types: Mapping[int, NodeType]) -> list[dict[PropertyKey, values.Stored]]:
        return [_wanted(node, types[stored[node.id].type_id].properties, keys) for node in nodes]

    try:
        properties = wanted(types)
    except Refusal:
        types = _types(tx, memory, kind, type_ids, again=True)
        properties = wanted(types)
    for node, own in zip(nodes, properties, strict=True):
        found = stored[node.id]
        _apply(kind, node, found, types[found.type_id], own, mask, keys, force=force)
    _write(tx, kind, stored)


def _apply(
    kind: Kind, node: Message, stored: _Stored, node_type: NodeType,
    wanted: dict[PropertyKey, values.Stored], mask: Sequence[str], keys: _Keys, *, force: bool,
) -> None:  # fmt: skip
    """Work out what the node shall be; `keys` are the properties that `mask` names."""
    after = given = _fields(kind, node, kind.fields)
    if mask:
        fields = zip(kind.fields, given, stored.after, strict=True)
        after = [new if name in mask else old for name, new, old in fields]
        wanted = {k: v for k, v in stored.wanted.items() if not _covers(keys, k)} | wanted
    if kind is CONTEXT and not after[0]:
        raise invalid("Context name should not be empty")
    same = (
        not force
        and node.HasField("type")
        and node.type == node_type.name
        and given == stored.after
        and wanted == stored.wanted
        and (kind is CONTEXT or (node.name if node.HasField("name") else None) == stored.name)
        and not node.HasField("system_metadata")
    )
    stored.touched |= not same
    stored.after, stored.wanted = after, wanted


def _write(tx: Transaction, kind: Kind, stored: Mapping[int, _Stored]) -> None:
    gone: list[tuple[int, str, bool]] = []
    made: values.Groups = {}
    alike: dict[tuple[tuple[str, object], ...], list[int]] = defaultdict(list)
    for node_id, node in stored.items():
        if not node.touched:
            continue
        time = max(tx.now, node.time + 1)  # later than what any reader has seen
        changed: list[tuple[str, object]] = []
        if node.after != node.before:
            # What is the same stays out of the statement: writing it would write its indexes too.
            pairs = zip(kind.fields, node.before, node.after, strict=True)
            changed = [(name, new) for name, old, new in pairs if new != old]
        alike[(*changed, (TIMES[1], time))].append(node_id)
        if node.properties == node.wanted:
            continue
        for key in node.properties.keys() | node.wanted.keys():
            if node.properties.get(key) != node.wanted.get(key):
                gone += [(node_id, *key)] if key in node.properties else []
                if key in node.wanted:
                    column, value = node.wanted[key]
                    made.setdefault((*key, column), []).extend((node_id, value))
    for changes, ids in alike.items():
        assignments = ", ".join(f"{name} = ?" for name, _ in changes)
        values_set = [value for _, value in changes]
        tx.change_in(f"UPDATE {kind.table} SET {assignments} WHERE id IN ({{ids}})", ids, values_set)
    step = dialect.MOST_PARAMETERS // 3
    for start in range(0, len(gone), step):
        part = gone[start : start + step]
        one = f"({kind.owner} = ? AND name = ? AND is_custom_property = ?)"
        tx.execute(
            f"DELETE FROM {kind.table}Property WHERE {' OR '.join([one] * len(part))}",
            [value for key in part for value in key],
        )
    _insert_properties(tx, kind, made)


def _read(tx: Transaction, kind: Kind, ids: Iterable[int]) -> dict[int, _Stored]:
    rows = tx.rows_in(f"SELECT {kind.stored} FROM {kind.table} WHERE id IN ({{ids}})", set(ids))
    found = {i: _Stored(type_id, name, time, rest, rest) for i, type_id, name, time, *rest in rows}
    properties = tx.rows_in(
        f"SELECT {kind.owner}, name, is_custom_property, {values.COLUMNS} "
        f"FROM {kind.table}Property WHERE {kind.owner} IN ({{ids}})",
        found,
    )
    for node_id, name, custom, *columns in properties:
        found[node_id].properties[name, bool(custom)] = values.stored_in(columns)
    for node in found.values():
        node.wanted = node.properties
    return found


def _types(
    tx: Transaction, memory: TypeMemory, kind: Kind, type_ids: Iterable[int], *, again: bool = False
) -> dict[int, NodeType]:
    """Types by id, read `again` where another process may have added properties; refused when one is not
    stored."""
    wanted = set(type_ids)
    if again:
        memory.read_again(tx, kind, sorted(wanted))
    types = memory.get(tx, kind, wanted)
    if len(types) < len(wanted):
        missing = min(wanted - types.keys())
        raise not_found(f"Cannot find type for {kind.name}: there is no type_id {missing}")
    return types


def _fields(kind: Kind, node: Message, names: Sequence[str]) -> list[object]:
    """Values of Kind.fields, or Kind.given; an unset field is NULL, but a uri is never."""
    fields = [getattr(node, name) if node.HasField(name) else None for name in names]
    if kind is ARTIFACT and fields[0] is None:
        fields[0] = ""
    return fields


def _wanted(
    node: Message, declared: Mapping[str, int], keys: _Keys = None
) -> dict[PropertyKey, values.Stored]:
    """The node's properties, as far as `keys` cover them."""
    found = {}
    for custom, properties in ((False, node.properties), (True, node.custom_properties)):
        for name in properties:
            if _covers(keys, (name, custom)):
                value = properties[name]
                if not custom:
                    values.check_declared(name, value, declared)
                found[name, custom] = values.to_stored(name, value)
    return found


def _masked_keys(mask: Sequence[str]) -> _Keys:
    """Properties that a mask names; ("", False) and ("", True) stand for all declared and all custom ones.

    A mask path is `properties`, `properties.NAME`, `custom_properties` or `custom_properties.NAME`; paths
    that name a field are somebody else's. None without a mask.
    """
    if not mask:
        return None
    found: set[PropertyKey] = set()
    for path in mask:
        for prefix, custom in (("properties", False), ("custom_properties", True)):
            if path == prefix:
                found.add(("", custom))
            elif path.startswith(f"{prefix}."):
                found.add((path.removeprefix(f"{prefix}."), custom))
    return found


def _covers(keys: _Keys, key: PropertyKey) -> bool:
    return keys is None or key in keys or ("", key[1]) in keys


def _insert_properties(tx: Transaction, kind: Kind, groups: values.Groups) -> None:
    """Store new properties, in the order of the indexes on their values: that costs a third less.

    Of many nodes group by group, which takes the database half the time.
    """
    if not groups:
        return
    for (_, _, column), pairs in groups.items():
        if column == "double_value":
            _check_finite(tx, pairs[1::2])
    table, key = f"{kind.table}Property", "name, is_custom_property"
    if sum(map(len, groups.values())) < 2 * _WORTHWHILE * len(groups):
        columns, rows = values.rows_of(groups)
        tx.insert_rows(table, ", ".join((kind.owner, key, *columns)), rows)
        return
    for (name, custom, column), pairs in groups.items():
        tx.insert_alike(table, f"{key}, {kind.owner}, {column}", (name, custom), pairs)


def _check_finite(tx: Transaction, numbers: Iterable[float | None]) -> None:
    if not tx.dialect.keeps_infinity and any(number in (inf, -inf) for number in numbers):
        raise invalid("A property is infinite, which this database cannot keep: store it as text")
