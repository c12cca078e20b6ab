"""Types of nodes: storing, evolving and reading them, by MLMD's rules.

A type is named by kind, name and version. A stored type gains properties when the caller says that it
may (`can_add_fields`), and need not be repeated in full when the caller says so (`can_omit_fields`);
nothing is ever retyped or removed. Its base type is one of MLMD's system types and is given once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tidemill.metadata.model import PropertyType
from tidemill.metadata.sql.database import Row, Transaction
from tidemill.metadata.sql.mlmd.kinds import CONTEXT, EXECUTION, Kind, Message
from tidemill.metadata.sql.mlmd.refusal import Refusal, Status, invalid, not_found
from tidemill.metadata.sql.names import lock_registry
from tidemill.metadata.sql.schema import SYSTEM_TYPES

_COLUMNS = "id, name, version, description, input_type, output_type, external_id"
_SIGNATURE = ("input_type", "output_type")


@dataclass(frozen=True, slots=True)
class NodeType:
    """What writing a node needs to know of its type."""

    name: str
    properties: dict[str, int]


class TypeMemory:
    """Types by kind and id, kept so that they are asked for once per process.

    Only transactions that store no types may use it, so that what it keeps is committed. A type can
    have gained properties since; `read_again` looks.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Kind, int], NodeType] = {}

    def get(self, tx: Transaction, kind: Kind, ids: Iterable[int]) -> dict[int, NodeType]:
        """Types by id, without those that are not stored."""
        wanted = set(ids)
        if unknown := [i for i in wanted if (kind, i) not in self._known]:
            self.read_again(tx, kind, unknown)
        return {i: self._known[kind, i] for i in wanted if (kind, i) in self._known}

    def read_again(self, tx: Transaction, kind: Kind, ids: Sequence[int]) -> None:
        """Read types as they are stored now."""
        rows = tx.rows_in(
            "SELECT id, name FROM Type WHERE type_kind = ? AND id IN ({ids})", ids, [kind.type_kind.value]
        )
        found = {type_id: NodeType(name, {}) for type_id, name in rows}
        for type_id, name, data_type in _properties(tx, found):
            found[type_id].properties[name] = data_type
        self._known |= {(kind, type_id): node_type for type_id, node_type in found.items()}


def put_types(
    tx: Transaction, kind: Kind, types: Sequence[Message], *, can_add: bool, can_omit: bool
) -> list[int]:
    """Store new types and evolve stored ones; their ids in the order given."""
    return [_put_type(tx, kind, new, can_add=can_add, can_omit=can_omit) for new in types]


def find_type(tx: Transaction, kind: Kind, name: str, version: str) -> int:
    """Id of a type; 0 when there is none. An empty version means the type without one."""
    condition, values = ("version = ?", [version]) if version else ("(version IS NULL OR version = '')", [])
    rows = tx.rows(
        f"SELECT id, name, version FROM Type WHERE type_kind = ? AND name = ? AND {condition} ORDER BY id",
        [kind.type_kind.value, name, *values],
    )
    # Some databases ignore case or trailing spaces.
    return next((row[0] for row in rows if (row[1], row[2] or "") == (name, version)), 0)


def fill_type(tx: Transaction, kind: Kind, name: str, version: str, out: Message) -> None:
    """Read one type by name and version into `out`; refused when there is none."""
    type_id = find_type(tx, kind, name, version)
    if not type_id:
        said = f", version {version!r}" if version else " without a version"
        raise not_found(f"No type found for query, name: `{name}`{said}, among {kind.name} types")
    _fill(tx, kind, _rows_by_id(tx, kind, [type_id]), iter([out]))


def fill_types_by_id(tx: Transaction, kind: Kind, ids: Iterable[int], out: Message) -> None:
    """Add the types with these ids to the repeated field `out`: in their order, and as often as there."""
    wanted = list(ids)
    rows = {row[0]: row for row in _rows_by_id(tx, kind, wanted)}
    first: dict[int, Message] = {}
    again: list[tuple[Message, int]] = []
    for type_id in wanted:
        if type_id in first:
            again.append((out.add(), type_id))
        elif type_id in rows:
            first[type_id] = out.add()
    _fill(tx, kind, [rows[i] for i in first], iter(first.values()))
    for message, type_id in again:
        message.CopyFrom(first[type_id])


def fill_all_types(tx: Transaction, kind: Kind, out: Message, *, system: bool = False) -> None:
    """Add every type of a kind to the repeated field `out`; MLMD's system types only if asked for."""
    rows = tx.rows(f"SELECT {_COLUMNS} FROM Type WHERE type_kind = ? ORDER BY id", [kind.type_kind.value])
    hidden = () if system or kind is CONTEXT else [f"mlmd.{name}" for name, _ in SYSTEM_TYPES]
    rows = [row for row in rows if row[1] not in hidden]
    _fill(tx, kind, rows, (out.add() for _ in rows))


def fill_types_by_external_ids(
    tx: Transaction, kind: Kind, external_ids: Sequence[str], out: Message
) -> None:
    """Add the types with these external ids to `out`; refused when one is empty or none is found."""
    if not external_ids:
        return
    if not all(external_ids):
        raise invalid("An external id is empty")
    rows = tx.rows_in(
        f"SELECT {_COLUMNS} FROM Type WHERE type_kind = ? AND external_id IN ({{ids}})",
        set(external_ids),
        [kind.type_kind.value],
    )
    if not rows:
        raise not_found("No types found for external_ids.")
    rows.sort()
    _fill(tx, kind, rows, (out.add() for _ in rows))


