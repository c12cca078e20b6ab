"""The metadata store: what the runtime, the runners and the command line may ask of the record.

This is a protocol; `metadata.sql` implements it on databases, `metadata.remote` by asking a server, with a
call for each method here. Two rules hold for every implementation:

* every method is one transaction: all of it is durable when it returns, or none of it happened;
* every state change names the state and the fence it starts from, and a change that matches no row
  is refused (`FencedError`) and changes nothing.

MLMD's own calls (`put_artifacts`, `get_executions`, ...) stand on the same tables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from tidemill.metadata.finding import Finding
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
)
from tidemill.metadata.retention import Retention, RetentionPolicy
from tidemill.metadata.search import Hit, SearchKind


class MetadataStore(Protocol):
    """The record of every run, node attempt and artifact."""

    def close(self) -> None:
        """Release connections. The store must not be used afterwards."""

    # --- versions and runs -----------------------------------------------------------------------

    def put_pipeline_version(self, version: str, pipeline: str, ir: str) -> None:
        """Keep the canonical IR of a pipeline under its content hash. Doing it again is a no-op."""

    def get_pipeline_version(self, version: str) -> str:
        """The IR kept under `version`; StoreError when unknown."""

    def create_run(
        self, run: Run, types: Iterable[ArtifactType], *, unless_equal: bool = False, most_active: int = 0,
        request_id: str = "",
    ) -> Run:  # fmt: skip
        """Start a run, or queue one: its row, its MLMD contexts (`pipeline`, `pipeline_run`), the artifact
        types that its nodes use. Returns it as it is stored.

        With `unless_equal` an unfinished run that does the same work (Run.same_work) is returned instead,
        unchanged: of any number of callers at once, one creates. With `most_active` a RunnerError says
        that so many runs of the pipeline are RUNNING already. StoreError when the id is taken or holds a
        `/`, when parameters or settings are not JSON, or when a type contradicts a stored one (property of
        another type, another base type; new properties are added). The same run under the same
        `request_id` again is a no-op, so a lost answer can be asked for again."""

    def take_queued(self, owner: str) -> Run | None:
        """QUEUED -> RUNNING under `owner`, for the run of the highest priority, of these the oldest, whose
        pipeline has less RUNNING runs than its setting `max_active_runs` allows. None when there is none."""

    def take_run(self, run_id: str, *, owner: str, expected_owner: str) -> bool:
        """Make `owner` drive a RUNNING run that `expected_owner` drove. False when it was not so."""

    def end_run(self, run_id: str, state: RunState, *, owner: str, close_nodes: bool = False) -> bool:
        """RUNNING -> `state`, only for its present owner. False when it was not so.

        With `close_nodes`, nodes that are RUNNING become CANCELED in the same moment: for a run whose
        processes are gone."""

    def request_cancel(self, run_id: str) -> Run:
        """Ask that a run ends; the run as it is then. A QUEUED one is CANCELED at once, a RUNNING one has
        the request CANCEL until its owner ends it, one that ended stays as it is. RunnerError when there is
        no such run."""

    def driven_by(self, owner: str) -> dict[str, str]:
        """The RUNNING runs of an owner, and what each is asked to do: one cheap question for all of them."""

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

        With a pool, the node holds slots of it while it is RUNNING, and no pool ever gives more than it
        has: a claim that finds no room changes nothing and is answered so (Claim.full). What `dead` owners
        held does not count any more. RunnerError when the pool is unknown or too small for the node.
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

    # --- pools and decisions ---------------------------------------------------------------------

    def put_pool(self, name: str, slots: int) -> None:
        """Make a pool, or change its size. When it shrinks below what is held, nodes that run go on, and
        none starts until there is room. 0 slots: nothing starts. StoreError for a size below 0."""

    def remove_pool(self, name: str) -> bool:
        """Remove a pool; False when there is none. StoreError while slots of it are held."""

    def get_pools(self) -> list[Pool]:
        """All pools by name, and what is held of each."""

    def put_decision(self, decision: Decision) -> Decision:
        """Decide about a node of an unfinished run that waits for approval. The first decision stands for
        good and is returned, whoever asks. RunnerError when the run is unknown or over; StoreError when
        nobody's name is given."""

    def get_decision(self, run_id: str, node_id: str, iteration: int = 0) -> Decision | None:
        """What was decided about a node, or None."""

    def get_decisions(self, run_id: str = "") -> list[Decision]:
        """All decisions, or those of one run, oldest first."""

    # --- reading ---------------------------------------------------------------------------------

    def get_nodes(
        self, run_id: str, keys: Sequence[tuple[str, int | None]] | None = None
    ) -> list[NodeRecord]:
        """The nodes of a run that were claimed so far, in order of their first claim.

        With `keys`, only those: (node, iteration), or (node, None) for all its iterations."""

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
        self, *, artifact_ids: Sequence[int] = (), execution_ids: Sequence[int] = (),
        types: Collection[EventType] = (),
    ) -> list[Event]:  # fmt: skip
        """Events of these types (none named: any) at any of the artifacts or executions, in id order."""

    def get_contexts_by_execution(self, execution_id: int) -> list[Context]:
        """Contexts an execution belongs to."""

    def get_failures(
        self, *, pipeline: str = "", fingerprint: str = "", since: int = 0, limit: int = 1000
    ) -> list[FailureRecord]:
        """Final failures, newest first: executions with the custom property FINGERPRINT that are still
        the last attempt of a FAILED node. `since`: only those that ended then or later (milliseconds)."""

    def search(
        self, text: str, *, kinds: Sequence[SearchKind] = (), type: str = "", pipeline: str = "",
        limit: int = 20,
    ) -> list[Hit]:  # fmt: skip
        """What all terms of `text` are found in (metadata.search has the language), best first.

        `kinds` none: all. `type` is an MLMD type; runs have none. `pipeline` keeps what belongs to the
        context of that pipeline. StoreError says what is wrong with a search."""

    # --- queries of the launcher -----------------------------------------------------------------

    def find_cached(self, cache_key: str, *, limit: int = 5) -> list[int]:
        """COMPLETE executions published under this cache key, newest first."""

    def last_cache_key(self, pipeline: str, node_id: str) -> tuple[str, int] | None:
        """Cache key and execution id of the node's newest COMPLETE execution in any run."""

    def latest_blessed(
        self, pipeline: str, node_id: str, output: str, *, before: str = ""
    ) -> Artifact | None:
        """The newest LIVE artifact that `node_id` of `pipeline` put out as `output`, and that an
        execution took as input whose output ModelBlessing has `blessed` = 1. Reproductions (pipelines named
        so; see model.REPRODUCED) do not count as judges. Where a person blessed or unblessed the artifact (in
        a run of a pipeline named so; see model.BLESSINGS), the newest such word decides.

        Newest by the execution that put it out, from the cache or newly made. With `before`, only runs
        of an earlier date count, as makers and as judges, and a later date is newer."""

    def get_window(
        self, pipeline: str, node_id: str, output: str, *, spans: int, until: int, passed: str = ""
    ) -> list[Artifact]:
        """The newest LIVE output per span, for the newest `spans` spans below `until` that have one,
        oldest first: a missing span is replaced by an older one. Newest by the execution that put it
        out, from the cache or newly made. `passed` names a node that must have
        succeeded in the same run (any run that put the artifact out will do)."""

    def find_outputs(
        self, pipeline: str, node_id: str, output: str, *, but: str = "", before: str = "",
        complete: bool = False, properties: Properties | None = None, spans: Sequence[int] = (),
        limit: int = 0,
    ) -> list[Artifact]:  # fmt: skip
        """LIVE artifacts that `node_id` of `pipeline` put out as `output`, newest first, each once.

        Newest by the execution that put it out, from the cache or newly made; with `before`, only runs of
        an earlier date count, and a later date is newer. `but` leaves out one run, `complete` those that
        are not COMPLETE. `properties` must all be equal; `spans` is the first and the last property `span`.
        `limit` 0 means all."""

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
