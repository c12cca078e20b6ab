"""The guards that a well-behaved SQLite never needs: each change names the state it starts from.

Under BEGIN IMMEDIATE nothing can come between reading and writing. Other databases, other programs and
later changes of this code can, so the guards are tried from inside a transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tidemill.errors import FencedError, StoreError
from tidemill.metadata.model import ClaimRequest, ExecutionState, NodeState, Publication
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.metadata.sql.claim import _take_node, standing
from tidemill.metadata.sql.names import NODE, ensure_context
from tidemill.testing.store_stories import claim_node, model, snapshot, start_run

REQUEST = ClaimRequest(run_id="r1", node_id="a", component="Trainer", owner="me")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = open_store(str(tmp_path / "metadata.db"))
    start_run(store, "r1")
    yield store
    store.close()


@pytest.mark.parametrize(
    "change", [{"fence": 5}, {"state": NodeState.FAILED}, {"attempt": 0}], ids=["fence", "state", "first"]
)
def test_a_claim_from_an_old_reading_is_refused(store: SqlStore, change: dict[str, object]) -> None:
    """Of another fence, of another state, or of a time when the node had no row."""
    claim_node(store, "r1", "a")
    before = snapshot(store, "r1")
    with store.database.reading() as tx:
        now = standing(tx, "r1", "a", 0)
    with pytest.raises(StoreError), store.database.writing() as tx:
        _take_node(tx, REQUEST, replace(now, **change), 2, 99)
    assert snapshot(store, "r1") == before


def test_an_execution_that_another_program_ended(store: SqlStore) -> None:
    """An MLMD client may have marked it: then it is not ours to end."""
    claim = claim_node(store, "r1", "a")
    with store.database.writing() as tx:
        state = ExecutionState.CANCELED.value
        tx.execute("UPDATE Execution SET last_known_state = ? WHERE id = ?", (state, claim.execution_id))
    before = snapshot(store, "r1")
    with pytest.raises(FencedError, match="no longer RUNNING"):
        store.publish(claim, Publication(state=NodeState.COMPLETE, outputs={"x": [model()]}))
    assert snapshot(store, "r1") == before
    assert claim_node(store, "r1", "a").granted, "the node can still be taken over"


def test_any_error_undoes_the_block(store: SqlStore) -> None:
    """Also one that has nothing to do with the database; ids learned in it are forgotten."""
    lost = 0

    def interrupted() -> None:
        nonlocal lost
        with store.database.writing() as tx:
            lost = ensure_context(tx, NODE, "taxi.a")
            raise KeyboardInterrupt

    before = store.statistics()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.statistics() == before
    with store.database.writing() as tx:
        assert ensure_context(tx, NODE, "taxi.b") == lost, "the id was free again"
        assert ensure_context(tx, NODE, "taxi.a") != lost
