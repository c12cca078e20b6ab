"""Servers that crash and connections that are cut: the store goes on, and everything happens once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.model import ExecutionState, NodeState, Publication, RunState
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.testing.store_stories import claim_node, model, start_run

PUBLICATION = Publication(
    state=NodeState.COMPLETE, outputs={"x": [model()]}, properties={"note": "n"}, cache_key="k"
)


@pytest.fixture
def name(server: Any) -> Iterator[str]:
    with server.database() as name:
        yield name


@pytest.fixture
def store(server: Any, name: str) -> Iterator[SqlStore]:
    """Straight to the server."""
    store = open_store(server.url(name, server.port))
    yield store
    store.close()


@pytest.fixture
def far(server: Any, name: str, proxy: Any) -> Iterator[SqlStore]:
    """The same store, through the proxy."""
    store = open_store(server.url(name, proxy.port))
    yield store
    store.close()


@pytest.fixture(params=["BEFORE", "AFTER", "MEANWHILE"])
def cut(request: pytest.FixtureRequest, proxy: Any) -> Callable[[], None]:
    """Cuts the connection at the next COMMIT."""
    kind = type(proxy)._exchange.__globals__["Cut"][request.param]
    return lambda: proxy.cut_at("COMMIT", kind)


def check_published_once(store: SqlStore) -> None:
    (record,) = store.get_nodes("r1")
    assert (record.state, record.cache_key) == (NodeState.COMPLETE, "k")
    (execution,) = store.get_executions("r1")
    assert execution.custom_properties == {"note": "n"}
    counts = store.statistics()
    assert [counts[t] for t in ("Artifact", "Event", "EventPath", "Attribution")] == [1, 1, 2, 3]


def test_cut_at_the_commit_of_a_publication(
    store: SqlStore, far: SqlStore, proxy: Any, cut: Callable[[], None]
) -> None:
    start_run(store, "r1")
    claim = claim_node(store, "r1", "a")
    cut()
    assert far.publish(claim, PUBLICATION) == claim.execution_id
    assert proxy.cuts == 1
    check_published_once(store)


def test_cut_at_the_commit_of_a_claim(
    store: SqlStore, far: SqlStore, proxy: Any, cut: Callable[[], None]
) -> None:
    """Whoever asked has the node, as attempt 1, whether the attempt is counted by the caller or here."""
    start_run(store, "r1")
    for node, attempt in (("a", 1), ("b", None)):
        cut()
        claim = claim_node(far, "r1", node, attempt=attempt, owner="me")
        assert (claim.granted, claim.attempt, claim.fence) == (True, 1, 1)
        far.publish(claim, PUBLICATION)
    assert proxy.cuts == 2
    assert [e.state for e in store.get_executions("r1")] == [ExecutionState.COMPLETE] * 2


def test_cut_at_the_commit_of_a_run(
    store: SqlStore, far: SqlStore, proxy: Any, cut: Callable[[], None]
) -> None:
    """Creating, taking and ending it; who lost the answer is told what happened, not that it is taken."""
    cut()
    start_run(far, "r1")
    cut()
    assert far.take_run("r1", owner="me", expected_owner="driver")
    cut()
    assert far.end_run("r1", RunState.COMPLETE, owner="me")
    cut()
    far.put_pipeline_version("v1", "taxi", "{}")
    assert proxy.cuts == 4
    (run,) = store.get_runs()
    assert (run.state, run.owner) == (RunState.COMPLETE, "me")
    counts = store.statistics()
    tables = ("tidemill_run", "Context", "ParentContext", "tidemill_pipeline_version")
    assert [counts[table] for table in tables] == [1, 2, 1, 1]
    with pytest.raises(StoreError, match="already"):
        start_run(far, "r1")


def test_cut_while_reading(store: SqlStore, far: SqlStore, proxy: Any) -> None:
    start_run(store, "r1")
    proxy.cut_at("tidemill_run", type(proxy)._exchange.__globals__["Cut"].BEFORE)
    assert [r.id for r in far.get_runs()] == ["r1"]
    assert proxy.cuts == 1


@pytest.mark.parametrize("at", [1, 4, -1], ids=["first", "middle", "commit"])
def test_the_server_is_killed_before_a_statement(
    server: Any, store: SqlStore, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 and a new start, while a publication is under way: it is made, once."""
    start_run(store, "r1")
    claim = claim_node(store, "r1", "a")
    seen = 0
    execute = type(store.database.dialect).execute
    killed = False

    def dying(self: Any, cursor: Any, sql: str, *rest: Any) -> None:
        nonlocal seen, killed
        seen += 1
        if not killed and (seen == at or (at == -1 and sql == "COMMIT")):
            killed = True
            server.kill()
            server.begin()
        execute(self, cursor, sql, *rest)

    monkeypatch.setattr(type(store.database.dialect), "execute", dying)
    assert store.publish(claim, PUBLICATION) == claim.execution_id
    assert killed
    server.start()
    check_published_once(store)


def test_a_server_that_stopped_between_two_calls(server: Any, store: SqlStore) -> None:
    """Idle connections died with it; nobody who asks afterwards notices."""
    start_run(store, "r1")
    server.kill()
    server.start()
    assert store.get_nodes("r1") == []
    server.kill()
    server.start()
    assert claim_node(store, "r1", "a").granted


def test_a_server_that_never_answered_is_not_waited_for(server: Any, store: SqlStore, name: str) -> None:
    """Whoever mistyped an address learns so at once, without the password."""
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        open_store(server.url(name, 1))
    assert "127.0.0.1:1" in str(caught.value)
    assert "sesame" not in str(caught.value) + repr(caught.value) + str(caught.value.__cause__)
