"""SqlStore: the MetadataStore protocol on one SQL database. Each method is one transaction.

What happens inside is told elsewhere: claim.py, publish.py, runs.py, reading.py, resolving.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.errors import StoreError
from tidemill.metadata.finding import Finding
from tidemill.metadata.masking import masked
from tidemill.metadata.model import (
    Artifact,
    ArtifactType,
    Claim,
    ClaimRequest,
    Context,
    Decision,
    Event,
    EventType,
    Execution,
    FailureRecord,
    NodeRecord,
    Pool,
    Properties,
    Publication,
    Run,
    RunState,
    TypeKind,
)
from tidemill.metadata.retention import Retention, RetentionPolicy, RowRetention
from tidemill.metadata.search import Hit, SearchKind
from tidemill.metadata.sql import (
    decisions,
    invariants,
    memory,
    pools,
    queue,
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
from tidemill.metadata.sql.history import OLDEST_IN_PLACE
from tidemill.metadata.sql.opening import prepare
from tidemill.metadata.sql.publish import publish

if TYPE_CHECKING:  # what few processes need is imported where it is needed: opening a store is cheap
    from tidemill.metadata.transfer import Imported, Selection


def open_database(url: str, *, read_only: bool = False) -> Database:
    """The database at `url` as it is: whatever it holds, nothing of it is touched."""
    return Database(_dialect(url, read_only), schema.NAMES)


def open_store(url: str, *, read_only: bool = False, upgrade_from: int = OLDEST_IN_PLACE) -> SqlStore:
    """Open the metadata store in the database at `url`, and create it there unless `read_only`.

    `url` is `sqlite:///relative.db`, `sqlite:////absolute.db` or a plain path, or names a database on a
    server: `postgresql://user:password@host:port/name`, `mysql://...` or `mariadb://...`. `memory://` is a
    new store for this process alone. A database that ml-metadata wrote is opened in place: from schema
    version `upgrade_from` on it is brought to version 10, and it gains tidemill's own tables; `read_only` it
    is read as it is. StoreError says what is wrong with anything else. `tidemill.metadata.open` opens
    these and stores on a metadata server.
    """
    folder = None
    if url.startswith(memory.URL):
        memory.check(url, read_only=read_only)
        folder = memory.Folder()
    database = open_database(folder.database if folder else url, read_only=read_only)
    try:
        prepare(database, upgrade_from=upgrade_from)
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

    def create_run(
        self, run: Run, types: Iterable[ArtifactType], *, unless_equal: bool = False, most_active: int = 0,
        request_id: str = "",
    ) -> Run:  # fmt: skip
        """Start or queue a run and register the artifact types its nodes use, or find its equal."""
        declared = list(types)
        made, _ = self._database.write(
            lambda tx: runs.create_run(
                tx, run, declared, unless_equal=unless_equal, most_active=most_active, request_id=request_id
            ),
            lambda tx, answer: not answer[1] or runs.stands(tx, run.id, context=answer[1]),
        )
        return made

    def take_queued(self, owner: str) -> Run | None:
        """Start the next run of the queue."""
        return self._database.write(
            lambda tx: queue.take_queued(tx, owner),
            lambda tx, run: run is None or runs.stands(tx, run.id, owner=owner, state=RunState.RUNNING),
        )

    def take_run(self, run_id: str, *, owner: str, expected_owner: str) -> bool:
        """Change the owner of a RUNNING run, if it is `expected_owner`."""
        return self._database.write(
            lambda tx: runs.take_run(tx, run_id, owner=owner, expected_owner=expected_owner),
            lambda tx, taken: taken and runs.stands(tx, run_id, owner=owner, state=RunState.RUNNING),
        )

    def end_run(self, run_id: str, state: RunState, *, owner: str, close_nodes: bool = False) -> bool:
        """End a RUNNING run, if `owner` owns it."""
        return self._database.write(
            lambda tx: runs.end_run(tx, run_id, state, owner=owner, close_nodes=close_nodes),
            lambda tx, ended: ended and runs.stands(tx, run_id, owner=owner, state=state),
        )

    def request_cancel(self, run_id: str) -> Run:
        """Ask that a run ends."""
        return self._database.write(lambda tx: queue.request_cancel(tx, run_id))

    def driven_by(self, owner: str) -> dict[str, str]:
        """The RUNNING runs of an owner, and what each is asked to do."""
        return self._database.read(queue.driven_by, owner)

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

    # --- pools and decisions ---------------------------------------------------------------------

    def put_pool(self, name: str, slots: int) -> None:
        """Make a pool, or change its size."""
        self._database.write(lambda tx: pools.put_pool(tx, name, slots))

    def remove_pool(self, name: str) -> bool:
        """Remove a pool."""
        return self._database.write(lambda tx: pools.remove_pool(tx, name), lambda _, removed: removed)

    def get_pools(self) -> list[Pool]:
        """All pools, and what is held of each."""
        return self._database.read(pools.get_pools)

    def put_decision(self, decision: Decision) -> Decision:
        """Decide about a node that waits for approval; the first decision."""
        return self._database.write(lambda tx: decisions.put_decision(tx, decision))

    def get_decision(self, run_id: str, node_id: str, iteration: int = 0) -> Decision | None:
        """What was decided about a node."""
        return self._database.read(decisions.get_decision, run_id, node_id, iteration)

    def get_decisions(self, run_id: str = "") -> list[Decision]:
        """All decisions, or those of one run."""
        return self._database.read(decisions.get_decisions, run_id)

    # --- reading ---------------------------------------------------------------------------------

    def get_nodes(
        self, run_id: str, keys: Sequence[tuple[str, int | None]] | None = None
    ) -> list[NodeRecord]:
        """The nodes of a run, in order of their first claim."""
        return self._database.read(reading.nodes, run_id, keys)

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
        from tidemill.metadata.sql.filtering import find_ids

        def find(tx: Transaction) -> list[Artifact]:
            most = max(limit, 0)
            ids, _ = find_ids(tx, TypeKind.ARTIFACT, condition, descending=True, limit=most)
            return reading.artifacts_by_id(tx, ids)[::-1]

        return self._database.read(find)

    def get_outputs(self, execution_ids: Sequence[int]) -> dict[int, dict[str, list[Artifact]]]:
        """Output artifacts per execution and output name."""
        return self._database.read(reading.outputs, execution_ids)

    def get_events(
        self, *, artifact_ids: Sequence[int] = (), execution_ids: Sequence[int] = (),
        types: Collection[EventType] = (),
    ) -> list[Event]:  # fmt: skip
        """Events of some types at any of the artifacts or executions."""
        return self._database.read(reading.events, artifact_ids, execution_ids, types)

    def get_contexts_by_execution(self, execution_id: int) -> list[Context]:
        """Contexts an execution belongs to."""
        return self._database.read(reading.contexts_by_execution, execution_id)

    def get_failures(
        self, *, pipeline: str = "", fingerprint: str = "", since: int = 0, limit: int = 1000
    ) -> list[FailureRecord]:
        """Final failures, newest first."""
        return self._database.read(
            reading.failures, pipeline=pipeline, fingerprint=fingerprint, since=since, limit=limit
        )

    def search(
        self, text: str, *, kinds: Sequence[SearchKind] = (), type: str = "", pipeline: str = "",
        limit: int = 20,
    ) -> list[Hit]:  # fmt: skip
        """What all terms of `text` are found in, best first."""
        from tidemill.metadata.sql.search import search

        return self._database.read(search, text, kinds=kinds, type=type, pipeline=pipeline, limit=limit)

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

    def find_outputs(
        self, pipeline: str, node_id: str, output: str, *, but: str = "", before: str = "",
        complete: bool = False, properties: Properties | None = None, spans: Sequence[int] = (),
        limit: int = 0,
    ) -> list[Artifact]:  # fmt: skip
        """Artifacts of an output in earlier runs, newest first."""
        wanted = resolving.Wanted(but, before, complete, dict(properties or {}), tuple(spans), limit)
        return self._database.read(resolving.find_outputs, pipeline, node_id, output, wanted)

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

    def plan_row_retention(self, policy: RetentionPolicy) -> RowRetention:
        """Which runs that a policy lets go can be removed from the record. Changes nothing."""
        from tidemill.metadata.sql import pruning

        return self._database.read(pruning.choose_rows, policy)

    def remove_runs(self, run_ids: Sequence[str]) -> int:
        """Remove runs with all their rows, in one transaction; how many.

        Left out is what is gone already, or referred to by now. StoreError while any run is RUNNING. Other
        processes that have the store open may remember contexts that end with the last run of a node.
        """
        from tidemill.metadata.sql import pruning

        removed = self._database.write(lambda tx: pruning.remove_runs(tx, run_ids))
        self._database.known.contexts.clear()
        return removed

    # --- moving a part of the record -------------------------------------------------------------

    def export_record(self, selection: Selection) -> Iterator[bytes]:
        """The lines of a file with a part of the record; see metadata.transfer.form.

        All of one state of the store, which stays open until the last line was taken. StoreError when there
        is no such run, artifact or pipeline.
        """
        from tidemill.metadata import lineage
        from tidemill.metadata.sql import exporting, names, selecting

        traced = selecting.Part()
        if selection.artifact:
            graph = lineage.trace(
                self, artifact_id=selection.artifact, direction=selection.direction, max_nodes=2**62
            )
            traced.artifacts = {a.id for a in graph.artifacts}
            traced.executions = {e.id for e in graph.executions}
        with self._database.reading() as tx:
            if selection.artifact:
                part = selecting.completed(tx, traced)
            elif selection.run:
                part = selecting.of_context(tx, names.RUN, selection.run)
            elif selection.pipeline:
                part = selecting.of_context(tx, names.PIPELINE, selection.pipeline)
            else:
                part = selecting.everything(tx)
            yield from exporting.lines(tx, part)

    def import_record(self, path: Path) -> Imported:
        """Take a file of `export_record` in: what is new is added, under ids of this store.

        Doing it again is a no-op. StoreError for a file that is wrong anywhere, or that contradicts what is
        stored; nothing is written then.
        """
        from tidemill.metadata.sql import importing
        from tidemill.metadata.transfer.reader import check

        check(path)
        return self._database.write(lambda tx: importing.take(tx, path))

    def findings(self) -> list[Finding]:
        """Everything in the record that breaks an invariant; see invariants.py."""
        return self._database.read(lambda tx: list(invariants.findings(tx)))

    def statistics(self) -> Mapping[str, int]:
        """Row counts by table."""
        return self._database.read(reading.row_counts)
