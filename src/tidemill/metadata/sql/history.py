"""ML Metadata's schema as it was in each of its versions, 0 to 10, told as what came when.

Facts, taken from google/ml-metadata, ml_metadata/util/metadata_source_query_config.cc (migration_schemes).
Releases and their version: 0.13.2 has 0 and did not write it down, 0.14 to 0.21 have 4, 0.22 to 0.24 have 5,
0.25 to 1.0 have 6, 1.1 to 1.6 have 7, 1.7 to 1.10 have 8, 1.11 and later have 10. Versions 1 to 3 and 9 were
never released. This file knows no database, and does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tidemill.metadata.sql.schema import MLMD_INDEXES, MLMD_TABLES, MLMD_VERSION, Index, Table

OLDEST_IN_PLACE = 6
"""Databases of this version and later are brought up when they are opened; older ones when asked to."""

_TABLES_SINCE = {
    "MLMDEnv": 1, "Context": 3, "ContextProperty": 3, "Association": 4, "Attribution": 4,
    "ParentType": 6, "ParentContext": 6,
}  # fmt: skip
_COLUMNS_SINCE = {
    "state": 5, "last_known_state": 5, "create_time_since_epoch": 5, "last_update_time_since_epoch": 5,
    "version": 6, "description": 6, "byte_value": 7, "external_id": 9, "proto_value": 10, "bool_value": 10,
}  # fmt: skip
"""Column -> the version that brought it, whatever its table."""
_NAME_SINCE = {"Artifact": 5, "Execution": 5}
_RULES_SINCE = {"Artifact": 5, "Execution": 5, "Event": 8}
_LONG_TEXT_SINCE = 7

_EARLIER_INDEXES = {Index("idx_event_artifact_id", "Event", "artifact_id"): (6, 7)}
"""Index that is gone -> its first and last version."""

FORMER_COLUMNS = {"Type": ("is_artifact_type", "type_kind", 2)}
"""Table -> a column's earlier name, its name now, and the version that renamed it."""


@dataclass(frozen=True, slots=True)
class Form:
    """Tables and indexes that a schema wants."""

    tables: tuple[Table, ...]
    indexes: tuple[Index, ...]


def form(version: int) -> Form:
    """The schema of a version."""
    tables = tuple(
        _as_of(table, version) for table in MLMD_TABLES if _TABLES_SINCE.get(table.name, 0) <= version
    )
    names = {table.name for table in tables}
    current = [i for i in MLMD_INDEXES if i.table in names and _index_since(i) <= version]
    gone = [index for index, (first, last) in _EARLIER_INDEXES.items() if first <= version <= last]
    return Form(tables, (*current, *gone))


EVERYTHING = Form(MLMD_TABLES, (*MLMD_INDEXES, *_EARLIER_INDEXES))
"""All that MLMD ever had in its tables, but for columns with former names."""


def _as_of(table: Table, version: int) -> Table:
    if version >= MLMD_VERSION:
        return table
    columns = []
    for name, kind in table.kinds().items():
        since = _NAME_SINCE.get(table.name, 0) if name == "name" else _COLUMNS_SINCE.get(name, 0)
        if since > version:
            continue
        kind = "text" if kind == "value" and version < _LONG_TEXT_SINCE else kind
        columns.append(f"{_former(table.name, name, version)} {kind}")
    kept = _RULES_SINCE.get(table.name, 0) <= version
    return replace(table, columns=", ".join(columns), unique=table.unique if kept else "")


def _former(table: str, column: str, version: int) -> str:
    former, now, since = FORMER_COLUMNS.get(table, ("", "", 0))
    return former if column == now and version < since else column


def _index_since(index: Index) -> int:
    if "_property_" in index.name:
        return 8
    if index.name == "idx_eventpath_event_id":
        return 7
    return 9 if index.columns == "external_id" else 6
