"""SqlStore: the MetadataStore protocol on one SQL database. Each method is one transaction.

What happens inside is told elsewhere: claim.py, publish.py, runs.py, reading.py, resolving.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from tidemill.errors import StoreError
from tidemill.metadata.finding import Finding
from tidemill.metadata.masking import masked
from tidemill.metadata.model import (
    Artifact,
    ArtifactType,
    Claim,
    ClaimRequest,
    Context,
    Event,
    Execution,
    NodeRecord,
    Publication,
    Run,
    RunState,
    TypeKind,
)
from tidemill.metadata.retention import Retention, RetentionPolicy
from tidemill.metadata.sql import (
    filtering,
    invariants,
    memory,
    reading,
    resolving,
    retention,
    runs,
    schema,
    sqlite,
)
from tidemill.metadata.sql.claim import claim, landed
from tidemill.metadata.sql.database import Database, Transaction
from tidemill.metadata.sql.dialect import Dialect
from tidemill.metadata.sql.publish import publish


def open_store(url: str, *, read_only: bool = False) -> SqlStore:
    """Open the metadata store in the database at `url`, and create it there unless `read_only`.

    `url` is `sqlite:///relative.db`, `sqlite:////absolute.db` or a plain path, or names a database on a
    server: `postgresql://user:password@host:port/name`, `mysql://...` or `mariadb://...`. `memory://` is a
    new store for this process alone. A database that ml-metadata wrote (schema version 10) is opened in
    place and gains tidemill's own tables. StoreError says what is wrong with anything else.
    `tidemill.metadata.open` opens these and stores on a metadata server.
    """
    folder = None
    if url.startswith(memory.URL):
        memory.check(url, read_only=read_only)
        folder = memory.Folder()
    database = Database(_dialect(folder.database if folder else url, read_only), schema.NAMES)
    try:
        schema.prepare(database)
    except BaseException:
        database.close()
        raise
    return SqlStore(database, folder)


def _dialect(url: str, read_only: bool) -> Dialect:
    """What speaks to the database that `url` names. Drivers are imported only where they are used."""
    scheme = re.match(r"([A-Za-z][\w+.-]*)://", url)
    if scheme is None or scheme[1] == "sqlite":
        return sqlite.SqliteDialect.locate(url, read_only=read_only)
    if scheme[1] in ("postgresql", "postgres"):
        from tidemill.metadata.sql.postgresql import PostgresqlDialect

        return PostgresqlDialect.locate(url, read_only=read_only)
    if scheme[1] in ("mysql", "mariadb"):
        from tidemill.metadata.sql.mariadb import MariadbDialect

        return MariadbDialect.locate(url, read_only=read_only)
    raise StoreError(
        f"{scheme[1]} is not supported as a metadata store: {masked(url)}",
        hint=f"use {sqlite.SUPPORTED}, postgresql://, mysql:// or mariadb://USER:PASSWORD@HOST:PORT/DATABASE,"
        " http://, https://, grpc:// or grpcs://HOST:PORT of a metadata server, or memory://",
    )


class SqlStore:
    """A MetadataStore in a SQL database; see the protocol for what each method promises.

    All threads of a process may share one. Each gets a connection of its own, and close() ends them all.
    """

    def __init__(self, database: Database, folder: memory.Folder | None = None) -> None:
        self._database = database
        self._folder = folder

    @property
    def database(self) -> Database:
        """The database underneath, for `doctor`."""
        return self._database

    def close(self) -> None:
        """Release connections. The store must not be used afterwards."""
        self._database.close()
        if self._folder is not None:
            self._folder.remove()

    # --- versions and runs -----------------------------------------------------------------------

    def put_pipeline_version(self, version: str, pipeline: str, ir: str) -> None:
        """Keep the IR of a pipeline under its content hash."""
        self._database.write(lambda tx: runs.put_pipeline_version(tx, version, pipeline, ir))

    def get_pipeline_version(self, version: str) -> str:
        """The IR kept under `version`."""
        return self._database.read(runs.get_pipeline_version, version)

    def create_run(self, run: Run, types: Iterable[ArtifactType], *, request_id: str = "") -> None:
        """Start a run and register the artifact types its nodes use."""
        declared = list(types)
        self._database.write(
            lambda tx: runs.create_run(tx, run, declared, request_id),
            lambda tx, context: runs.stands(tx, run.id, context=context),
        )

    def take_run(self, run_id: str, *, owner: str, expected_owner: str) -> bool:
        """Change the owner of a RUNNING run, if it is `expected_owner`."""
        return self._database.write(
            lambda tx: runs.take_run(tx, run_id, owner=owner, expected_owner=expected_owner),
            lambda tx, taken: taken and runs.stands(tx, run_id, owner=owner, state=RunState.RUNNING),
        )

    def end_run(self, run_id: str, state: RunState, *, owner: str) -> bool:
        """End a RUNNING run, if `owner` owns it."""
        return self._database.write(
            lambda tx: runs.end_run(tx, run_id, state, owner=owner),
            lambda tx, ended: ended and runs.stands(tx, run_id, owner=owner, state=state),
        )

    def get_run(self, run_id: str) -> Run | None:
        """One run, or None."""
        return self._database.read(runs.get_run, run_id)

    def get_runs(self, *, pipeline: str = "", state: RunState | None = None, limit: int = 100) -> list[Run]:
        """Runs, newest first."""
        return self._database.read(runs.get_runs, pipeline=pipeline, state=state, limit=limit)

    # --- claim and publish -----------------------------------------------------------------------

    def claim(self, request: ClaimRequest) -> Claim:
        """Ask to run a node."""
        return self._database.write(lambda tx: claim(tx, request), landed)

    def publish(self, claim: Claim, publication: Publication) -> int:
        """End a claimed attempt."""
        return self._database.write(lambda tx: publish(tx, claim, publication))

    # --- reading ---------------------------------------------------------------------------------

    def get_nodes(self, run_id: str) -> list[NodeRecord]:
        """The nodes of a run, in order of their first claim."""
        return self._database.read(reading.nodes, run_id)

    def get_executions(self, run_id: str, node_id: str = "") -> list[Execution]:
        """Every attempt of a run, or of one node of it."""
        return self._database.read(reading.executions, run_id, node_id)

    def get_executions_by_id(self, ids: Sequence[int]) -> list[Execution]:
        """Executions by id."""
        return self._database.read(reading.executions_by_id, ids)

    def get_artifact(self, artifact_id: int) -> Artifact | None:
        """One artifact, or None."""
        found = self.get_artifacts_by_id([artifact_id])
        return found[0] if found else None

    def get_artifacts(
        self, *, type: str = "", run_id: str = "", pipeline: str = "", limit: int = 100
    ) -> list[Artifact]:
        """Artifacts, newest first."""
        return self._database.read(
            reading.artifacts, type=type, run_id=run_id, pipeline=pipeline, limit=limit
        )

    def get_artifacts_by_id(self, ids: Sequence[int]) -> list[Artifact]:
        """Artifacts by id."""
        return self._database.read(reading.artifacts_by_id, ids)

    def find_artifacts(self, condition: str, *, limit: int = 100) -> list[Artifact]:
        """Artifacts for which a condition holds, newest first."""

        def find(tx: Transaction) -> list[Artifact]:
            most = max(limit, 0)
            ids, _ = filtering.find_ids(tx, TypeKind.ARTIFACT, condition, descending=True, limit=most)
            return reading.artifacts_by_id(tx, ids)[::-1]

        return self._database.read(find)

    def get_outputs(self, execution_ids: Sequence[int]) -> dict[int, dict[str, list[Artifact]]]:
        """Output artifacts per execution and output name."""
        return self._database.read(reading.outputs, execution_ids)

    def get_events(
        self, *, artifact_ids: Sequence[int] = (), execution_ids: Sequence[int] = ()
    ) -> list[Event]:
        """Events that touch any of the artifacts or executions."""
        return self._database.read(reading.events, artifact_ids, execution_ids)

    def get_contexts_by_execution(self, execution_id: int) -> list[Context]:
        """Contexts an execution belongs to."""
        return self._database.read(reading.contexts_by_execution, execution_id)

    # --- queries of the launcher -----------------------------------------------------------------

    def find_cached(self, cache_key: str, *, limit: int = 5) -> list[int]:
        """COMPLETE executions published under this cache key."""
        return self._database.read(resolving.find_cached, cache_key, limit)

    def last_cache_key(self, pipeline: str, node_id: str) -> tuple[str, int] | None:
        """Cache key and id of a node's newest COMPLETE execution."""
        return self._database.read(resolving.last_cache_key, pipeline, node_id)

    def latest_blessed(
        self, pipeline: str, node_id: str, output: str, *, before: str = ""
    ) -> Artifact | None:
        """The newest blessed artifact of an output."""
        return self._database.read(resolving.latest_blessed, pipeline, node_id, output, before)

    def get_window(
        self, pipeline: str, node_id: str, output: str, *, spans: int, until: int, passed: str = ""
    ) -> list[Artifact]:
        """The newest artifact of each of the newest spans before `until`."""
        return self._database.read(
            resolving.get_window, pipeline, node_id, output, spans=spans, until=until, passed=passed
        )

    # --- retention -------------------------------------------------------------------------------

    def plan_retention(self, policy: RetentionPolicy) -> Retention:
        """What a policy would let go. Changes nothing."""
        return self._database.read(retention.choose, policy)

    def mark_for_deletion(self, policy: RetentionPolicy) -> Retention:
        """Take what a policy lets go out of use; StoreError while any run is RUNNING."""
        return self._database.write(lambda tx: retention.mark(tx, policy))

    def get_marked(self) -> list[Artifact]:
        """Artifacts in state MARKED_FOR_DELETION: their files are to be removed."""
        return self._database.read(retention.marked)

    def mark_deleted(self, artifact_ids: Sequence[int]) -> None:
        """Record that the files of marked artifacts are gone."""
        self._database.write(lambda tx: retention.mark_deleted(tx, artifact_ids))

    def findings(self) -> list[Finding]:
        """Everything in the record that breaks an invariant; see invariants.py."""
        return self._database.read(lambda tx: list(invariants.findings(tx)))

    def statistics(self) -> Mapping[str, int]:
        """Row counts by table."""
        return self._database.read(reading.row_counts)
