"""The tables of the record, and how a database gets them.

The first part is ML Metadata's schema, version 10, as ml-metadata 1.14 to 1.21 writes and expects it:
tables, columns, keys, indexes and the nine system types (source: google/ml-metadata,
ml_metadata/util/metadata_source_query_config.cc and simple_types/). The second part is tidemill's own,
with the prefix `tidemill_`, which MLMD ignores. This file knows nothing of what the rows mean.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidemill.errors import StoreError
from tidemill.metadata.model import TypeKind
from tidemill.metadata.sql import dialect
from tidemill.metadata.sql.database import Database, Transaction

MLMD_VERSION = 10
TIDEMILL_VERSION = 1


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns as `name kind` (kinds: dialect.COLUMN_TYPES), its key, one unique rule."""

    name: str
    columns: str
    key: str = ""
    unique: str = ""

    def ddl(self) -> str:
        """The statement that makes it."""
        parts = []
        for column in self.columns.split(", "):
            name, kind = column.split(" ")
            parts.append(f"{name} {dialect.COLUMN_TYPES[kind]}")
        if self.key:
            parts.append(f"PRIMARY KEY ({self.key})")
        if self.unique:
            parts.append(f"UNIQUE ({self.unique})")
        return f"CREATE TABLE {self.name} ({', '.join(parts)})"


@dataclass(frozen=True, slots=True)
class Index:
    """An index; `sparse` names the column whose NULLs it leaves out."""

    name: str
    table: str
    columns: str
    sparse: str = ""

    def ddl(self) -> str:
        """The statement that makes it."""
        only = f" WHERE {self.sparse} IS NOT NULL" if self.sparse else ""
        return f"CREATE INDEX {self.name} ON {self.table} ({self.columns}){only}"


_TIMES = "create_time_since_epoch time, last_update_time_since_epoch time"
_VALUES = (
    "name name!, is_custom_property flag!, int_value int, double_value double, string_value text, "
    "byte_value bytes, proto_value bytes, bool_value bool"
)

MLMD_TABLES = (
    Table("Type", "id id, name name!, version name, type_kind flag!, description text, input_type text, "
          "output_type text, external_id unique"),
    Table("ParentType", "type_id ref, parent_type_id ref", key="type_id, parent_type_id"),
    Table("TypeProperty", "type_id ref, name name!, data_type int", key="type_id, name"),
    Table("Artifact", f"id id, type_id ref, uri text, state int, name name, external_id unique, {_TIMES}",
          unique="type_id, name"),
    Table("ArtifactProperty", f"artifact_id ref, {_VALUES}", key="artifact_id, name, is_custom_property"),
    Table("Execution", f"id id, type_id ref, last_known_state int, name name, external_id unique, {_TIMES}",
          unique="type_id, name"),
    Table("ExecutionProperty", f"execution_id ref, {_VALUES}", key="execution_id, name, is_custom_property"),
    Table("Context", f"id id, type_id ref, name name!, external_id unique, {_TIMES}", unique="type_id, name"),
    Table("ContextProperty", f"context_id ref, {_VALUES}", key="context_id, name, is_custom_property"),
    Table("ParentContext", "context_id ref, parent_context_id ref", key="context_id, parent_context_id"),
    Table("Event", "id id, artifact_id ref, execution_id ref, type ref, milliseconds_since_epoch int",
          unique="artifact_id, execution_id, type"),
    Table("EventPath", "event_id ref, is_index_step flag!, step_index int, step_key text"),
    Table("Association", "id id, context_id ref, execution_id ref", unique="context_id, execution_id"),
    Table("Attribution", "id id, context_id ref, artifact_id ref", unique="context_id, artifact_id"),
    Table("MLMDEnv", "schema_version key"),
)  # fmt: skip

MLMD_INDEXES = (
    Index("idx_type_name", "Type", "name"),
    Index("idx_artifact_uri", "Artifact", "uri"),
    Index("idx_event_execution_id", "Event", "execution_id"),
    Index("idx_eventpath_event_id", "EventPath", "event_id"),
    Index("idx_parentcontext_parent_context_id", "ParentContext", "parent_context_id"),
    *(
        Index(f"idx_{table.lower()}_{column}", table, column)
        for table in ("Artifact", "Execution", "Context")
        for column in ("create_time_since_epoch", "last_update_time_since_epoch", "external_id")
    ),
    Index("idx_type_external_id", "Type", "external_id"),
    *(
        Index(f"idx_{owner}_property_{kind}", f"{owner.capitalize()}Property",
              f"name, is_custom_property, {kind}_value", sparse=f"{kind}_value")
        for owner in ("artifact", "execution", "context")
        for kind in ("int", "double", "string")
    ),
)  # fmt: skip

