"""What a store must do for the queue of runs: equal runs, order, limits, requests to end."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tidemill.errors import RunnerError, StoreError
from tidemill.metadata.model import (
    CANCEL,
    MOST_ACTIVE,
    SELECTION,
    ExecutionState,
    NodeState,
    Publication,
    Run,
    RunState,
)
from tidemill.metadata.store import MetadataStore
from tidemill.testing.store_races import CALLERS, Callers, MakeStore, at_once
from tidemill.testing.store_stories import TYPES, claim_node, end_node, model, start_run

UNFINISHED = [RunState.QUEUED, RunState.RUNNING]


def new_run(run_id: str, *, pipeline: str = "taxi", state: RunState = RunState.QUEUED, **more: Any) -> Run:
    """A run that is not stored yet."""
    owner = "" if state is RunState.QUEUED else "driver"
    return Run(id=run_id, pipeline=pipeline, version="v1", state=state, root="x", owner=owner, **more)


def queue_run(store: MetadataStore, run_id: str, **more: Any) -> Run:
    """A run that waits for a worker."""
    return store.create_run(new_run(run_id, **more), TYPES)


def state_of(store: MetadataStore, run_id: str) -> RunState:
    """The state of a run that is there."""
    run = store.get_run(run_id)
    assert run is not None
    return run.state


def create_equal(store: MetadataStore, words: dict[str, Any]) -> str:
    """For a process: create a run unless its equal is there; the id of the one that stands."""
    return store.create_run(new_run(words["run_id"]), TYPES, unless_equal=True).id


def drain_queue(store: MetadataStore, words: dict[str, Any]) -> list[str]:
    """For a process: take runs until none is left; those it got."""
    taken = []
    while run := store.take_queued(words["owner"]):
        taken.append(run.id)
        assert store.end_run(run.id, RunState.COMPLETE, owner=words["owner"])
    return taken


def cancel_all(store: MetadataStore, words: dict[str, Any]) -> list[str]:
    """For a process: cancel runs one after another; the state of each afterwards."""
    return [store.request_cancel(run_id).state for run_id in words["runs"]]


class _Equal:
    def test_a_queued_run_reads_back_as_it_was_written(self, store: MetadataStore) -> None:
        """With priority, base and settings; it has no owner and did not start."""
        run = new_run("r1", priority=7, base_run="r0", settings={SELECTION: ["a"], "code_root": "/x"})
        stored = store.create_run(run, TYPES)
        assert stored == store.get_run("r1")
        assert replace(stored, create_time=0) == run
        assert (stored.start_time, stored.owner, stored.request) == (0, "", "")
        with pytest.raises(StoreError, match="JSON"):
            store.create_run(new_run("r2", settings={"a": {1}}), TYPES)

    @pytest.mark.parametrize("state", UNFINISHED)
    def test_an_unfinished_equal_run_is_found(self, store: MetadataStore, state: RunState) -> None:
        """It is returned as it is, and nothing is written; once it ended, the next one is made."""
        first = store.create_run(new_run("r1", state=state, date="2024-01-05"), TYPES)
        before = store.statistics()
        again = new_run("r2", date="2024-01-05", priority=3, settings={"jobs": 4})
        assert store.create_run(again, TYPES, unless_equal=True) == first
        assert store.statistics() == before
        store.request_cancel("r1")
        if state is RunState.RUNNING:
            assert store.end_run("r1", RunState.CANCELED, owner="driver")
        assert store.create_run(again, TYPES, unless_equal=True).id == "r2"

    @pytest.mark.parametrize(
        "other",
        [
            {"pipeline": "other"}, {"parameters": {"a": 2}}, {"date": "2024-01-06"}, {"base_run": "r0"},
            {"settings": {SELECTION: ["a"]}},
        ],
    )  # fmt: skip
    def test_other_work_is_not_equal(self, store: MetadataStore, other: dict[str, Any]) -> None:
        """Another pipeline, parameter, date, base or part of the pipeline; nor is asking without the wish."""
        store.create_run(new_run("r1", parameters={"a": 1}), TYPES)
        wanted = {"parameters": {"a": 1}, **other}
        assert store.create_run(new_run("r2", **wanted), TYPES, unless_equal=True).id == "r2"
        assert store.create_run(new_run("r3", parameters={"a": 1}), TYPES).id == "r3"

    def test_equal_runs_at_once_become_one(
        self, make_store: MakeStore, callers: Callers, store: MetadataStore
    ) -> None:
        """Of threads, and of processes, one creates and all learn which."""
        made = at_once([partial(create_equal, store, {"run_id": f"t{i}"}) for i in range(8)])
        assert len(set(made)) == 1
        store.request_cancel(made[0])
        names = callers(make_store, create_equal, [{"run_id": f"p{i}"} for i in range(CALLERS)])
        assert len(set(names)) == 1
        assert store.statistics()["tidemill_run"] == 2


class _Order:
    def test_higher_priority_then_age(self, store: MetadataStore) -> None:
        """And a run that was taken is RUNNING, owned and started."""
        for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5), ("e", -1)):
            queue_run(store, name, priority=priority)
        assert [r.id for r in iter(lambda: store.take_queued("w"), None)] == ["b", "d", "a", "c", "e"]
        run = store.get_run("b")
        assert run is not None
        assert (run.state, run.owner) == (RunState.RUNNING, "w")
        assert run.start_time >= run.create_time > 0

    def test_a_pipeline_runs_as_often_as_it_allows(self, store: MetadataStore) -> None:
        """Other pipelines pass it by; when one of its runs ends, the next may start."""
        for i in range(3):
            queue_run(store, f"big{i}", pipeline="big", priority=9, settings={MOST_ACTIVE: 2})
        queue_run(store, "small", pipeline="small")
        taken = [store.take_queued("w") for _ in range(4)]
        assert [r.id if r else None for r in taken] == ["big0", "big1", "small", None]
        with pytest.raises(RunnerError, match="big0"):
            store.create_run(new_run("now", pipeline="big", state=RunState.RUNNING), TYPES, most_active=2)
        assert store.get_run("now") is None
        assert store.end_run("big0", RunState.FAILED, owner="w")
        run = store.create_run(new_run("now", pipeline="big", state=RunState.RUNNING), TYPES, most_active=2)
        assert run.state is RunState.RUNNING
        assert store.take_queued("w") is None

    def test_workers_share_a_queue(
        self, make_store: MakeStore, callers: Callers, store: MetadataStore
    ) -> None:
        """Each run goes to one of the processes that empty the queue together."""
        names = [f"r{i}" for i in range(20)]
        for name in names:
            queue_run(store, name)
        taken = callers(make_store, drain_queue, [{"owner": f"w{i}"} for i in range(CALLERS)])
        assert Counter(name for each in taken for name in each) == Counter(names)
        assert {state_of(store, name) for name in names} == {RunState.COMPLETE}


class _Cancel:
    def test_a_queued_run_is_canceled_at_once(self, store: MetadataStore) -> None:
        """And never started; asking again changes nothing."""
        queue_run(store, "r1")
        canceled = store.request_cancel("r1")
        assert (canceled.state, canceled.request) == (RunState.CANCELED, CANCEL)
        assert canceled.end_time >= canceled.create_time
        assert store.take_queued("w") is None
        assert store.request_cancel("r1") == canceled
        with pytest.raises(RunnerError, match="r2"):
            store.request_cancel("r2")

    def test_a_running_run_is_asked_to_end(self, store: MetadataStore) -> None:
        """Its owner sees that in one question; an ended one stays as it ended."""
        start_run(store, "r1")
        start_run(store, "r2")
        assert store.driven_by("driver") == {"r1": "", "r2": ""}
        assert store.request_cancel("r1").state is RunState.RUNNING
        assert store.driven_by("driver") == {"r1": CANCEL, "r2": ""}
        assert store.driven_by("stranger") == {}
        assert store.end_run("r1", RunState.COMPLETE, owner="driver")
        assert store.request_cancel("r1").state is RunState.COMPLETE
        assert store.driven_by("driver") == {"r2": ""}

    def test_a_run_without_processes_ends_with_its_nodes(self, store: MetadataStore) -> None:
        """What was RUNNING is CANCELED in the same moment and can no longer be published."""
        start_run(store, "r1")
        end_node(store, "r1", "done")
        claim = claim_node(store, "r1", "lost")
        assert not store.end_run("r1", RunState.CANCELED, owner="stranger", close_nodes=True)
        assert store.end_run("r1", RunState.CANCELED, owner="driver", close_nodes=True)
        assert {n.node_id: n.state for n in store.get_nodes("r1")} == {
            "done": NodeState.COMPLETE, "lost": NodeState.CANCELED,
        }  # fmt: skip
        (execution,) = store.get_executions("r1", "lost")
        assert execution.state is ExecutionState.CANCELED
        with pytest.raises(StoreError):
            store.publish(claim, Publication(state=NodeState.COMPLETE, outputs={"model": [model()]}))

    def test_cancel_and_start_at_once(
        self, make_store: MakeStore, callers: Callers, store: MetadataStore
    ) -> None:
        """A queued run is either canceled or started and asked to end, whoever comes first."""
        names = [f"r{i}" for i in range(20)]
        for name in names:
            queue_run(store, name)
        words = [{"owner": "w", "runs": names, "cancel": cancel} for cancel in (False, True)]
        taken, canceled = callers(make_store, take_or_cancel, words)
        for name, seen in zip(names, canceled, strict=True):
            run = store.get_run(name)
            assert run is not None
            assert run.state is (RunState.RUNNING if name in taken else RunState.CANCELED)
            assert run.request == CANCEL
            assert seen == run.state

    def test_cancel_and_end_at_once(self, store: MetadataStore) -> None:
        """One end, whatever was asked meanwhile."""
        for i in range(10):
            start_run(store, f"r{i}")
            ended, asked = at_once(
                [
                    partial(store.end_run, f"r{i}", RunState.COMPLETE, owner="driver"),
                    partial(store.request_cancel, f"r{i}"),
                ]
            )
            assert ended
            assert asked.state in (RunState.RUNNING, RunState.COMPLETE)
            assert state_of(store, f"r{i}") is RunState.COMPLETE


def take_or_cancel(store: MetadataStore, words: dict[str, Any]) -> list[str]:
    """For a process: take runs from the queue, or cancel them."""
    if words["cancel"]:
        return cancel_all(store, words)
    return [run.id for _ in words["runs"] if (run := store.take_queued(words["owner"]))]


class StoreQueue(_Equal, _Order, _Cancel):
    """The part of StoreSuite about runs that wait, start and are to end."""
