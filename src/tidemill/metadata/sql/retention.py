"""Choosing what a retention policy lets go, and taking it out of use in the same transaction.

An artifact goes in two steps: MARKED_FOR_DELETION, from which moment nothing reuses it, and DELETED
when its files are gone. Whatever dies between the two, asking again goes on with it. Rows are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tidemill.errors import StoreError
from tidemill.metadata.model import BLESSINGS, Artifact, ArtifactState, Run, RunState
from tidemill.metadata.retention import Retention, RetentionPolicy
from tidemill.metadata.sql import names, runs
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.reading import artifacts_by_id

_ALL = 2**62
"""A limit that no number of runs reaches."""
_PRESENT = (ArtifactState.LIVE, ArtifactState.MARKED_FOR_DELETION)


def choose(tx: Transaction, policy: RetentionPolicy) -> Retention:
    """What `policy` lets go now; StoreError for a policy that keeps nothing."""
    if policy.keep_last < 1:
        raise StoreError(
            f"keep_last is {policy.keep_last}; at least one complete run of each pipeline is kept",
            hint="the next run needs the champion and the window that it refers to",
        )
    gone = _runs_to_go(policy, runs.get_runs(tx, pipeline="", state=None, limit=_ALL))
    contexts = tx.rows_in("SELECT context_id FROM tidemill_run WHERE id IN ({ids})", [r.id for r in gone])
    context_ids = [context_id for (context_id,) in contexts]
    linked = tx.rows_in(
        "SELECT DISTINCT artifact_id FROM Attribution WHERE context_id IN ({ids})", context_ids
    )
    below = policy.root.rstrip("/") + "/"
    known = artifacts_by_id(tx, [artifact_id for (artifact_id,) in linked])
    candidates = [a for a in known if a.state in _PRESENT and a.uri.startswith(below)]
    used = _used_elsewhere(tx, [a.id for a in candidates], context_ids)
    return Retention(
        runs=tuple(reversed(gone)),
        artifacts=tuple(a for a in candidates if a.id not in used),
        kept=tuple(a for a in candidates if a.id in used),
    )


def mark(tx: Transaction, policy: RetentionPolicy) -> Retention:
    """`choose`, and take the artifacts out of use. StoreError while any run is RUNNING.

    A run that is under way may have decided to reuse one of them; a run that starts later sees the mark.
    """
    names.lock_registry(tx)  # no run starts between the question and the marks
    running = runs.get_runs(tx, pipeline="", state=RunState.RUNNING, limit=1)
    if running:
        raise StoreError(
            f"run {running[0].id} is RUNNING and may be using what would be deleted",
            hint="wait for it, or resume it if its runner died",
        )
    chosen = choose(tx, policy)
    set_state(tx, [a.id for a in chosen.artifacts], ArtifactState.MARKED_FOR_DELETION, _PRESENT)
    return chosen


def mark_deleted(tx: Transaction, artifact_ids: Iterable[int]) -> None:
    """MARKED_FOR_DELETION -> DELETED, once the files are gone."""
    set_state(tx, artifact_ids, ArtifactState.DELETED, (ArtifactState.MARKED_FOR_DELETION,))


def _runs_to_go(policy: RetentionPolicy, newest_first: list[Run]) -> list[Run]:
    """The runs that fit the policy, newest first."""
    complete: Counter[str] = Counter()
    bases = {run.base_run for run in newest_first if not run.state.ended}
    gone = []
    for run in newest_first:
        if run.state is RunState.COMPLETE:
            complete[run.pipeline] += 1
            if complete[run.pipeline] <= policy.keep_last:
                continue
        fits = (
            run.state.ended
            and not run.pipeline.endswith(BLESSINGS)  # what people decided stays, and counts
            and run.id not in bases  # its results are yet to be taken
            and policy.run in ("", run.id)
            and policy.pipeline in ("", run.pipeline)
            and policy.state in (None, run.state)
            and (not policy.ended_before or run.end_time < policy.ended_before)
        )
        if fits:
            gone.append(run)
    return gone


def _used_elsewhere(tx: Transaction, artifact_ids: list[int], contexts: list[int]) -> set[int]:
    """Those of the artifacts that an execution outside of the run contexts has an event with, or that
    somebody put into a context of their own: so others name what they have in use, an alias for example."""
    inside = {
        execution_id
        for (execution_id,) in tx.rows_in(
            "SELECT execution_id FROM Association WHERE context_id IN ({ids})", contexts
        )
    }
    events = tx.rows_in(
        "SELECT artifact_id, execution_id FROM Event WHERE artifact_id IN ({ids})", artifact_ids
    )
    used = {artifact_id for artifact_id, execution_id in events if execution_id not in inside}
    own = ", ".join(f"'{name}'" for name in (names.PIPELINE, names.RUN, names.NODE))
    grouped = tx.rows_in(
        "SELECT a.artifact_id FROM Attribution a JOIN Context c ON c.id = a.context_id "
        f"JOIN Type t ON t.id = c.type_id WHERE t.name NOT IN ({own}) AND a.artifact_id IN ({{ids}})",
        artifact_ids,
    )
    return used | {artifact_id for (artifact_id,) in grouped}


def set_state(
    tx: Transaction, artifact_ids: Iterable[int], state: ArtifactState, before: tuple[ArtifactState, ...]
) -> None:
    """Bring artifacts into a state, from one of those in `before` alone."""
    numbers = ", ".join(str(s.value) for s in before)
    for artifact_id in artifact_ids:
        tx.execute(
            "UPDATE Artifact SET state = ?, last_update_time_since_epoch = ? "
            f"WHERE id = ? AND state IN ({numbers})",
            (state.value, tx.now, artifact_id),
        )


def marked(tx: Transaction) -> list[Artifact]:
    """Artifacts of tidemill's runs whose files are still to be removed. Marks of others are theirs."""
    rows = tx.rows(
        "SELECT DISTINCT a.id FROM Artifact a JOIN Attribution t ON t.artifact_id = a.id "
        "JOIN tidemill_run r ON r.context_id = t.context_id WHERE a.state = ?",
        (ArtifactState.MARKED_FOR_DELETION.value,),
    )
    return artifacts_by_id(tx, [artifact_id for (artifact_id,) in rows])
