"""The fixed tables of names: what a filter may mention, and the tables and columns that stand behind it.

These are the attributes and 1-hop neighbours of MLMD's filter queries (metadata_store.proto,
`ListOperationOptions.filter_query`), with what its own tables have beyond them: `external_id` and `type_id`
of every neighbour. Nothing here comes from a query; every string may be put into SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from tidemill.metadata.filter.syntax import ValueType
from tidemill.metadata.model import ArtifactState, EventType, ExecutionState, TypeKind

TYPE_COLUMN = "type"
"""The one field that is no column of its row: the name of its type, found through `type_id`."""


@dataclass(frozen=True, slots=True)
class Column:
    """A field: its type, and the words that may stand for its integers."""

    value_type: ValueType
    names: type[IntEnum] | None = None


Columns = Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class Relation:
    """Neighbours of a node: rows of `table`, reached from the node's id through the `link` table.

    `here` is the column of `link` with the node's id and `there` the one with the neighbour's. Events
    are their own link: `there` is empty.
    """

    table: str
    link: str
    here: str
    there: str
    columns: Columns


_INT, _TEXT = Column(ValueType.INT), Column(ValueType.STRING)
_NODE: Columns = {
    "id": _INT,
    "type_id": _INT,
    TYPE_COLUMN: _TEXT,
    "name": _TEXT,
    "external_id": _TEXT,
    "create_time_since_epoch": _INT,
    "last_update_time_since_epoch": _INT,
}
_ARTIFACT: Columns = {**_NODE, "uri": _TEXT, "state": Column(ValueType.INT, ArtifactState)}
_EXECUTION: Columns = {**_NODE, "last_known_state": Column(ValueType.INT, ExecutionState)}
_EVENT: Columns = {"type": Column(ValueType.INT, EventType), "milliseconds_since_epoch": _INT}

TABLES: Mapping[TypeKind, str] = MappingProxyType(
    {TypeKind.ARTIFACT: "Artifact", TypeKind.EXECUTION: "Execution", TypeKind.CONTEXT: "Context"}
)
ATTRIBUTES: Mapping[TypeKind, Columns] = MappingProxyType(
    {TypeKind.ARTIFACT: _ARTIFACT, TypeKind.EXECUTION: _EXECUTION, TypeKind.CONTEXT: _NODE}
)
RELATIONS: Mapping[TypeKind, Mapping[str, Relation]] = MappingProxyType(
    {
        TypeKind.ARTIFACT: {
            "contexts": Relation("Context", "Attribution", "artifact_id", "context_id", _NODE),
            "events": Relation("Event", "Event", "artifact_id", "", {**_EVENT, "execution_id": _INT}),
        },
        TypeKind.EXECUTION: {
            "contexts": Relation("Context", "Association", "execution_id", "context_id", _NODE),
            "events": Relation("Event", "Event", "execution_id", "", {**_EVENT, "artifact_id": _INT}),
        },
        TypeKind.CONTEXT: {
            "artifacts": Relation("Artifact", "Attribution", "context_id", "artifact_id", _ARTIFACT),
            "executions": Relation("Execution", "Association", "context_id", "execution_id", _EXECUTION),
            "parent_contexts": Relation("Context", "ParentContext", "context_id", "parent_context_id", _NODE),
            "child_contexts": Relation("Context", "ParentContext", "parent_context_id", "context_id", _NODE),
        },
    }
)
"""Kind of node -> the part of a neighbour's name before its alias -> where it is."""

PROPERTY_VALUES: Columns = MappingProxyType(
    {
        "int_value": _INT,
        "double_value": Column(ValueType.DOUBLE),
        "string_value": _TEXT,
        "bool_value": Column(ValueType.BOOL),
    }
)
PROPERTIES: Mapping[str, bool] = MappingProxyType({"properties": False, "custom_properties": True})
"""First part of a property's name -> whether it is a custom one."""
