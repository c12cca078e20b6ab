"""The metadata store: what the runtime, the runners and the command line may ask of the record.

This is a protocol; `metadata.sql` implements it on databases, `metadata.remote` by asking a server, with a
call for each method here. Two rules hold for every implementation:

* every method is one transaction: all of it is durable when it returns, or none of it happened;
* every state change names the state and the fence it starts from, and a change that matches no row
  is refused (`FencedError`) and changes nothing.

MLMD's own calls (`put_artifacts`, `get_executions`, ...) stand on the same tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from tidemill.metadata.finding import Finding
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
)
from tidemill.metadata.retention import Retention, RetentionPolicy


class MetadataStore(Protocol):
    """The record of every run, node attempt and artifact."""

    def close(self) -> None:
        """Release connections. The store must not be used afterwards."""

    # --- versions and runs -----------------------------------------------------------------------

    def put_pipeline_version(self, version: str, pipeline: str, ir: str) -> None:
        """Keep the canonical IR of a pipeline under its content hash. Doing it again is a no-op."""

    def get_pipeline_version(self, version: str) -> str:
        """The IR kept under `version`; StoreError when unknown."""

    def create_run(self, run: Run, types: Iterable[ArtifactType], *, request_id: str = "") -> None:
        """Start a run: its row, its MLMD contexts (`pipeline`, `pipeline_run`), the artifact types
        that its nodes use. StoreError when the id is taken or holds a `/`, when parameters are not
        JSON, or when a type contradicts a stored one (property of another type, another base type; new
        properties are added). The same run under the same `request_id` again is a no-op, so a lost
        answer can be asked for again."""

    def take_run(self, run_id: str, *, owner: str, expected_owner: str) -> bool:
        """Make `owner` drive a RUNNING run that `expected_owner` drove. False when it was not so."""

    def end_run(self, run_id: str, state: RunState, *, owner: str) -> bool:
        """RUNNING -> `state`, only for its present owner. False when it was not so."""

    def get_run(self, run_id: str) -> Run | None:
        """One run, or None."""

    def get_runs(self, *, pipeline: str = "", state: RunState | None = None, limit: int = 100) -> list[Run]:
        """Runs, newest first (in order of creation)."""

    # --- claim and publish -----------------------------------------------------------------------

    def claim(self, request: ClaimRequest) -> Claim:
        """Ask to run a node, by compare-and-set.

        Granted when the node never ran, or when it is RUNNING, FAILED or CANCELED under a lower
        attempt (request.attempt None counts as the next one). A grant raises the fence by one,
        records a RUNNING execution and marks an execution it takes over as FAILED. Never granted
        when the node succeeded; RunnerError when the run is unknown or not RUNNING. Attempts count
        from 1 (StoreError). A request with the id of one that was granted is that one again: granted
        while its attempt still runs the node, and never twice.
        """

    def publish(self, claim: Claim, publication: Publication) -> int:
        """End the claimed attempt: execution, artifacts, events, contexts, node, all or nothing.

        Returns the execution id. Publishing the same end of the same claim twice is a no-op, so a
        lost answer can be asked for again. FencedError when the claim is stale; StoreError when the
        publication makes no sense (an id, type, property or value that cannot be stored). Nothing
        changed then. What a FAILED or CANCELED attempt put out is recorded as ABANDONED, never LIVE; a
        SKIPPED node has no outputs. The message of a FAILED or SKIPPED end is also kept in the
        execution, as the custom property `error` or `skip_reason`.
        """

    # --- reading ---------------------------------------------------------------------------------

    def get_nodes(self, run_id: str) -> list[NodeRecord]:
        """The nodes of a run that were claimed so far, in order of their first claim."""

    def get_executions(self, run_id: str, node_id: str = "") -> list[Execution]:
        """Every attempt of a run, or of one node of it, oldest first."""

    def get_executions_by_id(self, ids: Sequence[int]) -> list[Execution]:
        """Executions by id, in id order; unknown ids are left out."""

    def get_artifact(self, artifact_id: int) -> Artifact | None:
        """One artifact, or None."""

    def get_artifacts(
        self, *, type: str = "", run_id: str = "", pipeline: str = "", limit: int = 100
    ) -> list[Artifact]:
        """Artifacts, newest first; `run_id` and `pipeline` go through MLMD attributions."""

    def get_artifacts_by_id(self, ids: Sequence[int]) -> list[Artifact]:
        """Artifacts by id, in id order; unknown ids are left out."""

    def find_artifacts(self, condition: str, *, limit: int = 100) -> list[Artifact]:
        """Artifacts for which a condition in the language of metadata.filter holds, newest first.
        FilterError for a condition that is none."""

    def get_outputs(self, execution_ids: Sequence[int]) -> dict[int, dict[str, list[Artifact]]]:
        """Output artifacts per execution and output name, in index order."""

    def get_events(
        self, *, artifact_ids: Sequence[int] = (), execution_ids: Sequence[int] = ()
    ) -> list[Event]:
        """Events that touch any of the artifacts or executions, in id order."""

    def get_contexts_by_execution(self, execution_id: int) -> list[Context]:
        """Contexts an execution belongs to."""

    # --- queries of the launcher -----------------------------------------------------------------

    def find_cached(self, cache_key: str, *, limit: int = 5) -> list[int]:
        """COMPLETE executions published under this cache key, newest first."""

    def last_cache_key(self, pipeline: str, node_id: str) -> tuple[str, int] | None:
        """Cache key and execution id of the node's newest COMPLETE execution in any run."""

    def latest_blessed(
        self, pipeline: str, node_id: str, output: str, *, before: str = ""
    ) -> Artifact | None:
        """The newest LIVE artifact that `node_id` of `pipeline` put out as `output`, and that an
        execution took as input whose output ModelBlessing has `blessed` = 1.

        Newest by the execution that put it out, from the cache or newly made. With `before`, only runs
        of an earlier date count, as makers and as judges, and a later date is newer."""

    def get_window(
        self, pipeline: str, node_id: str, output: str, *, spans: int, until: int, passed: str = ""
    ) -> list[Artifact]:
        """The newest LIVE output per span, for the newest `spans` spans below `until` that have one,
        oldest first: a missing span is replaced by an older one. Newest by the execution that put it
        out, from the cache or newly made. `passed` names a node that must have
        succeeded in the same run (any run that put the artifact out will do)."""

    # --- keeping it sound and small --------------------------------------------------------------

    def plan_retention(self, policy: RetentionPolicy) -> Retention:
        """What a policy would let go. Changes nothing; StoreError for a policy that keeps nothing."""

    def mark_for_deletion(self, policy: RetentionPolicy) -> Retention:
        """Take what a policy lets go out of use: LIVE -> MARKED_FOR_DELETION. StoreError while any run
        is RUNNING. What is marked already is in the answer again, so a lost one can be asked for again."""

    def get_marked(self) -> list[Artifact]:
        """Artifacts in state MARKED_FOR_DELETION: their files are to be removed."""

    def mark_deleted(self, artifact_ids: Sequence[int]) -> None:
        """MARKED_FOR_DELETION -> DELETED, once the files are gone. Others stay as they are."""

    def findings(self) -> list[Finding]:
        """Everything in the record that breaks an invariant."""

    def statistics(self) -> Mapping[str, int]:
        """Row counts by table, for `doctor` and the curious."""
