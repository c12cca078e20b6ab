"""Claim: who runs a node now, decided by compare-and-set on the node's row.

A claim writes the record of the attempt (an MLMD execution in state RUNNING) together with the node's
row, so that neither is ever seen without the other. What the attempt did is written by publish.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tidemill.errors import FencedError, RunnerError, StoreError
from tidemill.metadata.model import (
    FAILURE,
    LOST,
    Claim,
    ClaimRequest,
    ExecutionState,
    NodeState,
    RunState,
    TypeKind,
)
from tidemill.metadata.sql import names, pools
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.properties import custom_rows, insert_properties

_STANDING = """
    SELECT r.state, r.pipeline, r.context_id,
           n.state, n.attempt, n.fence, n.execution_id, n.owner, n.message
    FROM tidemill_run r
    LEFT JOIN tidemill_node n ON n.run_id = r.id AND n.node_id = ? AND n.iteration = ?
    WHERE r.id = ?
"""
_NODE_COLUMNS = (
    "run_id, node_id, iteration, state, attempt, fence, execution_id, first_execution_id, owner, "
    "cache_key, message, start_time, end_time, pool, slots"
)
_CLAIMABLE = (NodeState.RUNNING, NodeState.FAILED, NodeState.CANCELED)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a node of a run stands. `attempt` is 0 when it was never claimed."""

    run_state: str
    pipeline: str
    run_context: int
    state: NodeState = NodeState.FAILED
    attempt: int = 0
    fence: int = 0
    execution_id: int = 0
    owner: str = ""
    message: str = ""


def standing(tx: Transaction, run_id: str, node_id: str, iteration: int) -> Standing:
    """Read where a node stands; RunnerError when there is no such run.

    A writing transaction is alone with the run from here on: whoever else claims, publishes or ends the
    run waits, so that what is read stays true until it is changed.
    """
    tx.lock("SELECT id FROM tidemill_run WHERE id = ?", (run_id,))
    row = tx.row(_STANDING, (node_id, iteration, run_id))
    if row is None:
        raise RunnerError(f"there is no run {run_id!r} in this store")
    run_state, pipeline, run_context, state, *rest = row
    if state is None:
        return Standing(run_state, pipeline, run_context)
    return Standing(run_state, pipeline, run_context, NodeState(state), *rest)


def claim(tx: Transaction, request: ClaimRequest) -> Claim:
    """See MetadataStore.claim."""
    if request.attempt is not None and request.attempt < 1:
        raise StoreError(f"attempts count from 1, not {request.attempt}", where=request.node_id)
    now = standing(tx, request.run_id, request.node_id, request.iteration)
    if request.request_id and (known := _granted_before(tx, request)):
        return _again(request, now, known)
    attempt = now.attempt + 1 if request.attempt is None else request.attempt
    if now.state.succeeded or (now.attempt and (now.state not in _CLAIMABLE or attempt <= now.attempt)):
        return _answer(request, now)
    if now.run_state != RunState.RUNNING.value:
        raise RunnerError(
            f"run {request.run_id} is {now.run_state}: node {request.node_id!r} cannot start any more",
            hint="start a new run, or resume this one first",
        )
    if request.pool and (holders := pools.holders(tx, request)) is not None:
        return replace(_answer(request, now), full=request.pool, holders=holders)
    if now.attempt and now.state is NodeState.RUNNING:
        _mark_lost(tx, now.execution_id, attempt)
    execution_id = _add_execution(tx, request, attempt)
    _associate(tx, now, request, execution_id)
    _take_node(tx, request, now, attempt, execution_id)
    return _grant(request, attempt, now.fence + 1, execution_id)


def landed(tx: Transaction, answer: Claim) -> bool:
    """Whether a claim whose commit got no answer is stored, and still stands."""
    if not answer.granted:
        return True
    now = standing(tx, answer.run_id, answer.node_id, answer.iteration)
    return (now.execution_id, now.fence, now.owner) == (answer.execution_id, answer.fence, answer.owner)


def _granted_before(tx: Transaction, request: ClaimRequest) -> int:
    """Id of the execution that this very request was granted; 0 when it was not."""
    row = tx.row("SELECT id, name FROM Execution WHERE external_id = ?", (external_id(request.request_id),))
    if row is None:
        return 0
    if not row[1].startswith(f"{request.run_id}/{request.node_id}/{request.iteration}/"):
        raise StoreError(
            f"request id {request.request_id!r} belongs to the claim of {row[1]}",
            hint="choose a new id for each request",
        )
    return int(row[0])


