"""What every metadata store must do, as tests. Subclass `StoreSuite` and give it a store:

    class TestMyStore(StoreSuite):
        @pytest.fixture
        def make_store(self, tmp_path):
            return functools.partial(open_store, f"{tmp_path}/metadata.db")

`make_store` is a fixture whose value, called without arguments, opens the store of this test; every
call opens the same one again, as another process would. It must be picklable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tidemill.errors import RunnerError, StoreError
from tidemill.metadata.model import (
    FAILURE,
    LOST,
    Artifact,
    ArtifactType,
    ExecutionState,
    NodeState,
    PropertyType,
    Publication,
    Run,
    RunState,
)
from tidemill.metadata.store import MetadataStore
from tidemill.testing.store_machine import ClaimMachine
from tidemill.testing.store_pools import StorePools
from tidemill.testing.store_publications import StorePublications
from tidemill.testing.store_questions import StoreQuestions
from tidemill.testing.store_queue import StoreQueue
from tidemill.testing.store_races import (
    Callers,
    MakeStore,
    StoreProcesses,
    StoreRaces,
    in_processes,
    in_threads,
)
from tidemill.testing.store_search import StoreSearch
from tidemill.testing.store_stories import TYPES, claim_node, end_node, snapshot, start_run
from tidemill.testing.store_upkeep import StoreUpkeep

ENDS = [s for s in NodeState if s is not NodeState.RUNNING]


class _Fixtures:
    @pytest.fixture
    def make_store(self) -> MakeStore:
        """To be given by the subclass."""
        raise NotImplementedError("subclass StoreSuite and define the fixture make_store")

    @pytest.fixture
    def callers(self) -> Callers:
        """How many call at once."""
        return in_threads

    @pytest.fixture
    def store(self, make_store: MakeStore) -> Iterator[MetadataStore]:
        """The store of this test, closed at its end."""
        store = make_store()
        yield store
        store.close()


class _Runs:
    def test_pipeline_versions(self, store: MetadataStore) -> None:
        """Kept under their hash, as they are; again is a no-op; an unknown one is an error."""
        for _ in range(2):
            store.put_pipeline_version("sha256:1", "taxi", '{"name": "tåxi"}')
        assert store.get_pipeline_version("sha256:1") == '{"name": "tåxi"}'
        assert store.statistics()["tidemill_pipeline_version"] == 1
        with pytest.raises(StoreError, match="sha256:2"):
            store.get_pipeline_version("sha256:2")

    def test_a_run_reads_back_as_it_was_written(self, store: MetadataStore) -> None:
        """Every field, parameters of any JSON shape; a time of creation is given by the store."""
        run = Run(
            id="2024-01-05T00:00:00+00:00", pipeline="taxi", version="v", state=RunState.RUNNING,
            root="s3://bucket/root", parameters={"a": [1, 2.5, None, {"b": "ü"}], "c": True},
            date="2024-01-05", owner="host/boot/1/2",
        )  # fmt: skip
        store.create_run(run, TYPES)
        found = store.get_run(run.id)
        assert found is not None
        assert found.create_time > 1_500_000_000_000
        for name in ("id", "pipeline", "version", "state", "root", "parameters", "date", "owner", "end_time"):
            assert getattr(found, name) == getattr(run, name)
        assert store.get_run("unknown") is None

    def test_a_run_id_is_taken_once(self, store: MetadataStore) -> None:
        """Also by another pipeline; the first run stays as it was."""
        first = start_run(store, "r1")
        with pytest.raises(StoreError, match="r1"):
            start_run(store, "r1", pipeline="other")
        found = store.get_run("r1")
        assert found is not None
        assert found.pipeline == first.pipeline

    def test_the_same_request_creates_one_run(self, store: MetadataStore) -> None:
        """Also after its end; the id of a request belongs to one run."""
        run = Run(id="r1", pipeline="p", version="v", state=RunState.RUNNING, root="x", owner="d")
        store.create_run(run, TYPES, request_id="q")
        before = store.statistics()
        store.create_run(run, TYPES, request_id="q")
        assert store.end_run("r1", RunState.FAILED, owner="d")
        store.create_run(run, TYPES, request_id="q")
        for other, request in ((run, "other"), (run, ""), (replace(run, id="r2"), "q")):
            with pytest.raises(StoreError, match="r1"):
                store.create_run(other, TYPES, request_id=request)
        assert store.statistics() == before
        found = store.get_run("r1")
        assert found is not None
        assert found.state is RunState.FAILED

    @pytest.mark.parametrize("run_id", ["", "a/b"])
    def test_a_run_id_must_not_be_mistaken(self, store: MetadataStore, run_id: str) -> None:
        """Execution names are parted by slashes."""
        with pytest.raises(StoreError, match="cannot name a run"):
            start_run(store, run_id)

    def test_runs_are_listed_newest_first(self, store: MetadataStore) -> None:
        """Filtered by pipeline and state, and cut at the limit."""
        for i in range(4):
            start_run(store, f"r{i}", pipeline="odd" if i % 2 else "even")
        assert store.end_run("r3", RunState.FAILED, owner="driver")
        assert [r.id for r in store.get_runs()] == ["r3", "r2", "r1", "r0"]
        assert [r.id for r in store.get_runs(limit=2)] == ["r3", "r2"]
        assert [r.id for r in store.get_runs(pipeline="odd")] == ["r3", "r1"]
        assert [r.id for r in store.get_runs(state=RunState.RUNNING)] == ["r2", "r1", "r0"]
        assert [r.id for r in store.get_runs(pipeline="odd", state=RunState.FAILED)] == ["r3"]

    def test_a_run_is_taken_from_a_known_owner(self, store: MetadataStore) -> None:
        """Compare-and-set: the second of two takers finds another owner."""
        start_run(store, "r1")
        assert store.take_run("r1", owner="b", expected_owner="driver")
        assert not store.take_run("r1", owner="c", expected_owner="driver")
        assert not store.take_run("unknown", owner="c", expected_owner="driver")
        found = store.get_run("r1")
        assert found is not None
        assert found.owner == "b"

    @pytest.mark.parametrize("state", [s for s in RunState if s.ended])
    def test_a_run_ends_once_by_its_owner(self, store: MetadataStore, state: RunState) -> None:
        """Its end is final: no other end, no new owner."""
        start_run(store, "r1")
        assert not store.end_run("r1", state, owner="stranger")
        assert store.end_run("r1", state, owner="driver")
        assert not store.end_run("r1", RunState.FAILED, owner="driver")
        assert not store.take_run("r1", owner="b", expected_owner="driver")
        found = store.get_run("r1")
        assert found is not None
        assert (found.state, found.owner) == (state, "driver")
        assert found.end_time >= found.create_time

    def test_a_refused_run_leaves_nothing(self, store: MetadataStore) -> None:
        """Neither in the database nor in the store's memory, where ids are kept."""
        before = store.statistics()
        run = Run(
            id="r1", pipeline="taxi", version="v1", state=RunState.RUNNING, root="lone surrogate \ud800"
        )
        with pytest.raises(StoreError):
            store.create_run(run, TYPES)
        with pytest.raises(StoreError, match="JSON"):
            store.create_run(replace(run, root="", parameters={"a": {1, 2}}), TYPES)
        assert store.statistics() == before
        start_run(store, "r1")
        claim = claim_node(store, "r1", "a")
        contexts = store.get_contexts_by_execution(claim.execution_id)
        assert {c.type: c.name for c in contexts} == {
            "pipeline": "taxi", "pipeline_run": "r1", "node": "taxi.a",
        }  # fmt: skip

    def test_types_grow_and_never_change(self, store: MetadataStore) -> None:
        """New properties are added; one of another type, or another base, refuses the whole run."""
        start_run(store, "r1")
        wider = ArtifactType(name="Examples", properties={"rows": PropertyType.DOUBLE})
        start_run(store, "r2", types=[wider])
        made = end_node(
            store, "r2", "a",
            outputs={"x": [Artifact(type="Examples", uri="u", properties={"rows": 5, "span": 1})]},
        )  # fmt: skip
        assert made.only("x").properties == {"rows": 5.0, "span": 1}
        before = store.statistics()
        contradictions = [
            (ArtifactType(name="Examples", properties={"span": PropertyType.STRING}), "span"),
            (ArtifactType(name="Model", base_type="Dataset"), "Dataset"),
            (ArtifactType(name="New", base_type="Modle"), "Model"),
        ]
        for contradiction, word in contradictions:
            with pytest.raises(StoreError, match=word):
                start_run(store, "r3", types=[ArtifactType(name="Fresh"), contradiction])
        assert store.get_run("r3") is None
        assert store.statistics() == before


