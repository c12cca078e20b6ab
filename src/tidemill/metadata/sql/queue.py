"""The queue of runs and what runs are asked to do: from QUEUED to RUNNING, and how one is canceled.

Every change is a compare-and-set on the run's state. Every function works inside the caller's transaction.
"""

from __future__ import annotations

import json

from tidemill.errors import RunnerError
from tidemill.metadata.model import CANCEL, MOST_ACTIVE, Run, RunState
from tidemill.metadata.sql import names, runs
from tidemill.metadata.sql.database import Transaction


def take_queued(tx: Transaction, owner: str) -> Run | None:
    """See MetadataStore."""
    names.lock_registry(tx)  # as whoever creates a run: both count what is RUNNING
    full: list[str] = []
    while True:
        others = f"AND pipeline NOT IN ({', '.join('?' * len(full))}) " if full else ""
        row = tx.row(
            "SELECT id, pipeline, settings FROM tidemill_run WHERE state = ? "
            f"{others}ORDER BY priority DESC, context_id LIMIT 1",
            (RunState.QUEUED.value, *full),
        )
        if row is None:
            return None
        run_id, pipeline, settings = row
        most = json.loads(settings or "{}").get(MOST_ACTIVE, 0)
        if most and _active(tx, pipeline) >= most:
            full.append(pipeline)
            continue
        taken = tx.execute(
            "UPDATE tidemill_run SET state = ?, owner = ?, start_time = ? WHERE id = ? AND state = ?",
            (RunState.RUNNING.value, owner, tx.now, run_id, RunState.QUEUED.value),
        )
        if taken == 1:  # else it was canceled just now
            return runs.get_run(tx, run_id)


def _active(tx: Transaction, pipeline: str) -> int:
    row = tx.row(
        "SELECT COUNT(*) FROM tidemill_run WHERE pipeline = ? AND state = ?",
        (pipeline, RunState.RUNNING.value),
    )
    return int(row[0]) if row else 0


def request_cancel(tx: Transaction, run_id: str) -> Run:
    """See MetadataStore."""
    tx.lock("SELECT id FROM tidemill_run WHERE id = ?", (run_id,))
    run = runs.get_run(tx, run_id)
    if run is None:
        raise RunnerError(f"there is no run {run_id!r} in this store")
    if run.state is RunState.QUEUED:
        tx.execute(
            "UPDATE tidemill_run SET state = ?, request = ?, end_time = ? WHERE id = ? AND state = ?",
            (RunState.CANCELED.value, CANCEL, tx.now, run_id, RunState.QUEUED.value),
        )
    elif run.state is RunState.RUNNING and run.request != CANCEL:
        tx.execute(
            "UPDATE tidemill_run SET request = ? WHERE id = ? AND state = ? AND request = ?",
            (CANCEL, run_id, RunState.RUNNING.value, run.request),
        )
    # What is read now is what was asked for, or a state that is final: asking again is never wrong.
    return runs.get_run(tx, run_id) or run


def driven_by(tx: Transaction, owner: str) -> dict[str, str]:
    """See MetadataStore."""
    rows = tx.rows(
        "SELECT id, request FROM tidemill_run WHERE state = ? AND owner = ?",
        (RunState.RUNNING.value, owner),
    )
    return {run_id: request or "" for run_id, request in rows}
