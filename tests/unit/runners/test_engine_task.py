"""What an engine's tasks do, without it: every node in the pipeline's order, as a scheduler starts them.

The whole suite runs on Airflow in tests/conformance/test_runner_airflow.py, where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.errors import FencedError, RunnerError
from tidemill.metadata.model import ClaimRequest, NodeState, Publication, RunState
from tidemill.metadata.sql import open_store
from tidemill.metadata.store import MetadataStore
from tidemill.runners.airflow import names
from tidemill.runners.base import task
from tidemill.runners.base.task import Again, Blocked, EngineRun, Failed, Settings
from tidemill.runtime.execute import CancelToken
from tidemill.testing.runner_suite import RunnerSuite, RunOrder
from tidemill.testing.scenario_list import SCENARIOS, Scenario

ON_AIRFLOW = ("skips", "partial", "nested_loops", "triggers", "exit_handler")


class TestTasksInOrder(RunnerSuite):
    """The scenarios in which it matters what a task makes of those before it."""

    runs = 0

    def run(self, order: RunOrder) -> str:
        self.runs += 1
        found, code_root = load_pipeline(str(order.file))
        settings = Settings(
            ir=compile_pipeline(found), metadata=order.metadata, root=str(order.root),
            code_root=str(code_root), workdir=str(order.workdir),
        )  # fmt: skip
        selection = {"only": order.only, "from": order.first, "to": order.last}
        run = EngineRun(
            record_id=f"{settings.ir.name}-{self.runs}", owner=f"engine/{self.runs}", date=order.date,
            parameters=order.parameters, selection=selection if any(selection.values()) else {},
        )  # fmt: skip
        with task.opened(order.metadata) as store:
            Drive(settings, run, store).to_the_end()
            first = task.end_run(store, settings, run)
            assert task.end_run(store, settings, run) is first, "a repeated task changes nothing"
            return first.value

    @pytest.mark.parametrize(
        "scenario", [s for s in SCENARIOS if s.name in ON_AIRFLOW], ids=lambda scenario: scenario.name
    )
    def test_scenario(self, scenario: Scenario, folder: Path, request: pytest.FixtureRequest) -> None:
        super().test_scenario(scenario, folder, request)


class Drive:
    """Starts every task once the ones before it have ended, and again when it asks for that."""

    def __init__(self, settings: Settings, run: EngineRun, store: MetadataStore) -> None:
        self.settings, self.run, self.store = settings, run, store
        self.lists: dict[str, list[int]] = {}

    def to_the_end(self) -> None:
        ir = self.settings.ir
        for node in sorted(ir.nodes, key=lambda node: node.on_exit):
            numbers = self.lists[node.loops[-1]] if node.loops else [0]
            found = [self.launch(node.id, number) for number in numbers]
            if node.loop is None:
                continue
            if node.loops:
                self.lists[node.id] = task.iterations(self.store, self.settings, self.run, node.id)
            else:
                self.lists[node.id] = [*range(found[0])]

    def launch(self, node_id: str, iteration: int) -> int:
        """One place; how many iterations it has."""
        for attempt in range(1, 6):
            try:
                outcome = task.launch_node(
                    self.settings, self.run, node_id, store=self.store, iteration=iteration, attempt=attempt,
                    cancel=CancelToken(),
                )  # fmt: skip
            except Again:
                continue
            except (Blocked, Failed):
                return 0
            return (outcome.iterations or 0) if outcome else 0
        raise AssertionError(f"{node_id} never ended")


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Iterator[tuple[Settings, EngineRun, MetadataStore]]:
    (scenario,) = [s for s in SCENARIOS if s.name == "linear"]
    found, code_root = load_pipeline(str(scenario.file))
    metadata = f"sqlite:///{tmp_path / 'metadata.db'}"
    settings = Settings(
        ir=compile_pipeline(found), metadata=metadata, root=str(tmp_path), code_root=str(code_root)
    )
    named = ("linear", "scheduled__2026-03-02T00:00:00+00:00")
    run = EngineRun(record_id=names.run_id(*named), owner=names.owner(*named), date="2026-03-02")
    with closing(open_store(metadata)) as store:
        yield settings, run, store


def launch(place: Any, node_id: str) -> Any:
    settings, run, store = place
    return task.launch_node(settings, run, node_id, store=store, attempt=1, cancel=CancelToken())


def test_a_run_that_is_to_end_starts_nothing_and_is_canceled(place: Any) -> None:
    settings, run, store = place
    made = task.sure_of_run(store, settings, run)
    assert task.sure_of_run(store, settings, run) == made, "whichever task comes first makes it"
    assert made.date == "2026-03-02"
    store.request_cancel(made.id)
    with pytest.raises(Blocked, match="to end"):
        launch(place, settings.ir.nodes[0].id)
    assert task.end_run(store, settings, run) is RunState.CANCELED


def test_a_node_whose_inputs_are_missing_is_blocked_and_the_run_failed(place: Any) -> None:
    settings, run, store = place
    last = settings.ir.nodes[-1]
    with pytest.raises(Blocked, match="did not succeed"):
        launch(place, last.id)
    assert store.get_nodes(run.record_id) == [], "what is blocked leaves no trace"
    assert task.end_run(store, settings, run) is RunState.FAILED, (
        "Airflow may lose a task; that is no success"
    )


def test_a_repeated_task_changes_nothing(place: Any) -> None:
    settings, run, store = place
    node_id = settings.ir.nodes[0].id
    assert launch(place, node_id).state is NodeState.COMPLETE
    before = store.get_nodes(run.record_id)
    assert launch(place, node_id).state.succeeded
    assert store.get_nodes(run.record_id) == before


def launched(place: Any, node_id: str, *, attempt: int) -> Any:
    settings, run, store = place
    return task.launch_node(settings, run, node_id, store=store, attempt=attempt, cancel=CancelToken())


def claim_for(place: Any, node_id: str, owner: str) -> Any:
    """The first try of a node, by some process."""
    settings, run, store = place
    task.sure_of_run(store, settings, run)
    component = settings.ir.node(node_id).component
    return store.claim(
        ClaimRequest(run_id=run.record_id, node_id=node_id, component=component, owner=owner, attempt=1)
    )


def test_a_second_try_waits_for_a_first_one_that_goes_on_unseen_by_its_engine(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _, store = place
    node_id = settings.ir.nodes[0].id
    first = claim_for(place, node_id, "this/machine/1/2")
    looks = []

    def alive(owner: str) -> bool:
        looks.append(owner)
        if len(looks) == 2:  # between two looks it ends
            store.publish(first, Publication(state=NodeState.COMPLETE, message="by the first"))
        return True

    monkeypatch.setattr(task, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(task.owner, "is_alive", alive)
    found = launched(place, node_id, attempt=2)
    assert (found.state, found.execution_id, found.message) == (
        NodeState.COMPLETE, first.execution_id, "by the first",
    )  # fmt: skip
    assert looks == ["this/machine/1/2"] * 2


def test_a_second_try_takes_over_from_a_first_one_that_nobody_can_see(place: Any) -> None:
    settings, run, store = place
    node_id = settings.ir.nodes[0].id
    first = claim_for(place, node_id, "another/machine/1/2")
    assert launched(place, node_id, attempt=2).state is NodeState.COMPLETE
    with pytest.raises(FencedError):  # the zombie's late publication
        store.publish(first, Publication(state=NodeState.COMPLETE))
    states = [execution.state.name for execution in store.get_executions(run.record_id, node_id)]
    assert states == ["FAILED", "COMPLETE"]


def test_tries_that_never_came_to_the_launcher_are_no_attempts(place: Any) -> None:
    _, run, store = place
    node_id = place[0].ir.nodes[0].id
    assert launched(place, node_id, attempt=3).attempt == 1
    assert launched(place, node_id, attempt=3).attempt == 1, "the same one, not another"
    assert [e.state.name for e in store.get_executions(run.record_id, node_id)] == ["COMPLETE"]


@pytest.mark.parametrize("ending", ["lost", "wanted", "canceled as well"])
def test_a_machine_that_goes_away_loses_a_try_and_publishes_nothing(place: Any, ending: str) -> None:
    settings, run, store = place
    node_id = settings.ir.nodes[0].id
    cancel = CancelToken()
    cancel.cancel(lambda: ending == "wanted")
    if ending == "canceled as well":
        cancel.cancel()
    with pytest.raises(Again if ending == "lost" else Failed):
        task.launch_node(settings, run, node_id, store=store, attempt=1, cancel=cancel)
    (first,) = store.get_executions(run.record_id, node_id)
    if ending != "lost":
        assert first.state.name == "CANCELED"
        return
    assert first.state.name == "RUNNING"
    assert launched(place, node_id, attempt=2).state is NodeState.COMPLETE
    states = [execution.state.name for execution in store.get_executions(run.record_id, node_id)]
    assert states == ["FAILED", "COMPLETE"]


def test_a_task_that_waits_for_another_run_ends_as_well(place: Any) -> None:
    settings, run, store = place
    task.sure_of_run(store, settings, run)
    other = replace(run, record_id="other", owner="airflow/linear/other", is_driven=lambda _: True)
    for is_wanted, error in ((False, Again), (True, Blocked)):
        cancel = CancelToken()
        cancel.cancel(lambda is_wanted=is_wanted: is_wanted)
        with pytest.raises(error, match="to end"):
            task.launch_node(settings, other, settings.ir.nodes[0].id, store=store, attempt=1, cancel=cancel)


@pytest.mark.parametrize("dies", [False, True])
def test_what_two_tasks_take_from_the_base_run_is_recorded_once(
    place: Any, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    settings, run, store = place
    _, taken, after, _ = (node.id for node in settings.ir.nodes)
    for node in settings.ir.nodes:
        launched(place, node.id, attempt=1)
    task.end_run(store, settings, run)
    again = replace(run, record_id="again", owner="airflow/linear/again", selection={"only": [after]})
    other = claim_for((settings, again, store), taken, "another/machine/1/2")
    looks = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3 and not dies:  # the other task, which was faster, is as slow as this
            store.publish(other, Publication(state=NodeState.CACHED))

    monkeypatch.setattr(task.time, "sleep", look)
    assert launched((settings, again, store), taken, attempt=1).state is NodeState.CACHED
    assert len(looks) == (10 if dies else 3)
    states = [execution.state.name for execution in store.get_executions("again", taken)]
    assert states == (["FAILED", "CACHED"] if dies else ["CACHED"])


def test_an_ir_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="missing"):
        task.read_ir(tmp_path / "no.json")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunnerError, match="damaged"):
        task.read_ir(tmp_path / "bad.json")


def test_names_are_such_that_airflow_and_paths_take_them() -> None:
    ids = ["manual__a b", "manual__a-b", "manual__a/b", "scheduled__2026-03-02T00:00:00+00:00", "x" * 400]
    found = [names.run_id("dag", run_id) for run_id in ids]
    assert len({*found}) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", name) for name in found)
    long = [names.task_id("n" * 250 + str(i)) for i in range(2)]
    assert long[0] != long[1]
    assert max(map(len, long)) <= 200
    assert names.task_id("sub.node-1") == "sub.node-1"
    assert names.dag_id("ä") != names.dag_id("ö")


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("postgres://u:p%40x@h:5432/db", "postgresql://u:p%40x@h:5432/db"),
        ("mysql://u:p@h/db", "mysql://u:p@h/db"),
        ("sqlite:///%2Fdata%2Fmetadata.db", "sqlite:////data/metadata.db"),
        ("http://h:8080", "http://h:8080"),
    ],
)
def test_a_connection_is_the_url_of_a_store(uri: str, url: str) -> None:
    """The first column is what Airflow 3.3.2 answers for connections given as the URLs on the right."""
    assert names.store_url(uri) == url
