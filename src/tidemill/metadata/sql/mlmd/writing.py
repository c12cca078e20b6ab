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
from operator import itemgetter

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
    before: tuple[object, ...]
    """Values of Kind.fields."""
    properties: dict[PropertyKey, values.Columns] = field(default_factory=dict)
    after: tuple[object, ...] = ()
    wanted: dict[PropertyKey, values.Columns] = field(default_factory=dict)
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
    types = _types_of(tx, memory, kind, [(node, node.type_id) for node in nodes])
    if kind is CONTEXT and not all(node.name for node in nodes):
        raise invalid("Context name should not be empty")
    ids = tx.insert_counted(kind.table, kind.insertion, rows)
    if len(nodes) < _WORTHWHILE:
        properties: list[values.Row] = []
        for node_id, node in zip(ids, nodes, strict=True):
            values.add_rows(properties, node_id, node.properties, types[node.type_id].properties)
            values.add_rows(properties, node_id, node.custom_properties, None)
        _insert_properties(tx, kind, properties)
        return ids
    groups: values.Groups = {}
    for node_id, node in zip(ids, nodes, strict=True):
        values.group(groups, node_id, node.properties, types[node.type_id].properties)
        values.group(groups, node_id, node.custom_properties, None)
    _insert_groups(tx, kind, groups)
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
    types = _types_of(tx, memory, kind, [(node, stored[node.id].type_id) for node in nodes])
    keys = _masked_keys(mask)
    for node in nodes:
        declared = types[stored[node.id].type_id].properties
        for name in node.properties:
            if _covers(keys, (name, False)):
                values.check_declared(name, node.properties[name], declared)
    for node in nodes:
        _apply(kind, node, stored[node.id], types[stored[node.id].type_id], mask, keys, force=force)
    _write(tx, kind, stored)


def _apply(
    kind: Kind, node: Message, stored: _Stored, node_type: NodeType, mask: Sequence[str], keys: _Keys, *,
    force: bool,
) -> None:  # fmt: skip
    """Work out what the node shall be; `keys` are the properties that `mask` names."""
    after = given = _fields(kind, node, kind.fields)
    wanted = _columns_of(node, keys)
    if mask:
        fields = zip(kind.fields, given, stored.after, strict=True)
        after = tuple(new if name in mask else old for name, new, old in fields)
        wanted = {k: v for k, v in stored.wanted.items() if not _covers(keys, k)} | wanted
    if kind is CONTEXT and not after[0]:
        raise invalid("Context name should not be empty")
    name = node.name if node.HasField("name") else None
    same = (
        not force
        and given == stored.after
        and wanted == stored.wanted
        and (name == stored.name or kind is CONTEXT)
        and node.HasField("type")
        and node.type == node_type.name
        and not node.HasField("system_metadata")
    )
    stored.touched |= not same
    stored.after, stored.wanted = after, wanted


def _write(tx: Transaction, kind: Kind, stored: Mapping[int, _Stored]) -> None:
    gone: list[tuple[int, str, bool]] = []
    made: list[values.Row] = []
    alike: dict[tuple[tuple[str, object], ...], list[int]] = defaultdict(list)
    for node_id, node in stored.items():
        if not node.touched:
            continue
        time = max(tx.now, node.time + 1)  # later than what any reader has seen
        # What is the same stays out of the statement: writing it would write its indexes too.
        pairs = zip(kind.fields, node.before, node.after, strict=True)
        changed = tuple((name, new) for name, old, new in pairs if new != old)
        alike[(*changed, (TIMES[1], time))].append(node_id)
        if node.properties is node.wanted:
            continue
        for key in node.properties.keys() | node.wanted.keys():
            if node.properties.get(key) != node.wanted.get(key):
                gone += [(node_id, *key)] if key in node.properties else []
                made += [(node_id, *key, *node.wanted[key])] if key in node.wanted else []
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
    found = {i: _Stored(type_id, name, time, tuple(rest)) for i, type_id, name, time, *rest in rows}
    properties = tx.rows_in(
        f"SELECT {kind.owner}, name, is_custom_property, {values.COLUMNS} "
        f"FROM {kind.table}Property WHERE {kind.owner} IN ({{ids}})",
        found,
    )
    for node_id, name, custom, whole, real, text, proto, truth in properties:
        encoded = proto.encode() if isinstance(proto, str) else proto
        found[node_id].properties[name, bool(custom)] = (
            whole, real, text, encoded, None if truth is None else bool(truth)
        )  # fmt: skip
    for node in found.values():
        node.after, node.wanted = node.before, node.properties
    return found


def _types_of(
    tx: Transaction, memory: TypeMemory, kind: Kind, nodes: Sequence[tuple[Message, int]]
) -> dict[int, NodeType]:
    """Types of nodes by id, as new as the nodes need them; refused when one is not stored."""
    type_ids = {type_id for _, type_id in nodes}
    types = memory.get(tx, kind, type_ids)
    if missing := type_ids - types.keys():
        raise not_found(f"Cannot find type for {kind.name}: there is no type_id {min(missing)}")
    if any(not types[type_id].properties.keys() >= set(node.properties) for node, type_id in nodes):
        memory.read_again(tx, kind, sorted(type_ids))  # another process may have added some
        types = memory.get(tx, kind, type_ids)
    return types


def _fields(kind: Kind, node: Message, names: Sequence[str]) -> tuple[object, ...]:
    """Values of Kind.fields, or Kind.given; an unset field is NULL, but a uri is never."""
    fields = [getattr(node, name) if node.HasField(name) else None for name in names]
    if kind is ARTIFACT and fields[0] is None:
        fields[0] = ""
    return tuple(fields)


def _columns_of(node: Message, keys: _Keys = None) -> dict[PropertyKey, values.Columns]:
    """The node's properties, as far as `keys` cover them."""
    found = {}
    for custom, properties in ((False, node.properties), (True, node.custom_properties)):
        for name in properties:
            if _covers(keys, (name, custom)):
                found[name, custom] = values.to_columns(name, properties[name])
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


def _insert_properties(tx: Transaction, kind: Kind, rows: list[values.Row]) -> None:
    """Store property rows, in the order of the indexes on their values: that costs a third less."""
    if not rows:
        return
    _check_finite(tx, (row[4] for row in rows))
    rows.sort(key=itemgetter(1, 2))
    tx.insert_rows(f"{kind.table}Property", f"{kind.owner}, name, is_custom_property, {values.COLUMNS}", rows)


def _insert_groups(tx: Transaction, kind: Kind, groups: values.Groups) -> None:
    """Store new properties: of many nodes group by group, which takes the database half the time."""
    if sum(map(len, groups.values())) < 2 * _WORTHWHILE * len(groups):
        _insert_properties(tx, kind, values.rows_of(groups))
        return
    for (name, custom, column), pairs in groups.items():
        _check_finite(tx, pairs[1::2] if column == "double_value" else ())
        columns = f"name, is_custom_property, {kind.owner}, {column}"
        tx.insert_alike(f"{kind.table}Property", columns, (name, custom), pairs)


def _check_finite(tx: Transaction, numbers: Iterable[float | None]) -> None:
    if not tx.dialect.keeps_infinity and any(number in (inf, -inf) for number in numbers):
        raise invalid("A property is infinite, which this database cannot keep: store it as text")