class _Claims:
    def test_the_first_claim_is_granted(self, store: MetadataStore) -> None:
        """It records a RUNNING execution with a name of its own, in the contexts TFX uses."""
        start_run(store, "r1", date="2024-01-05")
        claim = claim_node(store, "r1", "trainer", component="Trainer", owner="me")
        assert claim.granted
        assert (claim.attempt, claim.fence, claim.state, claim.owner) == (1, 1, NodeState.RUNNING, "me")
        (execution,) = store.get_executions("r1", "trainer")
        assert (execution.id, execution.type, execution.name, execution.state) == (
            claim.execution_id, "Trainer", "r1/trainer/0/1", ExecutionState.RUNNING,
        )  # fmt: skip
        contexts = {c.type: c for c in store.get_contexts_by_execution(execution.id)}
        assert {t: c.name for t, c in contexts.items()} == {
            "pipeline": "taxi", "pipeline_run": "r1", "node": "taxi.trainer",
        }  # fmt: skip
        assert contexts["pipeline_run"].custom_properties == {
            "date": "2024-01-05",
            "pipeline_version": "v1",
        }
        (record,) = store.get_nodes("r1")
        assert (record.state, record.attempt, record.fence, record.owner) == (NodeState.RUNNING, 1, 1, "me")
        assert record.start_time > 0
        assert record.end_time == 0

    def test_only_a_higher_attempt_takes_over(self, store: MetadataStore) -> None:
        """It raises the fence, and the execution it takes over is FAILED and says why."""
        start_run(store, "r1")
        first = claim_node(store, "r1", "a", attempt=2, owner="w1")
        for attempt in (1, 2):
            again = claim_node(store, "r1", "a", attempt=attempt, owner="w2")
            assert not again.granted
            assert (again.execution_id, again.owner, again.state) == (
                first.execution_id, "w1", NodeState.RUNNING,
            )  # fmt: skip
        taken = claim_node(store, "r1", "a", attempt=5, owner="w2")
        assert (taken.granted, taken.attempt, taken.fence) == (True, 5, 2)
        lost, running = store.get_executions("r1", "a")
        assert lost.state is ExecutionState.FAILED
        assert lost.custom_properties == {"error": "lost: attempt 5 took over", FAILURE: LOST}
        assert (running.id, running.state) == (taken.execution_id, ExecutionState.RUNNING)
        assert claim_node(store, "r1", "a").attempt == 6

    @pytest.mark.parametrize("state", ENDS)
    def test_an_ended_node_is_claimed_only_if_it_did_not_succeed(
        self, store: MetadataStore, state: NodeState
    ) -> None:
        """Success is never left again; a failure is, under a higher attempt, and keeps its record."""
        start_run(store, "r1")
        ended = end_node(store, "r1", "a", state=state, message="because")
        same = claim_node(store, "r1", "a", attempt=1)
        assert (same.granted, same.state, same.message) == (False, state, "because")
        assert same.execution_id == ended.execution_id
        higher = claim_node(store, "r1", "a", attempt=2)
        assert higher.granted == (not state.succeeded)
        assert "lost" not in str(store.get_executions("r1")[0].custom_properties)
        (record,) = store.get_nodes("r1")
        assert record.message == ("because" if state.succeeded else "")

    def test_a_run_that_is_over_starts_no_node(self, store: MetadataStore) -> None:
        """Nor does an unknown one. A node that succeeded before says so still."""
        start_run(store, "r1")
        end_node(store, "r1", "done")
        end_node(store, "r1", "failed", state=NodeState.FAILED)
        store.end_run("r1", RunState.CANCELED, owner="driver")
        before = snapshot(store, "r1")
        for node in ("new", "failed"):
            with pytest.raises(RunnerError, match="CANCELED"):
                claim_node(store, "r1", node)
        with pytest.raises(RunnerError, match="r2"):
            claim_node(store, "r2", "a")
        assert claim_node(store, "r1", "done").state is NodeState.COMPLETE
        assert snapshot(store, "r1") == before

    def test_attempts_count_from_one(self, store: MetadataStore) -> None:
        """An engine that counts from 0 would silently lose its first retry."""
        start_run(store, "r1")
        with pytest.raises(StoreError, match="from 1"):
            claim_node(store, "r1", "a", attempt=0)

    def test_the_same_request_is_granted_once(self, store: MetadataStore) -> None:
        """While its attempt runs the node it is told so again; afterwards it is told what happened."""
        start_run(store, "r1")
        first = claim_node(store, "r1", "a", owner="me", request_id="q1")
        before = snapshot(store, "r1")
        assert claim_node(store, "r1", "a", owner="me", request_id="q1") == first
        assert snapshot(store, "r1") == before
        other = claim_node(store, "r1", "a", owner="you", request_id="q2")
        assert (other.granted, other.attempt, other.fence) == (True, 2, 2)
        again = claim_node(store, "r1", "a", owner="me", request_id="q1")
        assert (again.granted, again.owner, again.attempt) == (False, "you", 2)
        store.publish(other, Publication(state=NodeState.FAILED, message="because"))
        again = claim_node(store, "r1", "a", owner="you", request_id="q2")
        assert (again.granted, again.state, again.message) == (False, NodeState.FAILED, "because")
        assert claim_node(store, "r1", "a", request_id="q3").attempt == 3
        with pytest.raises(StoreError, match="r1/a/0/1"):
            claim_node(store, "r1", "b", request_id="q1")

    def test_a_request_that_was_refused_may_be_granted_later(self, store: MetadataStore) -> None:
        """Only what was granted is kept under its id."""
        start_run(store, "r1")
        claim = claim_node(store, "r1", "a", attempt=1)
        assert not claim_node(store, "r1", "a", attempt=1, request_id="q").granted
        store.publish(claim, Publication(state=NodeState.FAILED))
        assert claim_node(store, "r1", "a", request_id="q").granted

    def test_iterations_are_claimed_apart(self, store: MetadataStore) -> None:
        """The iterations of a loop are different claims of one node."""
        start_run(store, "r1")
        end_node(store, "r1", "a", iteration=0)
        assert claim_node(store, "r1", "a", iteration=1).granted
        assert [(n.iteration, n.state) for n in store.get_nodes("r1")] == [
            (0, NodeState.COMPLETE),
            (1, NodeState.RUNNING),
        ]
        assert [e.name for e in store.get_executions("r1", "a")] == ["r1/a/0/1", "r1/a/1/1"]

    def test_claims_and_publications_in_any_order(self, store: MetadataStore) -> None:
        """Hypothesis looks for an order in which the store and the rules disagree."""

        class Machine(ClaimMachine):
            def __init__(self) -> None:
                super().__init__(store)

        run_state_machine_as_test(
            Machine, settings=settings(max_examples=50, stateful_step_count=20, deadline=None)
        )


class OneProcessStoreSuite(
    _Fixtures,
    _Runs,
    _Claims,
    StorePublications,
    StoreQuestions,
    StoreUpkeep,
    StoreRaces,
    StoreQueue,
    StorePools,
    StoreSearch,
):
    """Every promise of the protocol but those to other processes, for a store that lives in one."""


class ServedStoreSuite(_Fixtures, StorePublications, StoreUpkeep):
    """What a database behind a metadata server may change: values of every kind, errors, sizes, conditions.

    The rest is the server's, and is the same whatever lies behind it.
    """


class StoreSuite(OneProcessStoreSuite, StoreProcesses):
    """Every promise of the MetadataStore protocol. Subclass it and define `make_store`."""

    @pytest.fixture
    def callers(self) -> Callers:
        """How many call at once."""
        return in_processes
