"""Types and contexts: from names to ids, storing what is new.

Types evolve as MLMD allows it: properties may be added, never changed or removed; a base type may be
given once. Every function works inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tidemill.errors import StoreError, did_you_mean
from tidemill.metadata.model import ArtifactType, Properties, PropertyType, TypeKind
from tidemill.metadata.sql.database import StoredType, Transaction
from tidemill.metadata.sql.properties import custom_rows, insert_properties
from tidemill.metadata.sql.schema import SYSTEM_TYPES

PIPELINE, RUN, NODE = "pipeline", "pipeline_run", "node"
"""Types of contexts, named as TFX names them."""

_ARTIFACT_BASES = tuple(name for name, kind in SYSTEM_TYPES if kind is TypeKind.ARTIFACT)


def find_types(tx: Transaction, kind: TypeKind, names: Iterable[str]) -> dict[str, StoredType]:
    """Stored types by name, without those that are not stored. Answers from memory where it can."""
    wanted = set(names)
    unknown = sorted(name for name in wanted if (kind, name) not in tx.types)
    read = _read_types(tx, kind, unknown) if unknown else {}
    for name, stored in read.items():
        tx.types[kind, name] = stored
    return {name: tx.types[kind, name] for name in wanted if (kind, name) in tx.types}


def ensure_type(tx: Transaction, kind: TypeKind, name: str) -> int:
    """Id of a type without declared properties, stored when it is new."""
    found = find_types(tx, kind, [name])
    if not found and lock_registry(tx):
        found = find_types(tx, kind, [name])
    return found[name].id if found else _insert_type(tx, kind, ArtifactType(name=name)).id


def register(tx: Transaction, declared: Iterable[ArtifactType]) -> None:
    """Store artifact types, or add what they declare to stored ones. StoreError on a contradiction.

    The caller has locked the registry.
    """
    types = list(declared)
    for new in types:
        if new.base_type and new.base_type not in _ARTIFACT_BASES:
            raise StoreError(
                f"artifact type {new.name!r} has the unknown base type {new.base_type!r}",
                hint=did_you_mean(new.base_type, _ARTIFACT_BASES),
            )
    names = [t.name for t in types]
    stored = _read_types(tx, TypeKind.ARTIFACT, names)  # not from memory: others may have added to them
    for new in types:
        if new.name in stored:
            stored[new.name] = _extend_type(tx, stored[new.name], new)
        else:
            stored[new.name] = _insert_type(tx, TypeKind.ARTIFACT, new)
        tx.types[TypeKind.ARTIFACT, new.name] = stored[new.name]


def artifact_type(tx: Transaction, name: str, properties: Iterable[str]) -> StoredType:
    """A registered artifact type that declares `properties`; StoreError when it does not."""
    stored = find_types(tx, TypeKind.ARTIFACT, [name]).get(name)
    if stored is not None and not all(p in stored.properties for p in properties):
        stored = _read_types(tx, TypeKind.ARTIFACT, [name])[name]  # another process may have added one
        tx.types[TypeKind.ARTIFACT, name] = stored
    if stored is None:
        known = [
            n for (n,) in tx.rows("SELECT name FROM Type WHERE type_kind = ?", (TypeKind.ARTIFACT.value,))
        ]
        raise StoreError(
            f"artifact type {name!r} is not registered in this store",
            hint=did_you_mean(name, (n for n in known if not n.startswith("mlmd."))),
        )
    return stored


def lock_registry(tx: Transaction) -> bool:
    """Be alone with what no rule of MLMD's keeps apart: types by name, and which runs there are.

    Whether that can have taken time, so that what was read before may be old.
    """
    return tx.lock("SELECT schema_version FROM tidemill_env")


def _read_types(tx: Transaction, kind: TypeKind, names: Iterable[str]) -> dict[str, StoredType]:
    """Types as stored now. MLMD's versioned types are others: only those without a version are ours."""
    rows = tx.rows_in(
        "SELECT t.id, t.name, b.name FROM Type t LEFT JOIN ParentType p ON p.type_id = t.id "
        "LEFT JOIN Type b ON b.id = p.parent_type_id "
        "WHERE t.version IS NULL AND t.type_kind = ? AND t.name IN ({ids})",
        names,
        [kind.value],
    )
    found = {name: StoredType(id, {}, (base or "").removeprefix("mlmd.")) for id, name, base in rows}
    by_id = {stored.id: stored for stored in found.values()}
    properties = tx.rows_in(
        "SELECT type_id, name, data_type FROM TypeProperty WHERE type_id IN ({ids})", by_id
    )
    for type_id, name, data_type in properties:
        by_id[type_id].properties[name] = PropertyType(data_type)
    return found


