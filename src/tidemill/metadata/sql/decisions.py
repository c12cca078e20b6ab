"""Decisions about nodes that wait for approval: one each, made once, kept for ever.

Every function works inside the caller's transaction.
"""

from __future__ import annotations

from tidemill.errors import RunnerError, StoreError
from tidemill.metadata.model import Decision, RunState
from tidemill.metadata.sql.database import Row, Transaction

_COLUMNS = "run_id, node_id, iteration, granted, decided_by, comment, create_time"


def put_decision(tx: Transaction, decision: Decision) -> Decision:
    """See MetadataStore."""
    if not decision.by:
        raise StoreError("a decision needs the name of who made it", where=decision.node_id)
    tx.lock("SELECT id FROM tidemill_run WHERE id = ?", (decision.run_id,))
    row = tx.row("SELECT state FROM tidemill_run WHERE id = ?", (decision.run_id,))
    if row is None:
        raise RunnerError(f"there is no run {decision.run_id!r} in this store")
    first = get_decision(tx, decision.run_id, decision.node_id, decision.iteration)
    if first is not None:
        return first
    if RunState(row[0]).ended:
        raise RunnerError(f"run {decision.run_id} is {row[0]}: nothing in it waits for a decision any more")
    tx.insert_rows(
        "tidemill_decision",
        _COLUMNS,
        [(decision.run_id, decision.node_id, decision.iteration, decision.granted, decision.by,
          decision.comment, decision.time or tx.now)],
    )  # fmt: skip
    return get_decision(tx, decision.run_id, decision.node_id, decision.iteration) or decision


def get_decision(tx: Transaction, run_id: str, node_id: str, iteration: int) -> Decision | None:
    """See MetadataStore."""
    row = tx.row(
        f"SELECT {_COLUMNS} FROM tidemill_decision WHERE run_id = ? AND node_id = ? AND iteration = ?",
        (run_id, node_id, iteration),
    )
    return _decision(row) if row else None


def get_decisions(tx: Transaction, run_id: str) -> list[Decision]:
    """See MetadataStore."""
    condition, values = ("WHERE run_id = ?", (run_id,)) if run_id else ("", ())
    rows = tx.rows(
        f"SELECT {_COLUMNS} FROM tidemill_decision {condition} "
        "ORDER BY create_time, run_id, node_id, iteration",
        values,
    )
    return [_decision(row) for row in rows]


def _decision(row: Row) -> Decision:
    run_id, node_id, iteration, granted, by, comment, time = row
    return Decision(
        run_id=run_id, node_id=node_id, iteration=iteration, granted=bool(granted), by=by, comment=comment,
        time=time,
    )  # fmt: skip
