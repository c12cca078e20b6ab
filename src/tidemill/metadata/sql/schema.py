"""The tables of the record.

The first part is ML Metadata's schema, version 10, as ml-metadata 1.14 to 1.21 writes and expects it:
tables, columns, keys, indexes and the nine system types (source: google/ml-metadata,
ml_metadata/util/metadata_source_query_config.cc and simple_types/). The second part is tidemill's own,
with the prefix `tidemill_`, which MLMD ignores. This file says what the newest form is: earlier ones stand
in history.py and migrations.py, and opening.py brings a database to it. It knows nothing of what the rows
mean.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidemill.metadata.model import TypeKind
from tidemill.metadata.sql.dialect import Dialect

MLMD_VERSION = 10


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

    def kinds(self) -> dict[str, str]:
        """Column -> its kind, in order."""
        return {name: kind for name, _, kind in (c.partition(" ") for c in self.columns.split(", "))}

    def names(self) -> tuple[str, ...]:
        """The columns for names, which databases limit in length."""
        short = ("name", "name!", "own!", "own", "unique")
        return tuple(name for name, kind in self.kinds().items() if kind in short)

    def ddl(self, dialect: Dialect, indexes: tuple[Index, ...]) -> list[str]:
        """The statements that make it and those of `indexes` that are its own."""
        parts = [f"{name} {dialect.column_types[kind]}" for name, kind in self.kinds().items()]
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
          "parameters text!, date own!, owner own!, context_id ref, create_time time, end_time time, "
          "start_time time, priority count, request own, base_run own, settings value", key="id"),
    Table("tidemill_node", "run_id own!, node_id own!, iteration ref, state own!, attempt ref, fence ref, "
          "execution_id ref, first_execution_id ref, owner own!, cache_key own!, message text!, "
          "start_time time, end_time time, pool own, slots count", key="run_id, node_id, iteration"),
    Table("tidemill_pool", "name own!, slots ref, change_time time", key="name"),
    Table("tidemill_decision", "run_id own!, node_id own!, iteration ref, granted flag!, decided_by own!, "
          "comment text!, create_time time", key="run_id, node_id, iteration"),
    Table("tidemill_migration", "id id, subject own!, version ref, create_time time"),
)  # fmt: skip
"""`context_id` is the run's MLMD context; `execution_id` the newest attempt's MLMD execution.

A RUNNING node holds `slots` in `pool`; `change_time` is when the pool got its present size.
`tidemill_env` says which clients may use the record: those that know at least this version of our schema.
`tidemill_migration` says which versions of which schema (`mlmd`, `tidemill`) it was brought to, and when.
"""

OWN_INDEXES = (
    Index("tidemill_run_pipeline", "tidemill_run", "pipeline, context_id"),
    Index("tidemill_run_date", "tidemill_run", "pipeline, date"),
    Index("tidemill_run_context", "tidemill_run", "context_id"),
    Index("tidemill_node_cache_key", "tidemill_node", "cache_key, execution_id"),
    Index("tidemill_node_execution", "tidemill_node", "execution_id"),
    Index("tidemill_run_state", "tidemill_run", "state, priority, context_id"),
    Index("tidemill_node_pool", "tidemill_node", "pool, state"),
    # On MLMD's tables, which lack them: from a node to its contexts. MLMD works beside them as before.
    Index("tidemill_association_execution", "Association", "execution_id"),
    Index("tidemill_attribution_artifact", "Attribution", "artifact_id"),
)
"""The last two stand on MLMD's tables, which have no index by node."""


NAMES = {table.name: table.names() for table in (*MLMD_TABLES, *OWN_TABLES)}
"""Table -> its columns for names."""
