"""Items of loops are read once per process, and are nobody's to change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tidemill.metadata.model import Execution, NodeState
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.runtime.upstream import ITEMS, items_of
from tidemill.testing.store_stories import claim_node, end_node, start_run


def test_items_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each iteration asks for all of them: reading them each time would cost their number squared."""
    store = open_store(str(tmp_path / "metadata.db"))
    start_run(store, "r1")
    end_node(store, "r1", "loop", state=NodeState.COMPLETE, properties={ITEMS: '[{"a": [1]}, 2]'})
    (record,) = store.get_nodes("r1")
    asked: list[list[int]] = []
    honest = SqlStore.get_executions_by_id

    def counted(self: SqlStore, ids: Sequence[int]) -> list[Execution]:
        asked.append(list(ids))
        return honest(self, ids)

    monkeypatch.setattr(SqlStore, "get_executions_by_id", counted)
    for _ in range(3):
        assert items_of(store, [record.execution_id]) == {record.execution_id: [{"a": [1]}, 2]}
    assert [ids for ids in asked if ids] == [[record.execution_id]]
    store.close()


def test_items_of_a_loop_that_runs_are_not_kept(tmp_path: Path) -> None:
    """Before its publication an execution says nothing of them."""
    store = open_store(str(tmp_path / "metadata.db"))
    start_run(store, "r1")
    claim = claim_node(store, "r1", "loop")
    assert items_of(store, [claim.execution_id]) == {claim.execution_id: []}
    end_node(store, "r1", "other", state=NodeState.COMPLETE)
    end_node(store, "r1", "loop", state=NodeState.COMPLETE, properties={ITEMS: "[7]"})
    newest = store.get_nodes("r1", [("loop", 0)])[0].execution_id
    assert items_of(store, [newest]) == {newest: [7]}
    store.close()


def test_another_store_has_other_items(tmp_path: Path) -> None:
    """The same number of an execution means another one there."""
    for text, items in (("[1]", [1]), ("[2]", [2])):
        store = open_store(str(tmp_path / f"{items[0]}.db"))
        start_run(store, "r1")
        end_node(store, "r1", "loop", state=NodeState.COMPLETE, properties={ITEMS: text})
        (record,) = store.get_nodes("r1")
        assert items_of(store, [record.execution_id]) == {record.execution_id: items}
        store.close()
