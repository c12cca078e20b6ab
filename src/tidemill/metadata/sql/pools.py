"""Pools: slots that nodes of all runs share. What a node holds stands in its own row while it is RUNNING.

So nothing has to be given back when a node ends, however it ends, and nothing can be forgotten. The pool's
row is locked while somebody counts. Every function works inside the caller's transaction.
"""

from __future__ import annotations

from tidemill.errors import RunnerError, StoreError, did_you_mean
from tidemill.metadata.model import ClaimRequest, NodeState, Pool
from tidemill.metadata.sql.database import Transaction

_RUNNING = NodeState.RUNNING.value


def put_pool(tx: Transaction, name: str, slots: int) -> None:
    """See MetadataStore."""
    if not name or name != name.strip():
        raise StoreError(f"{name!r} cannot name a pool", hint="use a word such as gpu or warehouse")
    if slots < 0:
        raise StoreError(f"a pool has 0 slots or more, not {slots}", where=name)
    tx.lock("SELECT name FROM tidemill_pool WHERE name = ?", (name,))
    changed = tx.execute(
        "UPDATE tidemill_pool SET slots = ?, change_time = ? WHERE name = ?", (slots, tx.now, name)
    )
    if not changed:
        tx.insert_rows("tidemill_pool", "name, slots, change_time", [(name, slots, tx.now)])


def remove_pool(tx: Transaction, name: str) -> bool:
    """See MetadataStore."""
    tx.lock("SELECT name FROM tidemill_pool WHERE name = ?", (name,))
    row = tx.row(
        "SELECT run_id, node_id FROM tidemill_node WHERE pool = ? AND state = ? AND slots > 0",
        (name, _RUNNING),
    )
    if row is not None:
        raise StoreError(f"node {row[1]!r} of run {row[0]} holds slots of pool {name!r}", hint="wait for it")
    return tx.execute("DELETE FROM tidemill_pool WHERE name = ?", (name,)) == 1


def get_pools(tx: Transaction) -> list[Pool]:
    """See MetadataStore."""
    held: dict[str, int] = dict(
        tx.rows(
            "SELECT pool, SUM(slots) FROM tidemill_node WHERE pool <> '' AND state = ? GROUP BY pool",
            (_RUNNING,),
        )
    )
    rows = tx.rows("SELECT name, slots FROM tidemill_pool ORDER BY name")
    return [Pool(name=name, slots=slots, held=int(held.get(name, 0))) for name, slots in rows]


def holders(tx: Transaction, request: ClaimRequest) -> tuple[str, ...] | None:
    """Who holds the slots that a claim lacks; None when there is room. Owners may be in it once.

    Until the transaction ends nobody else can take what was found free. RunnerError when the pool is
    unknown, or can never hold as much.
    """
    tx.lock("SELECT name FROM tidemill_pool WHERE name = ?", (request.pool,))
    row = tx.row("SELECT slots FROM tidemill_pool WHERE name = ?", (request.pool,))
    if row is None:
        known = [name for (name,) in tx.rows("SELECT name FROM tidemill_pool")]
        raise RunnerError(
            f"node {request.node_id!r} needs the pool {request.pool!r}, which is not there",
            hint=f"{did_you_mean(request.pool, known)}; make it: tidemill pools set {request.pool} SLOTS",
        )
    slots = int(row[0])
    if request.slots < 1 or 0 < slots < request.slots:  # a pool of 0 is only closed for a while
        raise RunnerError(
            f"node {request.node_id!r} needs {request.slots} slots of pool {request.pool!r}, "
            f"which has {slots}",
            hint=f"make it larger: tidemill pools set {request.pool} {request.slots}",
        )
    for owner in request.dead:
        tx.execute(
            "UPDATE tidemill_node SET slots = 0 WHERE pool = ? AND state = ? AND owner = ?",
            (request.pool, _RUNNING, owner),
        )
    found = tx.rows(
        "SELECT owner, SUM(slots) FROM tidemill_node WHERE pool = ? AND state = ? AND slots > 0 "
        "AND NOT (run_id = ? AND node_id = ? AND iteration = ?) GROUP BY owner ORDER BY owner",
        (request.pool, _RUNNING, request.run_id, request.node_id, request.iteration),
    )
    if sum(int(held) for _, held in found) + request.slots <= slots:
        return None
    return tuple(owner for owner, _ in found)