def _again(request: ClaimRequest, now: Standing, execution_id: int) -> Claim:
    """The same answer as before, unless the attempt was taken over or ended meanwhile."""
    if (now.execution_id, now.state) == (execution_id, NodeState.RUNNING):
        return _grant(request, now.attempt, now.fence, execution_id)
    return _answer(request, now)


def external_id(request_id: str) -> str | None:
    """How a request id is kept: as MLMD's external id, which no two rows of a table share."""
    return f"tidemill-request:{request_id}" if request_id else None


def _grant(request: ClaimRequest, attempt: int, fence: int, execution_id: int) -> Claim:
    return Claim(
        granted=True, run_id=request.run_id, node_id=request.node_id, iteration=request.iteration,
        attempt=attempt, fence=fence, execution_id=execution_id, state=NodeState.RUNNING,
        owner=request.owner,
    )  # fmt: skip


def _answer(request: ClaimRequest, now: Standing) -> Claim:
    """Not granted: how the node ended, or who runs it."""
    return Claim(
        granted=False, run_id=request.run_id, node_id=request.node_id, iteration=request.iteration,
        attempt=now.attempt, fence=now.fence, execution_id=now.execution_id, state=now.state,
        owner=now.owner, message=now.message,
    )  # fmt: skip


def _mark_lost(tx: Transaction, execution_id: int, attempt: int) -> None:
    """End the execution that is taken over; whoever ran it can no longer publish."""
    ended = tx.execute(
        "UPDATE Execution SET last_known_state = ?, last_update_time_since_epoch = ? "
        "WHERE id = ? AND last_known_state = ?",
        (ExecutionState.FAILED.value, tx.now, execution_id, ExecutionState.RUNNING.value),
    )
    if ended:
        error = f"lost: attempt {attempt} took over"
        insert_properties(tx, "Execution", custom_rows(execution_id, {"error": error, FAILURE: LOST}))


def _add_execution(tx: Transaction, request: ClaimRequest, attempt: int) -> int:
    type_id = names.ensure_type(tx, TypeKind.EXECUTION, request.component)
    return tx.insert(
        "Execution",
        "type_id, last_known_state, name, external_id, create_time_since_epoch, last_update_time_since_epoch",
        (
            type_id,
            ExecutionState.RUNNING.value,
            f"{request.run_id}/{request.node_id}/{request.iteration}/{attempt}",
            external_id(request.request_id),
            tx.now,
            tx.now,
        ),
    )


def _associate(tx: Transaction, now: Standing, request: ClaimRequest, execution_id: int) -> None:
    contexts = (
        names.ensure_context(tx, names.PIPELINE, now.pipeline),
        now.run_context,
        names.ensure_context(tx, names.NODE, names.node_name(now.pipeline, request.node_id)),
    )
    tx.insert_rows("Association", "context_id, execution_id", [(c, execution_id) for c in contexts])


def _take_node(
    tx: Transaction, request: ClaimRequest, now: Standing, attempt: int, execution_id: int
) -> None:
    """The compare-and-set: only from the very state and fence that were read."""
    key = (request.run_id, request.node_id, request.iteration)
    slots = request.slots if request.pool else 0
    if not now.attempt:
        state = (NodeState.RUNNING.value, attempt, 1, execution_id, execution_id)
        row = (*key, *state, request.owner, "", "", tx.now, 0, request.pool, slots)
        tx.insert_rows("tidemill_node", _NODE_COLUMNS, [row])
        return
    taken = tx.execute(
        "UPDATE tidemill_node SET state = ?, attempt = ?, fence = fence + 1, execution_id = ?, owner = ?, "
        "cache_key = '', message = '', start_time = ?, end_time = 0, pool = ?, slots = ? "
        "WHERE run_id = ? AND node_id = ? AND iteration = ? AND state = ? AND fence = ?",
        (NodeState.RUNNING.value, attempt, execution_id, request.owner, tx.now, request.pool, slots,
         *key, now.state.value, now.fence),
    )  # fmt: skip
    if taken != 1:
        raise FencedError(
            f"node {request.node_id!r} of run {request.run_id} was claimed by another process just now",
            hint="ask again: the answer says who runs it",
        )
