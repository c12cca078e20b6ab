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
from tidemill.metadata.sql.database import Database, Transaction
from tidemill.metadata.sql.dialect import Dialect

MLMD_VERSION = 10
TIDEMILL_VERSION = 1


@dataclass(frozen=True, slots=True)
class Index:
    """An index. `sparse` names the column whose NULLs it may leave out, `text` one of unlimited length.

    `wide` says that the text does get long.
    """

    name: str
    table: str
    columns: str
    sparse: str = ""
    text: str = ""
    wide: bool = False

    def ddl(self, dialect: Dialect) -> str:
        """The statement that makes it, or the clause of CREATE TABLE."""
        return dialect.index(
            self.name, self.table, self.columns, sparse=self.sparse, text=self.text, wide=self.wide
        )


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns as `name kind` (kinds: Dialect.column_types), its key, one unique rule.

    `rule` is the name that MLMD gives to the unique rule where it gives one.
    """

    name: str
    columns: str
    key: str = ""
    unique: str = ""
    rule: str = ""

    def names(self) -> tuple[str, ...]:
        """The columns for names, which databases limit in length."""
        pairs = (column.split(" ") for column in self.columns.split(", "))
        return tuple(name for name, kind in pairs if kind in ("name", "name!", "own!", "unique"))

    def ddl(self, dialect: Dialect, indexes: tuple[Index, ...]) -> list[str]:
        """The statements that make it and those of `indexes` that are its own."""
        parts = []
        for column in self.columns.split(", "):
            name, kind = column.split(" ")
            parts.append(f"{name} {dialect.column_types[kind]}")
        if self.key:
            parts.append(f"PRIMARY KEY ({self.key})")
        if self.unique:
            named = f"CONSTRAINT {self.rule} " if self.rule and dialect.names_constraints else ""
            parts.append(f"{named}UNIQUE ({self.unique})")
        made = [index.ddl(dialect) for index in indexes if index.table == self.name]
        parts += [clause for clause in made if clause.startswith("INDEX ")]
        apart = [statement for statement in made if not statement.startswith("INDEX ")]
        head = f"CREATE TABLE IF NOT EXISTS {self.name} ({', '.join(parts)}){dialect.table_options()}"
        return [head, *apart]


_TIMES = "create_time_since_epoch time, last_update_time_since_epoch time"
_VALUES = (
    "name name!, is_custom_property flag!, int_value int64, double_value double, string_value value, "
    "byte_value bytes, proto_value bytes, bool_value bool"
)

MLMD_TABLES = (
    Table("Type", "id id, name name!, version name, type_kind kind!, description text, input_type text, "
          "output_type text, external_id unique"),
    Table("ParentType", "type_id ref, parent_type_id ref", key="type_id, parent_type_id"),
    Table("TypeProperty", "type_id ref, name name!, data_type int", key="type_id, name"),
    Table("Artifact", f"id id, type_id ref, uri text, state int, name name, external_id unique, {_TIMES}",
          unique="type_id, name", rule="UniqueArtifactTypeName"),
    Table("ArtifactProperty", f"artifact_id ref, {_VALUES}", key="artifact_id, name, is_custom_property"),
    Table("Execution", f"id id, type_id ref, last_known_state int, name name, external_id unique, {_TIMES}",
          unique="type_id, name", rule="UniqueExecutionTypeName"),
    Table("ExecutionProperty", f"execution_id ref, {_VALUES}", key="execution_id, name, is_custom_property"),
    Table("Context", f"id id, type_id ref, name name!, external_id unique, {_TIMES}", unique="type_id, name"),
    Table("ContextProperty", f"context_id ref, {_VALUES}", key="context_id, name, is_custom_property"),
    Table("ParentContext", "context_id ref, parent_context_id ref", key="context_id, parent_context_id"),
    Table("Event", "id id, artifact_id ref, execution_id ref, type ref, milliseconds_since_epoch time?",
          unique="artifact_id, execution_id, type", rule="UniqueEvent"),
    Table("EventPath", "event_id ref, is_index_step flag!, step_index int, step_key text"),
    Table("Association", "id id, context_id ref, execution_id ref", unique="context_id, execution_id"),
    Table("Attribution", "id id, context_id ref, artifact_id ref", unique="context_id, artifact_id"),
    Table("MLMDEnv", "schema_version key"),
)  # fmt: skip

MLMD_INDEXES = (
    Index("idx_type_name", "Type", "name"),
    Index("idx_artifact_uri", "Artifact", "uri", text="uri"),
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
              f"name, is_custom_property, {kind}_value", sparse=f"{kind}_value",
              text="string_value" if kind == "string" else "", wide=True)
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
    Table("tidemill_pipeline_version", "version own!, pipeline own!, ir text!, create_time time",
          key="version"),
    Table("tidemill_run", "id own!, pipeline own!, version own!, state own!, root text!, "
          "parameters text!, date own!, owner own!, context_id ref, create_time time, end_time time",
          key="id"),
    Table("tidemill_node", "run_id own!, node_id own!, iteration ref, state own!, attempt ref, fence ref, "
          "execution_id ref, first_execution_id ref, owner own!, cache_key own!, message text!, "
          "start_time time, end_time time", key="run_id, node_id, iteration"),
)  # fmt: skip
"""`context_id` is the run's MLMD context; `execution_id` the newest attempt's MLMD execution."""

OWN_INDEXES = (
    Index("tidemill_run_pipeline", "tidemill_run", "pipeline, context_id"),
    Index("tidemill_run_date", "tidemill_run", "pipeline, date"),
    Index("tidemill_run_context", "tidemill_run", "context_id"),
    Index("tidemill_node_cache_key", "tidemill_node", "cache_key, execution_id"),
    Index("tidemill_node_execution", "tidemill_node", "execution_id"),
    # On MLMD's tables, which lack them: from a node to its contexts. MLMD works beside them as before.
    Index("tidemill_association_execution", "Association", "execution_id"),
    Index("tidemill_attribution_artifact", "Attribution", "artifact_id"),
)


NAMES = {table.name: table.names() for table in (*MLMD_TABLES, *OWN_TABLES)}
"""Table -> its columns for names."""


def prepare(database: Database) -> None:
    """Make sure that the database holds the record, creating what is missing.

    Several processes may do so at once, and one that dies meanwhile leaves nothing that the next could
    not complete. StoreError when the database holds something else or a newer record.
    """
    complete = database.read(_is_complete)
    database.settle()
    if complete:
        return
    if database.dialect.read_only:
        raise StoreError(
            f"{database.dialect.where} holds no tidemill record yet",
            hint="open it once without read_only=True",
        )
    database.create(_complete)


def _complete(tx: Transaction) -> None:
    """Create what is missing. Where CREATE TABLE ends a transaction, versions are all that is undone."""
    if tx.dialect.creation_lock:
        tx.row(tx.dialect.creation_lock)
    if _is_complete(tx):  # again: another process may have been faster
        return
    env, *own = OWN_TABLES
    _create(tx, env)  # without a version it says that the rest is being made
    if _version(tx, "MLMDEnv") is None:
        for table in MLMD_TABLES:
            _create(tx, table)
        rows = [(f"mlmd.{name}", kind.value) for name, kind in SYSTEM_TYPES]
        for row in rows:
            tx.insert("Type", "name, type_kind", row)
        tx.insert_rows("MLMDEnv", "schema_version", [(MLMD_VERSION,)])
    for table in own:
        _create(tx, table)
    for statement in tx.dialect.keep_order("EventPath"):
        tx.execute(statement)
    tx.insert_rows("tidemill_env", "schema_version", [(TIDEMILL_VERSION,)])


def _create(tx: Transaction, table: Table) -> None:
    for statement in table.ddl(tx.dialect, (*MLMD_INDEXES, *OWN_INDEXES)):
        tx.execute(statement)


def _tables(tx: Transaction) -> dict[str, str]:
    """Tables as they are spelled here, by lower-case name: PostgreSQL keeps names in lower case."""
    return {name.lower(): name for (name,) in tx.rows(tx.dialect.tables)}


def _is_complete(tx: Transaction) -> bool:
    """Whether nothing is missing; StoreError when the tables are none that we may add to."""
    where = tx.dialect.where
    tables = _tables(tx)
    if not tables or ("tidemill_env" in tables and _stored_version(tx, "tidemill_env") is None):
        return False
    if "mlmdenv" not in tables:
        raise StoreError(
            "the database belongs to something else: it has tables, but not those of ML Metadata",
            where=where,
            hint=f"name another one; found {', '.join(sorted(tables.values())[:5])}",
        )
    _check_version(tx, "MLMDEnv", MLMD_VERSION, where, "ML Metadata")
    if missing := sorted(t.name for t in MLMD_TABLES if t.name.lower() not in tables):
        raise StoreError(f"the database lacks tables: {', '.join(missing)}", where=where,
                         hint="restore it from a backup")  # fmt: skip
    if "tidemill_env" not in tables:
        return False
    _check_version(tx, "tidemill_env", TIDEMILL_VERSION, where, "tidemill")
    return True


def _version(tx: Transaction, table: str) -> int | None:
    """The version in a table that may be missing."""
    return _stored_version(tx, table) if table.lower() in _tables(tx) else None


def _stored_version(tx: Transaction, table: str) -> int | None:
    row = tx.row(f"SELECT MAX(schema_version) FROM {table}")
    return row[0] if row else None


def _check_version(tx: Transaction, table: str, ours: int, where: str, whose: str) -> None:
    found = _stored_version(tx, table)
    if found == ours:
        return
    if found is None or found < ours:
        hint = "open it once with ml-metadata 1.14 or newer and enable_upgrade_migration=True"
    else:
        hint = "it was written by a newer version: update tidemill, or name another file"
    raise StoreError(f"the database has {whose} schema version {found}, not {ours}", where=where, hint=hint)