def _insert_type(tx: Transaction, kind: TypeKind, new: ArtifactType) -> StoredType:
    type_id = tx.insert("Type", "name, type_kind", (new.name, kind.value))
    stored = StoredType(type_id, {}, "")
    stored = _extend_type(tx, stored, new)
    tx.types[kind, new.name] = stored
    return stored


def _extend_type(tx: Transaction, stored: StoredType, new: ArtifactType) -> StoredType:
    """Add the properties and the base type that `stored` lacks."""
    for name, kind in new.properties.items():
        before = stored.properties.get(name, kind)
        if before != kind:
            raise StoreError(
                f"property {name!r} of artifact type {new.name!r} is {kind.name}, "
                f"but this store has it as {before.name}",
                hint="a stored type can gain properties, never change them: give the property another name",
            )
    if new.base_type and stored.base_type and new.base_type != stored.base_type:
        raise StoreError(
            f"artifact type {new.name!r} has base type {new.base_type}, but in this store {stored.base_type}",
            hint="a stored type cannot change its base type: give the type another name",
        )
    added = {name: kind for name, kind in new.properties.items() if name not in stored.properties}
    tx.insert_rows(
        "TypeProperty",
        "type_id, name, data_type",
        [(stored.id, name, kind.value) for name, kind in added.items()],
    )
    if new.base_type and not stored.base_type:
        base = find_types(tx, TypeKind.ARTIFACT, [f"mlmd.{new.base_type}"])[f"mlmd.{new.base_type}"]
        tx.insert_rows("ParentType", "type_id, parent_type_id", [(stored.id, base.id)])
    return StoredType(stored.id, {**stored.properties, **added}, stored.base_type or new.base_type)


def find_context(tx: Transaction, type: str, name: str) -> int:
    """Id of a context; 0 when there is none."""
    known = tx.contexts.get((type, name))
    if known is not None:
        return known
    row = tx.row(
        "SELECT c.id, c.name FROM Context c JOIN Type t ON t.id = c.type_id "
        "WHERE t.name = ? AND t.type_kind = ? AND t.version IS NULL AND c.name = ?",
        (type, TypeKind.CONTEXT.value, name),
    )
    if row is None:
        return 0
    if row[1] != name:
        raise StoreError(
            f"the name {name!r} cannot be told from {row[1]!r} in this database",
            where=tx.dialect.where,
            hint="its tables ignore case or trailing spaces: choose another name, or give them the "
            "collation utf8mb4_bin",
        )
    tx.contexts[type, name] = row[0]
    return int(row[0])


def ensure_context(tx: Transaction, type: str, name: str) -> int:
    """Id of a context, stored when it is new."""
    return find_context(tx, type, name) or add_context(tx, type, name, {})


def add_context(
    tx: Transaction, type: str, name: str, custom_properties: Properties, *, external_id: str | None = None
) -> int:
    """Store a new context; its id."""
    type_id = ensure_type(tx, TypeKind.CONTEXT, type)
    context_id = tx.insert(
        "Context",
        "type_id, name, external_id, create_time_since_epoch, last_update_time_since_epoch",
        (type_id, name, external_id, tx.now, tx.now),
    )
    insert_properties(tx, "Context", custom_rows(context_id, custom_properties))
    tx.contexts[type, name] = context_id
    return context_id


def node_name(pipeline: str, node_id: str) -> str:
    """Name of a node's context: TFX's `pipeline.node`."""
    return f"{pipeline}.{node_id}"


def declared_type(stored: Mapping[str, PropertyType], type_name: str, name: str) -> PropertyType:
    """How an artifact type declares a property; StoreError when it does not."""
    if name not in stored:
        raise StoreError(
            f"artifact type {type_name!r} declares no property {name!r}",
            hint=did_you_mean(name, stored) or "make it a custom property, or declare it on the type",
        )
    return stored[name]
