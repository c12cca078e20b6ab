"""Answers that are lost, servers that start again: all happens once, and nothing runs for nobody."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.request import urlopen

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.model import ExecutionState, NodeState, Publication, RunState
from tidemill.metadata.open import open_store
from tidemill.metadata.remote import client
from tidemill.metadata.sql import open_store as open_database
from tidemill.metadata.store import MetadataStore
from tidemill.testing.store_stories import claim_node, model, start_run

PUBLICATION = Publication(state=NodeState.COMPLETE, outputs={"x": [model()]}, cache_key="k")


@pytest.fixture
def http(serving: Any) -> Iterator[Any]:
    """A server over HTTP: its words can be read on the way."""
    with serving("http") as server:
        yield server


@pytest.fixture
def way(http: Any, beside: Any) -> Iterator[Any]:
    """A proxy before it."""
    with beside("proxy").Proxy(int(http.url.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture
def far(way: Any) -> Iterator[MetadataStore]:
    """Its store, through the proxy."""
    with closing(open_store(f"http://127.0.0.1:{way.port}")) as store:
        yield store


@pytest.fixture
def record(http: Any) -> Iterator[MetadataStore]:
    """The database behind it."""
    with closing(open_database(http.database)) as store:
        yield store


@pytest.fixture(params=["BEFORE", "AFTER", "MEANWHILE"])
def cut(request: pytest.FixtureRequest, way: Any, beside: Any) -> Callable[[str], None]:
    """Cuts the connection at the next call of a method."""
    kind = beside("proxy").Cut[request.param]
    return lambda method: way.cut_at(method, kind)


def test_a_claim_whose_answer_is_lost(
    record: MetadataStore, far: MetadataStore, way: Any, cut: Callable[[str], None]
) -> None:
    """Whoever asked has the node, as attempt 1, whether it counts attempts or the store does."""
    start_run(record, "r1")
    for node, attempt in (("a", 1), ("b", None)):
        cut("claim")
        claim = claim_node(far, "r1", node, attempt=attempt, owner="me")
        assert (claim.granted, claim.attempt, claim.fence, claim.owner) == (True, 1, 1, "me")
        cut("publish")
        assert far.publish(claim, PUBLICATION) == claim.execution_id
    assert way.cuts == 4
    assert [e.state for e in record.get_executions("r1")] == [ExecutionState.COMPLETE] * 2
    assert record.statistics()["Artifact"] == 2


def test_a_run_whose_answers_are_lost(
    record: MetadataStore, far: MetadataStore, way: Any, cut: Callable[[str], None]
) -> None:
    """Created, taken and ended: whoever lost the answer is told what happened, not that it is taken."""
    cut("create_run")
    start_run(far, "r1")
    cut("take_run")
    assert far.take_run("r1", owner="me", expected_owner="driver")
    cut("end_run")
    assert far.end_run("r1", RunState.COMPLETE, owner="me")
    cut("put_pipeline_version")
    far.put_pipeline_version("v1", "taxi", "{}")
    cut("get_runs")
    (run,) = far.get_runs()
    assert (run.state, run.owner) == (RunState.COMPLETE, "me")
    assert way.cuts == 5
    counts = record.statistics()
    tables = ("tidemill_run", "Context", "ParentContext", "tidemill_pipeline_version")
    assert [counts[table] for table in tables] == [1, 2, 1, 1]
    with pytest.raises(StoreError, match="already"):
        start_run(far, "r1")


def test_a_change_that_lost_is_not_taken_for_ones_own(
    record: MetadataStore, far: MetadataStore, cut: Callable[[str], None]
) -> None:
    """The repeated call says no, and it was somebody else who did it."""
    start_run(record, "r1")
    assert record.take_run("r1", owner="you", expected_owner="driver")
    cut("take_run")
    assert not far.take_run("r1", owner="me", expected_owner="driver")
    cut("end_run")
    assert not far.end_run("r1", RunState.COMPLETE, owner="me")
    run = record.get_run("r1")
    assert run is not None
    assert (run.owner, run.state) == ("you", RunState.RUNNING)


def test_a_claim_that_arrives_twice_and_late(record: MetadataStore, http: Any) -> None:
    """The first try is on its way still when the second is granted: it finds that, and takes nothing."""
    start_run(record, "r1")
    with closing(open_store(http.url)) as store:
        mine = claim_node(store, "r1", "a", owner="me", request_id="q")
        store.publish(mine, Publication(state=NodeState.FAILED))
        late = claim_node(store, "r1", "a", owner="me", request_id="q")
        assert (late.granted, late.state) == (False, NodeState.FAILED)
    assert len(record.get_executions("r1")) == 1


def test_the_server_is_killed_and_starts_again(served: Any) -> None:
    """Callers wait for it, whatever they asked, and what they did is there once."""
    with closing(open_store(served.url)) as store:
        start_run(store, "r1")
        start_run(store, "r2")
        asked = threading.Barrier(5)

        def work(number: int) -> int:
            asked.wait()
            claim = claim_node(store, "r1", f"n{number}", owner=f"w{number}")
            assert claim.granted
            return store.publish(claim, PUBLICATION)

        served.kill()
        with ThreadPoolExecutor(5) as pool:
            works = [pool.submit(work, i) for i in range(4)]
            asked.wait()
            runs = pool.submit(store.get_runs)
            served.start()
            ends = {w.result(60) for w in works}
            assert [r.id for r in runs.result(60)] == ["r2", "r1"]
        assert len(ends) == 4
        nodes = store.get_nodes("r1")
        assert {(n.state, n.attempt, n.fence) for n in nodes} == {(NodeState.COMPLETE, 1, 1)}
        assert len(store.get_executions("r1")) == len(store.get_artifacts()) == 4


def test_kills_at_any_moment_leave_nothing_twice(served: Any) -> None:
    """kill -9 again and again while four workers claim and publish: each node ends once, as attempt 1."""
    with closing(open_store(served.url)) as store:
        start_run(store, "r1")
        over = threading.Event()

        def work(number: int) -> None:
            for i in range(12):
                claim = claim_node(store, "r1", f"n{number}-{i}", owner=f"w{number}")
                assert (claim.granted, claim.attempt) == (True, 1)
                store.publish(claim, PUBLICATION)

        with ThreadPoolExecutor(4) as pool:
            works = [pool.submit(work, i) for i in range(4)]
            kills = 0
            while not all(w.done() for w in works):
                before = len(store.get_executions("r1"))
                while len(store.get_executions("r1")) < min(before + 5, 48):  # it got somewhere
                    if all(w.done() for w in works):
                        break
                served.kill()
                served.start()
                kills += 1
            over.set()
            for w in works:
                w.result()
        assert kills >= 2
        executions = store.get_executions("r1")
        assert [e.state for e in executions] == [ExecutionState.COMPLETE] * 48
        assert {(n.state, n.fence) for n in store.get_nodes("r1")} == {(NodeState.COMPLETE, 1)}
        assert len(store.get_artifacts()) == 48
        assert [f.invariant for f in store.findings()] == ["a-run-has-a-version"]


def test_patience_ends(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an error that says what, where and what next; the store is whole when the server is back."""
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.2)
    with closing(open_store(served.url)) as store:
        start_run(store, "r1")
        served.kill()
        with pytest.raises(StoreError, match=r"no answer in 0\.2 s") as caught:
            store.get_runs()
        assert served.url in str(caught.value)
        monkeypatch.undo()
        served.start()
        assert len(store.get_runs()) == 1


