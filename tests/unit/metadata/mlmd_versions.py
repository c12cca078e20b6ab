"""ML Metadata's tables in each of its versions, written out by hand, with rows in them.

Kept apart from src/tidemill/metadata/sql/history.py on purpose: tests hold the two against each other, and
both against the real ml-metadata where there is one. `statements` gives SQL for SQLite, MariaDB or
PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TYPES = {
    "sqlite": {
        "id": "INTEGER PRIMARY KEY AUTOINCREMENT", "key": "INTEGER PRIMARY KEY", "flag": "TINYINT(1)",
        "kind": "TINYINT(1)", "time": "INT", "bytes": "BLOB", "long": "TEXT", "double": "DOUBLE",
        "named": "UNIQUE",
    },
    "mariadb": {
        "id": "INT PRIMARY KEY AUTO_INCREMENT", "key": "INT PRIMARY KEY", "flag": "TINYINT(1)",
        "kind": "TINYINT(1)", "time": "BIGINT", "bytes": "MEDIUMBLOB", "long": "MEDIUMTEXT",
        "double": "DOUBLE", "named": "CONSTRAINT {name} UNIQUE",
    },
    "postgresql": {
        "id": "SERIAL PRIMARY KEY", "key": "INT PRIMARY KEY", "flag": "BOOLEAN", "kind": "SMALLINT",
        "time": "BIGINT", "bytes": "BYTEA", "long": "TEXT", "double": "DOUBLE PRECISION",
        "named": "CONSTRAINT {name} UNIQUE",
    },
}  # fmt: skip
_TIMES = ", ".join(
    f"{name}_time_since_epoch {{time}} NOT NULL DEFAULT 0" for name in ("create", "last_update")
)
_OWN = "name VARCHAR(255) NOT NULL, is_custom_property {flag} NOT NULL, int_value INT, double_value {double}"

# Table, first version, last version, columns.
TABLES = [
    ("Type", 0, 1, ("id {id}, name VARCHAR(255) NOT NULL, is_artifact_type {kind} NOT NULL, input_type TEXT, "
     "output_type TEXT")),
    ("Type", 2, 5, ("id {id}, name VARCHAR(255) NOT NULL, type_kind {kind} NOT NULL, input_type TEXT, "
     "output_type TEXT")),
    ("Type", 6, 8, ("id {id}, name VARCHAR(255) NOT NULL, version VARCHAR(255), type_kind {kind} NOT NULL, "
     "description TEXT, input_type TEXT, output_type TEXT")),
    ("Type", 9, 10, ("id {id}, name VARCHAR(255) NOT NULL, version VARCHAR(255), type_kind {kind} NOT NULL, "
     "description TEXT, input_type TEXT, output_type TEXT, external_id VARCHAR(255) UNIQUE")),
    ("TypeProperty", 0, 10, ("type_id INT NOT NULL, name VARCHAR(255) NOT NULL, data_type INT, "
     "PRIMARY KEY (type_id, name)")),
    ("ParentType", 6, 10, ("type_id INT NOT NULL, parent_type_id INT NOT NULL, "
     "PRIMARY KEY (type_id, parent_type_id)")),
    ("Artifact", 0, 4, "id {id}, type_id INT NOT NULL, uri TEXT"),
    ("Artifact", 5, 8, "id {id}, type_id INT NOT NULL, uri TEXT, state INT, name VARCHAR(255), " + _TIMES +
     ", {named UniqueArtifactTypeName} (type_id, name)"),
    ("Artifact", 9, 10, "id {id}, type_id INT NOT NULL, uri TEXT, state INT, name VARCHAR(255), "
     "external_id VARCHAR(255) UNIQUE, " + _TIMES + ", {named UniqueArtifactTypeName} (type_id, name)"),
    ("Execution", 0, 4, "id {id}, type_id INT NOT NULL"),
    ("Execution", 5, 8, "id {id}, type_id INT NOT NULL, last_known_state INT, name VARCHAR(255), " + _TIMES +
     ", {named UniqueExecutionTypeName} (type_id, name)"),
    ("Execution", 9, 10, "id {id}, type_id INT NOT NULL, last_known_state INT, name VARCHAR(255), "
     "external_id VARCHAR(255) UNIQUE, " + _TIMES + ", {named UniqueExecutionTypeName} (type_id, name)"),
    ("Context", 3, 4, "id {id}, type_id INT NOT NULL, name VARCHAR(255) NOT NULL, UNIQUE (type_id, name)"),
    ("Context", 5, 8, "id {id}, type_id INT NOT NULL, name VARCHAR(255) NOT NULL, " + _TIMES +
     ", UNIQUE (type_id, name)"),
    ("Context", 9, 10, "id {id}, type_id INT NOT NULL, name VARCHAR(255) NOT NULL, "
     "external_id VARCHAR(255) UNIQUE, " + _TIMES + ", UNIQUE (type_id, name)"),
    *(
        (f"{owner}Property", max(first, since), last,
         (f"{owner.lower()}_id INT NOT NULL, {_OWN}, {values}, "
         f"PRIMARY KEY ({owner.lower()}_id, name, is_custom_property)"))
        for owner, since in (("Artifact", 0), ("Execution", 0), ("Context", 3))
        for first, last, values in (
            (0, 6, "string_value TEXT"),
            (7, 9, "string_value {long}, byte_value {bytes}"),
            (10, 10, "string_value {long}, byte_value {bytes}, proto_value {bytes}, bool_value BOOLEAN"),
        )
    ),
    ("ParentContext", 6, 10, ("context_id INT NOT NULL, parent_context_id INT NOT NULL, "
     "PRIMARY KEY (context_id, parent_context_id)")),
    ("Event", 0, 7, ("id {id}, artifact_id INT NOT NULL, execution_id INT NOT NULL, type INT NOT NULL, "
     "milliseconds_since_epoch {time}")),
    ("Event", 8, 10, ("id {id}, artifact_id INT NOT NULL, execution_id INT NOT NULL, type INT NOT NULL, "
     "milliseconds_since_epoch {time}, {named UniqueEvent} (artifact_id, execution_id, type)")),
    ("EventPath", 0, 10, ("event_id INT NOT NULL, is_index_step {flag} NOT NULL, "
     "step_index INT, step_key TEXT")),
    ("Association", 4, 10, ("id {id}, context_id INT NOT NULL, execution_id INT NOT NULL, "
     "UNIQUE (context_id, execution_id)")),
    ("Attribution", 4, 10, ("id {id}, context_id INT NOT NULL, artifact_id INT NOT NULL, "
     "UNIQUE (context_id, artifact_id)")),
    ("MLMDEnv", 1, 10, "schema_version {key}"),
]  # fmt: skip

# Index, table, columns, first version, last version.
INDEXES = [
    ("idx_type_name", "Type", "name", 6, 10),
    ("idx_type_external_id", "Type", "external_id", 9, 10),
    ("idx_artifact_uri", "Artifact", "uri", 6, 10),
    *(
        (f"idx_{node.lower()}_{column}", node, column, since, 10)
        for node in ("Artifact", "Execution", "Context")
        for column, since in (
            ("create_time_since_epoch", 6), ("last_update_time_since_epoch", 6), ("external_id", 9),
        )
    ),
    ("idx_parentcontext_parent_context_id", "ParentContext", "parent_context_id", 6, 10),
    ("idx_event_artifact_id", "Event", "artifact_id", 6, 7),
    ("idx_event_execution_id", "Event", "execution_id", 6, 10),
    ("idx_eventpath_event_id", "EventPath", "event_id", 7, 10),
    *(
        (f"idx_{owner.lower()}_property_{kind}", f"{owner}Property",
         f"name, is_custom_property, {kind}_value", 8, 10)
        for owner in ("Artifact", "Execution", "Context")
        for kind in ("int", "double", "string")
    ),
]  # fmt: skip

# What a store of that age holds; columns that a version does not have are left out, and so are the types
# of contexts before version 2.
ROWS: dict[str, list[dict[str, Any]]] = {
    "Type": [
        {"id": 1, "name": "Examples", "type_kind": 1},
        {"id": 2, "name": "Model", "type_kind": 1, "version": "v1", "description": "it predicts"},
        {"id": 3, "name": "Trainer", "type_kind": 0},
        {"id": 4, "name": "pipeline", "type_kind": 2},
    ],
    "TypeProperty": [
        {"type_id": 1, "name": "span", "data_type": 1},
        {"type_id": 1, "name": "split", "data_type": 3},
    ],
    "Artifact": [
        {"id": 1, "type_id": 1, "uri": "/data/ä", "state": 2, "name": "day 1",
         "create_time_since_epoch": 1_600_000_000_001, "last_update_time_since_epoch": 1_600_000_000_002},
        {"id": 2, "type_id": 2, "uri": "/model", "create_time_since_epoch": 1_600_000_000_003,
         "last_update_time_since_epoch": 1_600_000_000_003},
    ],
    "ArtifactProperty": [
        {"artifact_id": 1, "name": "span", "is_custom_property": False, "int_value": 3},
        {"artifact_id": 1, "name": "split", "is_custom_property": False, "string_value": "träin"},
        {"artifact_id": 2, "name": "loss", "is_custom_property": True, "double_value": 0.25},
    ],
    "Execution": [
        {"id": 1, "type_id": 3, "last_known_state": 3, "name": "run 1",
         "create_time_since_epoch": 1_600_000_000_004, "last_update_time_since_epoch": 1_600_000_000_005},
    ],
    "ExecutionProperty": [
        {"execution_id": 1, "name": "steps", "is_custom_property": True, "int_value": -7},
    ],
    "Context": [
        {"id": 1, "type_id": 4, "name": "taxi", "create_time_since_epoch": 1_600_000_000_006,
         "last_update_time_since_epoch": 1_600_000_000_006},
        {"id": 2, "type_id": 4, "name": "taxi run"},
    ],
    "ContextProperty": [
        {"context_id": 1, "name": "note", "is_custom_property": True, "string_value": "n"},
    ],
    "ParentContext": [{"context_id": 2, "parent_context_id": 1}],
    "Event": [
        {"id": 1, "artifact_id": 1, "execution_id": 1, "type": 3,
         "milliseconds_since_epoch": 1_600_000_000_007},
        {"id": 2, "artifact_id": 2, "execution_id": 1, "type": 4,
         "milliseconds_since_epoch": 1_600_000_000_008},
    ],
    "EventPath": [
        {"event_id": 1, "is_index_step": False, "step_key": "examples"},
        {"event_id": 1, "is_index_step": True, "step_index": 0},
        {"event_id": 2, "is_index_step": False, "step_key": "model"},
    ],
    "Association": [{"id": 1, "context_id": 1, "execution_id": 1}],
    "Attribution": [{"id": 1, "context_id": 1, "artifact_id": 2}],
}  # fmt: skip


def columns(version: int) -> dict[str, tuple[str, ...]]:
    """Table -> its columns."""
    return {
        table: tuple(
            part.split(" ")[0]
            for part in text.split(", ")
            if part.split(" ")[0].islower() and part.split(" ")[0].isidentifier()
        )
        for table, first, last, text in TABLES
        if first <= version <= last
    }


def rows(version: int) -> dict[str, list[dict[str, Any]]]:
    """Table -> its rows, as that version holds them."""
    kept: dict[str, list[dict[str, Any]]] = {}
    for table, names in columns(version).items():
        for row in ROWS.get(table, []):
            if table == "Type" and version < 2:
                if row["type_kind"] == 2:
                    continue
                row = {**row, "is_artifact_type": row["type_kind"]}
            kept.setdefault(table, []).append({n: v for n, v in row.items() if n in names})
    return kept


def statements(version: int, kind: str = "sqlite") -> Iterator[str]:
    """SQL that makes such a database, with its rows."""
    types = TYPES[kind]
    for table, first, last, text in TABLES:
        if first <= version <= last:
            yield f"CREATE TABLE {table} ({_typed(text, types)})"
    for name, table, names, first, last in INDEXES:
        if first <= version <= last:
            yield f"CREATE INDEX {name} ON {table} ({_indexed(name, names, kind)})"
    for table, stored in rows(version).items():
        for row in stored:
            values = ", ".join(_literal(value) for value in row.values())
            yield f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})"
        if kind == "postgresql" and "id" in stored[0]:
            yield f"SELECT setval(pg_get_serial_sequence('{table.lower()}', 'id'), {stored[-1]['id']})"
    if version:
        yield f"INSERT INTO MLMDEnv (schema_version) VALUES ({version})"


def _typed(text: str, types: dict[str, str]) -> str:
    for name in ("UniqueArtifactTypeName", "UniqueExecutionTypeName", "UniqueEvent"):
        text = text.replace(f"{{named {name}}}", types["named"].format(name=name))
    for word, kind in types.items():
        text = text.replace(f"{{{word}}}", kind)
    return text


def _indexed(name: str, names: str, kind: str) -> str:
    if kind == "mariadb":
        return names.replace("uri", "uri(255)").replace("string_value", "string_value(255)")
    if kind == "postgresql":
        return names.replace("string_value", "left(string_value, 255)")
    if "_property_" in name:
        return f"{names}) WHERE ({names.split(', ')[-1]} IS NOT NULL"
    return names


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return "'" + str(value).replace("'", "''") + "'" if isinstance(value, str) else str(value)