def _put_type(tx: Transaction, kind: Kind, new: Message, *, can_add: bool, can_omit: bool) -> int:
    type_id = find_type(tx, kind, new.name, new.version)
    if not type_id and lock_registry(tx):  # MLMD has no rule that a type is stored once
        type_id = find_type(tx, kind, new.name, new.version)
    if type_id:
        _evolve(tx, type_id, new, can_add=can_add, can_omit=can_omit)
    else:
        type_id = _insert(tx, kind, new)
    if new.HasField("base_type"):
        _set_base(tx, kind, type_id, new)
    return type_id


def _insert(tx: Transaction, kind: Kind, new: Message) -> int:
    if not new.name:
        raise invalid("No type name is specified.")
    values: dict[str, object] = {"name": new.name, "type_kind": kind.type_kind.value}
    for field in ("version", "description", "external_id"):
        if getattr(new, field):
            values[field] = getattr(new, field)
    if kind is EXECUTION:
        values |= {field: _to_json(getattr(new, field)) for field in _SIGNATURE if new.HasField(field)}
    type_id = tx.insert("Type", ", ".join(values), list(values.values()))
    _insert_properties(tx, type_id, dict(new.properties))
    return type_id


def _evolve(tx: Transaction, type_id: int, new: Message, *, can_add: bool, can_omit: bool) -> None:
    stored = {name: data_type for _, name, data_type in _properties(tx, [type_id])}
    given = dict(new.properties)
    for name in stored.keys() & given.keys():
        if stored[name] != given[name]:
            raise _conflict(new, f"property {name!r} is stored as {PropertyType(stored[name]).name}")
    if (omitted := stored.keys() - given.keys()) and not can_omit:
        raise _conflict(new, f"it omits {sorted(omitted)}; can_omit_fields=True allows that")
    added = {name: given[name] for name in given if name not in stored}
    if added and not can_add:
        raise _conflict(new, f"it adds {sorted(added)}; can_add_fields=True allows that")
    _insert_properties(tx, type_id, added)
    if new.external_id:
        tx.execute("UPDATE Type SET external_id = ? WHERE id = ?", (new.external_id, type_id))


def _conflict(new: Message, why: str) -> Refusal:
    what = f"Type already exists with different properties: {new.name!r}"
    return Refusal(Status.ALREADY_EXISTS, f"{what}: {why}")


def _insert_properties(tx: Transaction, type_id: int, properties: dict[str, int]) -> None:
    for name, data_type in properties.items():
        if data_type == PropertyType.UNKNOWN:
            raise invalid(f"Property {name} is UNKNOWN.")
    rows = [(type_id, name, data_type) for name, data_type in properties.items()]
    tx.insert_rows("TypeProperty", "type_id, name, data_type", rows)


def _set_base(tx: Transaction, kind: Kind, type_id: int, new: Message) -> None:
    bases = _base_names(new)
    if not new.base_type or new.base_type not in bases:
        raise Refusal(Status.UNIMPLEMENTED, "base_type deletion is not supported yet")
    wanted = find_type(tx, kind, bases[new.base_type], "")
    if wanted == type_id:
        raise invalid(f"There is a cycle detected of the given relationship: {new.name} is its own base type")
    row = tx.row("SELECT parent_type_id FROM ParentType WHERE type_id = ?", (type_id,))
    if row is None:
        tx.insert_rows("ParentType", "type_id, parent_type_id", [(type_id, wanted)])
    elif row[0] != wanted:
        raise Refusal(Status.UNIMPLEMENTED, "base_type update is not supported yet")


def _base_names(message: Message) -> dict[int, str]:
    """Number of a base type -> name of the system type: DATASET is `mlmd.Dataset`."""
    values = message.DESCRIPTOR.fields_by_name["base_type"].enum_type.values
    return {value.number: f"mlmd.{value.name.capitalize()}" for value in values if value.number}


def _rows_by_id(tx: Transaction, kind: Kind, ids: Iterable[int]) -> list[Row]:
    return tx.rows_in(
        f"SELECT {_COLUMNS} FROM Type WHERE type_kind = ? AND id IN ({{ids}})",
        set(ids),
        [kind.type_kind.value],
    )


def _properties(tx: Transaction, ids: Iterable[int]) -> list[Row]:
    return tx.rows_in("SELECT type_id, name, data_type FROM TypeProperty WHERE type_id IN ({ids})", ids)


def _fill(tx: Transaction, kind: Kind, rows: Sequence[Row], messages: Iterator[Message]) -> None:
    """Set one message per row, with properties and base type."""
    by_id: dict[int, Message] = {}
    for (type_id, name, version, description, *signature, external_id), out in zip(
        rows, messages, strict=True
    ):
        by_id[type_id] = out
        out.id, out.name = type_id, name
        for field, value in (
            ("version", version),
            ("description", description),
            ("external_id", external_id),
        ):
            if value is not None:
                setattr(out, field, value)
        if kind is EXECUTION:
            for field, text in zip(_SIGNATURE, signature, strict=True):
                if text:
                    _from_json(text, getattr(out, field))
    for type_id, name, data_type in _properties(tx, by_id):
        by_id[type_id].properties[name] = data_type
    parents = tx.rows_in(
        "SELECT p.type_id, t.name FROM ParentType p JOIN Type t ON t.id = p.parent_type_id "
        "WHERE p.type_id IN ({ids})",
        by_id,
    )
    for type_id, parent in parents:
        numbers = {name: number for number, name in _base_names(by_id[type_id]).items()}
        if parent in numbers:
            by_id[type_id].base_type = numbers[parent]


def _to_json(message: Message) -> str:
    from google.protobuf.json_format import MessageToDict

    return json.dumps(MessageToDict(message), separators=(",", ":"))


def _from_json(text: str, message: Message) -> None:
    from google.protobuf.json_format import Parse

    message.SetInParent()
    Parse(text, message)