def test_a_server_that_never_answered_is_not_waited_for(served: Any) -> None:
    served.kill()
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        open_store(served.url)
    assert "tidemill metadata serve" in caught.value.hint


def test_closing_ends_the_waiting(served: Any) -> None:
    store = open_store(served.url)
    served.kill()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(store.get_runs)
        while not asked.running():
            pass
        store.close()
        assert isinstance(asked.exception(20), StoreError)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_signal_lets_the_call_under_way_end(serving: Any, scheme: str, sent: signal.Signals) -> None:
    """The claim waits for a lock that the test holds; the signal comes while it waits."""
    with (
        serving(scheme, both=True) as server,
        closing(open_database(server.database)) as record,
        closing(open_store(server.url)) as store,
        ThreadPoolExecutor(1) as pool,
    ):
        start_run(record, "r1")
        with record.database.writing():
            claim = pool.submit(claim_node, store, "r1", "a")
            metrics = f"http://127.0.0.1:{server.ports['http']}/metrics"
            while b"calls_under_way 1.0" not in urlopen(metrics).read():
                assert not claim.done()
            server.signal(sent)
            assert not server.wait(0.3)
        granted = claim.result(60)
        assert (granted.granted, granted.attempt) == (True, 1)
        assert server.wait()
        assert len(record.get_executions("r1")) == 1