SYSTEM_TYPES = (
    *((name, TypeKind.ARTIFACT) for name in ("Dataset", "Model", "Metrics", "Statistics")),
    *((name, TypeKind.EXECUTION) for name in ("Train", "Transform", "Process", "Evaluate", "Deploy")),
)
"""MLMD's system types without their prefix `mlmd.`, in the order of their ids (1 to 9)."""

OWN_TABLES = (
    Table("tidemill_env", "schema_version key"),
    Table("tidemill_pipeline_version", "version name!, pipeline name!, ir text!, create_time time",
          key="version"),
    Table("tidemill_run", "id name!, pipeline name!, version name!, state name!, root text!, "
          "parameters text!, date name!, owner name!, context_id ref, create_time time, end_time time",
          key="id"),
    Table("tidemill_node", "run_id name!, node_id name!, iteration ref, state name!, attempt ref, fence ref, "
          "execution_id ref, first_execution_id ref, owner name!, cache_key name!, message text!, "
          "start_time time, end_time time", key="run_id, node_id, iteration"),
)  # fmt: skip
"""`context_id` is the run's MLMD context; `execution_id` the newest attempt's MLMD execution."""

OWN_INDEXES = (
    Index("tidemill_run_pipeline", "tidemill_run", "pipeline, context_id"),
    Index("tidemill_run_date", "tidemill_run", "pipeline, date"),
    Index("tidemill_run_context", "tidemill_run", "context_id"),
    Index("tidemill_node_cache_key", "tidemill_node", "cache_key, execution_id"),
    Index("tidemill_node_execution", "tidemill_node", "execution_id"),
)


def prepare(database: Database) -> None:
    """Make sure that the database holds the record, creating what is missing in one transaction.

    Several processes may do so at once. StoreError when it holds something else or a newer record.
    """
    with database.reading() as tx:
        tables = _tables(tx)
        complete = _is_complete(tx, tables, str(database.place.path))
    database.settle()
    if complete:
        return
    if database.place.read_only:
        raise StoreError(
            f"{database.place.path} holds no tidemill record yet", hint="open it once without read_only=True"
        )
    with database.writing() as tx:
        tables = _tables(tx)  # again: another process may have been faster
        if not _is_complete(tx, tables, str(database.place.path)):
            if not tables:
                _create_mlmd(tx)
            _create_own(tx)


def _tables(tx: Transaction) -> set[str]:
    return {name for (name,) in tx.rows(dialect.TABLES)}


def _is_complete(tx: Transaction, tables: set[str], where: str) -> bool:
    """Whether nothing is missing; StoreError when the tables are none that we may add to."""
    if not tables:
        return False
    if "MLMDEnv" not in tables:
        raise StoreError(
            "the database belongs to something else: it has tables, but not those of ML Metadata",
            where=where,
            hint=f"name another file; found {', '.join(sorted(tables)[:5])}",
        )
    _check_version(tx, "MLMDEnv", MLMD_VERSION, where, "ML Metadata")
    if missing := sorted({t.name for t in MLMD_TABLES} - tables):
        raise StoreError(f"the database lacks tables: {', '.join(missing)}", where=where,
                         hint="restore it from a backup")  # fmt: skip
    if "tidemill_env" not in tables:
        return False
    _check_version(tx, "tidemill_env", TIDEMILL_VERSION, where, "tidemill")
    return True


def _check_version(tx: Transaction, table: str, ours: int, where: str, whose: str) -> None:
    row = tx.row(f"SELECT MAX(schema_version) FROM {table}")
    found = row[0] if row else None
    if found == ours:
        return
    if found is None or found < ours:
        hint = "open it once with ml-metadata 1.14 or newer and enable_upgrade_migration=True"
    else:
        hint = "it was written by a newer version: update tidemill, or name another file"
    raise StoreError(f"the database has {whose} schema version {found}, not {ours}", where=where, hint=hint)


def _create_mlmd(tx: Transaction) -> None:
    for table in MLMD_TABLES:
        tx.execute(table.ddl())
    for index in MLMD_INDEXES:
        tx.execute(index.ddl())
    for name, kind in SYSTEM_TYPES:
        tx.insert("Type", "name, type_kind", (f"mlmd.{name}", kind.value))
    tx.insert("MLMDEnv", "schema_version", (MLMD_VERSION,))


def _create_own(tx: Transaction) -> None:
    for table in OWN_TABLES:
        tx.execute(table.ddl())
    for index in OWN_INDEXES:
        tx.execute(index.ddl())
    tx.insert("tidemill_env", "schema_version", (TIDEMILL_VERSION,))
