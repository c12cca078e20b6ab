"""An engine's tasks that wait, and those that are started once more after their run ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.metadata.model import Decision, NodeState, RunState
from tidemill.metadata.sql import open_store
from tidemill.metadata.store import MetadataStore
from tidemill.runners.airflow.asking import started_of
from tidemill.runners.base import task
from tidemill.runners.base.again import Started, begun_again, latest
from tidemill.runners.base.task import EngineRun, Failed, Settings
from tidemill.runners.base.waiting import Wait, over
from tidemill.runtime.execute import CancelToken

PIPELINE = """
from pathlib import Path
from tidemill import ForEach, NodeOptions, Retry, approval, component, on_exit, pipeline

@component
def give() -> int:
    return 1

@component
def each(number: int, place: str) -> int:
    if number == 1 and not Path(place, "mended").exists():
        raise ValueError("not yet")
    return number

@component
def tell() -> None:
    pass

@pipeline
def mine(place: str) -> None:
    first = give()
    with ForEach([0, 1, 2], name="turns") as turn:
        first >> each(number=turn, place=place)
    on_exit(tell())

@pipeline
def gated() -> None:
    approval(message="may it?").with_id("gate").with_options(timeout=500.0)

@pipeline
def pooled() -> None:
    give().with_options(pool="gpu", slots=2)

@pipeline
def retried(place: str) -> None:
    each(number=1, place=place).with_options(retry=Retry(user=1, backoff=1e6, cap=1e6))
