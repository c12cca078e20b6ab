"""What became of a node whose launcher ran elsewhere, in a container of an engine: the record says it.

That such a container ended is all that its engine knows. It may have published, or been lost before it could;
what its exit code was worth, the record decides.
"""

from __future__ import annotations

from tidemill.metadata.model import CANCEL, RETRY_AT, NodeState, Run
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.task import Again
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.launch import LOG, Outcome

FULL = 75
"""Exit code of a launcher that claimed nothing because the pool has no room (EX_TEMPFAIL of sysexits.h)."""


def outcome_of(
    store: MetadataStore, run: Run, node_id: str, iteration: int = 0, *, attempt: int = 0, exit_code: int = 0,
    said: str = "", cancel: CancelToken,
) -> Outcome:  # fmt: skip
    """How the node ended in a container that is gone, whose launcher was told to make this attempt.

    Again when the container was lost: before it claimed the node, while it worked, or because its cluster
    ended it though nobody asked for that. `said` is what the engine knows of it.
    """
    record = next(iter(store.get_nodes(run.id, [(node_id, iteration)])), None)
    tail = f": {said}" if said else ""
    claimed = record is not None and record.attempt >= attempt
    if exit_code == FULL and not (claimed and record is not None and record.state.succeeded):
        return Outcome(state=NodeState.RUNNING, node_id=node_id, iteration=iteration, waiting="pool")
    if record is None or not claimed:
        raise Again(f"{node_id}: the container ended before the node began{tail}")
    if record.state is NodeState.RUNNING:
        raise Again(f"{node_id}: the container was lost while the node ran{tail}")
    if record.state is NodeState.CANCELED:
        asked = store.get_run(run.id)
        if (cancel.lost or not cancel.canceled) and (asked is None or asked.request != CANCEL):
            raise Again(f"{node_id}: the cluster ended the container, and nobody here had asked for it{tail}")
    (execution,) = store.get_executions_by_id([record.execution_id])
    return Outcome(
        state=record.state, node_id=node_id, iteration=iteration, execution_id=record.execution_id,
        attempt=record.attempt, message=record.message,
        retry_at=int(execution.custom_properties.get(RETRY_AT, 0)),
        log=str(execution.custom_properties.get(LOG, "")),
    )  # fmt: skip