"""

Place = tuple[Settings, EngineRun, MetadataStore]


@pytest.fixture(scope="module", autouse=True)
def _code(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A module is imported once in a process."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "engine_again.py").write_text(PIPELINE, encoding="utf-8")
    CODE.append(folder)


CODE: list[Path] = []


def place_of(tmp_path: Path, name: str) -> tuple[Settings, EngineRun]:
    ir = compile_pipeline(load_pipeline(f"{CODE[-1] / 'engine_again.py'}:{name}")[0])
    settings = Settings(
        ir=ir, metadata=f"sqlite:///{tmp_path / 'metadata.db'}", root=str(tmp_path / "root"),
        code_root=str(CODE[-1]),
    )  # fmt: skip
    parameters = {p.name: str(tmp_path) for p in ir.parameters}
    return settings, EngineRun(record_id=f"{name}-1", owner="engine/1", date="", parameters=parameters)


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Iterator[MetadataStore]:
    with closing(open_store(f"sqlite:///{tmp_path / 'metadata.db'}")) as store:
        yield store


class Left(Exception):
    """A task that gave its worker back."""


def launch(place: Place, node: str, number: int = 0, attempt: int = 1, **more: Any) -> Any:
    settings, run, store = place
    return task.launch_node(
        settings, run, node, store=store, iteration=number, attempt=attempt, cancel=CancelToken(), **more
    )


def left(place: Place, node: str, **more: Any) -> Wait:
    """What a task waits for that leaves when it must."""
    found: list[Wait] = []

    def leave(_: MetadataStore, wait: Wait) -> None:
        found.append(wait)
        raise Left

    with pytest.raises(Left):
        launch(place, node, on_wait=leave, **more)
    (wait,) = found
    assert Wait.from_json(wait.to_json()) == wait
    assert wait.node_id in str(wait)
    return wait


def test_a_run_that_ended_is_done_again_by_a_run_of_its_own(tmp_path: Path, store: MetadataStore) -> None:
    settings, run = place_of(tmp_path, "mine")
    place = (settings, run, store)
    for node in ("give", "turns"):
        launch(place, node)
    for number in range(3):
        if number == 1:
            with pytest.raises(Failed):
                launch(place, "each", 1)
        else:
            launch(place, "each", number)
    launch(place, "tell")
    assert begun_again(store, settings, run, 9, lambda: Started(nodes=["each"])) == run, "it has not ended"
    assert task.end_run(store, settings, run) is RunState.FAILED
    (tmp_path / "mended").touch()
    asked: list[int] = []

    def started() -> Started:
        asked.append(1)
        return Started(nodes=["each", "no such node"], kept=["each"])

    assert begun_again(store, settings, run, 0, started) == run, "nobody asked for it"
    again = begun_again(store, settings, run, 1, started)
    assert begun_again(store, settings, run, 1, started) == again
    assert asked == [1], "only the first task asks"
    new = (settings, again, store)
    assert launch(new, "give").state is NodeState.CACHED
    assert task.iterations(store, settings, again, "turns") == [0, 1, 2]
    assert launch(new, "each", 1, attempt=2).state is NodeState.COMPLETE
    now, found = latest(store, run)
    assert task.end_run(store, settings, now) is RunState.COMPLETE
    assert now == again
    assert found is not None
    assert found.base_run == run.record_id
    states = {(n.node_id, n.iteration): n.state.value for n in store.get_nodes(again.record_id)}
    assert states == {("give", 0): "CACHED", ("turns", 0): "CACHED", ("each", 0): "CACHED",
                      ("each", 1): "COMPLETE", ("each", 2): "CACHED"}  # fmt: skip
    assert begun_again(store, settings, run, 1, started) == again, "ended, and nobody asked since"
    third = begun_again(store, settings, run, 3, lambda: Started(nodes=["give"]))
    assert third.record_id == f"{run.record_id}.again-3"
    assert launch((settings, third, store), "give").state is NodeState.CACHED, "as any run reuses"
    assert store.get_run(run.record_id).state is RunState.FAILED, "what ended stays as it ended"


def test_tasks_of_nodes_that_a_run_never_had_begin_nothing(tmp_path: Path, store: MetadataStore) -> None:
    settings, run = place_of(tmp_path, "mine")
    run = replace(run, selection={"only": ["give"]})
    launch((settings, run, store), "give")
    assert task.end_run(store, settings, run) is RunState.COMPLETE
    assert begun_again(store, settings, run, 1, lambda: Started(nodes=["each"])) == run
    assert begun_again(store, settings, run, 1, lambda: Started(nodes=["each", "give"])) != run


def test_cleared_tasks_are_those_that_have_not_ended(tmp_path: Path) -> None:
    ir = place_of(tmp_path, "mine")[0].ir
    states = {"give": "success", "turns": "success", "each_0": "success", "each_1": None, "each_2": "success",
              "each_x": None, "tell": "success", "run--end": None}  # fmt: skip
    assert started_of(states, ir) == Started(nodes=["each"], kept=["each"])
    everything = dict.fromkeys(("give", "turns", "each", "tell", "run--end"))
    assert started_of(everything, ir) == Started(nodes=["give", "turns", "each", "tell"], kept=[])
    with pytest.raises(Failed, match="downstream"):
        started_of({**states, "run--end": "failed"}, ir)


def test_an_approval_is_waited_for_until_it_is_given_or_too_late(
    tmp_path: Path, store: MetadataStore
) -> None:
    settings, run = place_of(tmp_path, "gated")
    place = (settings, run, store)
    began = int(time.time() * 1000)
    wait = left(place, "gate")
    assert (wait.kind, wait.run_id) == ("approval", run.record_id)
    assert 500_000 <= wait.until - began < 530_000
    assert left(place, "gate", ready=wait.ready - 1000).until == wait.until - 1000, "waiting counts"
    assert not over(store, wait, time.time())
    assert over(store, wait, wait.until / 1000)
    store.put_decision(Decision(run_id=run.record_id, node_id="gate", granted=True, by="ann"))
    assert over(store, wait, time.time())
    assert launch(place, "gate").message == "approved by ann"


def test_a_pool_is_waited_for_until_there_is_room(tmp_path: Path, store: MetadataStore) -> None:
    settings, run = place_of(tmp_path, "pooled")
    store.put_pool("gpu", 2)
    other = replace(run, record_id="pooled-2")
    task.sure_of_run(store, settings, run)
    store.put_pool("gpu", 0)
    wait = left((settings, other, store), "give")
    assert (wait.kind, wait.pool, wait.slots) == ("pool", "gpu", 2)
    assert not over(store, wait, time.time())
    store.put_pool("gpu", 2)
    assert over(store, wait, time.time())
    store.remove_pool("gpu")
    assert over(store, wait, time.time()), "the task itself says that it is not there"


def test_the_time_of_a_retry_is_waited_for_unless_the_run_is_to_end(
    tmp_path: Path, store: MetadataStore
) -> None:
    settings, run = place_of(tmp_path, "retried")
    place = (settings, run, store)
    with pytest.raises(task.Again):
        launch(place, "each")
    wait = left(place, "each", attempt=2)
    assert wait.kind == "retry"
    assert not over(store, wait, time.time())
    assert over(store, wait, wait.until / 1000)
    store.request_cancel(run.record_id)
    assert over(store, wait, time.time())
    assert not over(store, replace(wait, to_the_end=True), time.time()), "exit nodes run whatever happens"
    assert over(store, replace(wait, run_id="gone"), time.time())
    with pytest.raises(task.Blocked):
        launch(place, "each", attempt=2)
    assert task.end_run(store, settings, run) is RunState.CANCELED, "as the local runner ends it"


def test_of_two_equal_runs_the_second_waits_unless_nobody_drives_the_first(
    tmp_path: Path, store: MetadataStore
) -> None:
    settings, run = place_of(tmp_path, "gated")
    driven = True
    first = replace(run, is_driven=lambda _: driven)
    second = replace(first, record_id="gated-2", owner="engine/2")
    left((settings, first, store), "gate")
    wait = left((settings, second, store), "gate")
    assert (wait.kind, wait.run_id) == ("run", first.record_id)
    with pytest.raises(task.Equal, match=first.record_id):
        task.end_run(store, settings, second)
    store.request_cancel(first.record_id)
    assert not over(store, wait, time.time()), "it has not ended yet"
    assert over(store, wait, wait.until / 1000), "whether it is driven is asked again now and then"
    driven = False
    assert left((settings, second, store), "gate").kind == "approval"
    ended = store.get_run(first.record_id)
    assert ended is not None
    assert ended.state is RunState.FAILED
    assert over(store, wait, time.time())
    side = replace(run, record_id="gated-3", owner="engine/3")
    assert left((settings, side, store), "gate").run_id == "gated-3", "an engine that does not mind"
