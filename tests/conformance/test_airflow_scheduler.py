"""Part of the runner suite under Airflow's own scheduler: other processes, its API, what `compile` writes.

TIDEMILL_AIRFLOW_PYTHON names the interpreter, and TIDEMILL_AIRFLOW_SCHEDULER is set to anything, or to `all`
for the recommender as well, minutes more; the tests are skipped otherwise. With
TIDEMILL_AIRFLOW_DATABASE=postgresql a PostgreSQL of these tests is below Airflow, and not SQLite.

Most of a run on Airflow is waiting, so all of them are started at once, on one Airflow, and each test asks
for what came of its own. The last test takes the scheduler away.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.metadata.model import Run
from tidemill.metadata.sql import open_store
from tidemill.runners.airflow.files import dag_files
from tidemill.testing.runner_suite import RunnerSuite, RunOrder
from tidemill.testing.scenario_list import SCENARIOS, Scenario

PYTHON = os.environ.get("TIDEMILL_AIRFLOW_PYTHON", "")
WANTED = bool(PYTHON and os.environ.get("TIDEMILL_AIRFLOW_SCHEDULER"))
CHOSEN = (
    "skips", "nested_loops", "exit_handler", "retry", "partial", "sub_pipeline", "cancel", "gates", "cache",
    "triggers", "loop_failure",
)  # fmt: skip
TOGETHER = [scenario for scenario in SCENARIOS if scenario.name in CHOSEN]

ALL = os.environ.get("TIDEMILL_AIRFLOW_SCHEDULER") == "all"
NIGHTS = ("schedule", "backfill")

pytestmark = [
    pytest.mark.skipif(
        not WANTED, reason="TIDEMILL_AIRFLOW_PYTHON and TIDEMILL_AIRFLOW_SCHEDULER are not both set"
    ),
    pytest.mark.timeout(1800),
]


@pytest.fixture(scope="module")
def site(beside: Callable[[str], Any], airflow_database: str) -> Iterator[Any]:
    """One Airflow for all of it."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        beside("airflow_site").Site(PYTHON, Path(home), database=airflow_database) as running,
    ):
        yield running


class Under(RunnerSuite):
    """The golden lineages, from tasks that Airflow started in parallel in processes of its own."""

    def __init__(self, site: Any) -> None:
        self.site = site

    def check(self, scenario: Scenario, folder: Path) -> None:
        """The whole scenario; AssertionError with what Airflow's logs say when it is not as it must be."""
        try:
            self._check(scenario, folder, update=False)
        except BaseException as error:
            raise AssertionError(f"{error}\n\n{self.site.story(scenario.name)}") from error

    def run(self, order: RunOrder) -> str:
        ir = write_dag(self.site, order.file, order.metadata, order.root, workdir=str(order.workdir))
        conf: dict[str, Any] = {**order.parameters, "tidemill_date": order.date or None}
        if order.only or order.first or order.last:
            conf["tidemill_select"] = {"only": order.only, "from": order.first, "to": order.last}
        ended = self.site.run(ir, conf)
        run = only_run(order.metadata)
        tasks = {t["task_id"]: t["state"] for t in self.site.tasks(ir, ended["dag_run_id"])}
        assert (ended["state"] == "success") == (run.state.value == "COMPLETE"), (tasks, run.state)
        return run.state.value


@pytest.fixture(scope="module")
def jobs(
    site: Any, beside: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Mapping[str, Future[Any]]]:  # fmt: skip
    """Everything that needs no Airflow of its own, under way; of the scenarios those that are asked for."""
    asked = {item.name for item in request.session.items}
    suite, nights = Under(site), beside("airflow_nights")
    folder = tmp_path_factory.mktemp("nights")
    with ThreadPoolExecutor(len(TOGETHER) + len(NIGHTS) + 3) as pool:
        begun: dict[str, Future[Any]] = {}
        if ALL:
            begun["demo"] = pool.submit(nights.by_the_demo, PYTHON, folder / "demo")
        for way in NIGHTS if ALL else ():
            backfill = way == "backfill"
            begun[way] = pool.submit(nights.by_airflow, site, folder / way, backfill=backfill)
        parent_of, folder = beside("airflow_site").parent_of, tmp_path_factory.mktemp("ending")
        if site.version() >= (3, 3):
            begun["a worker ends"] = pool.submit(a_worker_is_told_to_end, site, parent_of, folder)
        begun["a task is killed"] = pool.submit(a_task_is_killed, site, tmp_path_factory.mktemp("napping"))
        for scenario in TOGETHER:
            if f"test_scenario[{scenario.name}]" not in asked:
                continue
            folder = tmp_path_factory.mktemp(scenario.name)
            begun[scenario.name] = pool.submit(suite.check, scenario, folder)
        yield begun


@pytest.mark.parametrize("name", [scenario.name for scenario in TOGETHER])
def test_scenario(jobs: Mapping[str, Future[Any]], name: str) -> None:
    jobs[name].result()


def test_a_task_that_is_killed_in_airflow_ends_its_executor_and_its_run(
    jobs: Mapping[str, Future[Any]],
) -> None:
    jobs["a task is killed"].result()


def test_a_worker_that_is_told_to_end_loses_a_try_and_no_node(
    site: Any, jobs: Mapping[str, Future[Any]]
) -> None:
    if site.version() < (3, 3):
        pytest.skip("a supervisor passes SIGTERM on since Airflow 3.3")
    jobs["a worker ends"].result()


@pytest.mark.skipif(not ALL, reason="TIDEMILL_AIRFLOW_SCHEDULER is not `all`")
@pytest.mark.parametrize("way", NIGHTS)
def test_the_recommenders_nights_on_airflow_are_those_of_the_demo(
    jobs: Mapping[str, Future[Any]], way: str
) -> None:
    found, wanted = jobs[way].result(), jobs["demo"].result()
    assert found == wanted
    assert [night["blessed"] for _, night in sorted(found.items())] == [1, 1, 1, None, 1], (
        "as the README says"
    )


def write_dag(site: Any, file: Path, metadata: str, root: Path, *, workdir: str = "") -> str:
    """Put what `tidemill compile` writes into the dags folder; the DAG's name."""
    found, code_root = load_pipeline(str(file))
    ir = compile_pipeline(found)
    files = dag_files(ir, code_root=str(code_root), metadata=metadata, root=str(root), workdir=workdir)
    site.write(files)
    return ir.name


def only_run(metadata: str) -> Run:
    """The newest run of a store."""
    with closing(open_store(metadata)) as store:
        (run,) = store.get_runs(limit=1)
    return run


NAPPING = """
from tidemill import component, on_exit, pipeline

@component
def nap(place: str) -> None:
    "Sleep until somebody ends it."
    import os, pathlib, threading
    pathlib.Path(place, "new").write_text(str(os.getpid()))
    pathlib.Path(place, "new").rename(pathlib.Path(place, "pid"))
    threading.Event().wait(600)

@component
def tell(place: str) -> None:
    "Say that it is over."
    import pathlib
    pathlib.Path(place, "told").touch()

@pipeline
def napping(place: str = "") -> None:
    "One long node."
    nap(place=place)
    on_exit(tell(place=place))
"""


def a_task_is_killed(site: Any, folder: Path) -> None:
    """The node's executor ends, the rest of the run is done as after any failure."""
    (folder / "napping.py").write_text(NAPPING, encoding="utf-8")
    metadata = f"sqlite:///{folder}/metadata.db"
    name = write_dag(site, folder / "napping.py", metadata, folder / "root")
    place = site.start(name, {"place": str(folder)})
    site.wait((folder / "pid").exists, 120, "the node to run")
    site.ask("PATCH", f"{place}/taskInstances/nap", {"new_state": "failed"})
    executor = Path("/proc", (folder / "pid").read_text())
    site.wait(lambda: not executor.exists(), 60, "the executor to end")
    assert site.ended(place)["state"] == "failed"
    run = only_run(metadata)
    with closing(open_store(metadata)) as store:
        states = {record.node_id: record.state.value for record in store.get_nodes(run.id)}
    assert (run.state.value, states) == ("FAILED", {"nap": "CANCELED", "tell": "COMPLETE"}), site.story(name)
    assert (folder / "told").exists(), "exit nodes run whatever became of the rest"


def a_worker_is_told_to_end(site: Any, parent_of: Callable[[int], int], folder: Path) -> None:
    """SIGTERM to a task's supervisor, as in a pod that is deleted: the executor ends, another try does it."""
    held = Held(site, "ending", folder)
    executor = held.begins(1)
    task = site.ask("GET", f"{held.place}/taskInstances/hold")["pid"]
    os.kill(parent_of(task), signal.SIGTERM)
    site.wait(lambda: not Path("/proc", str(executor)).exists(), 30, "the executor to end")
    held.begins(2)
    assert held.goes_on() == (2, ["FAILED", "COMPLETE"]), site.story("ending")


HOLDING = """
from tidemill import component, pipeline

@component
def hold(place: str) -> int:
    "Say that it began, and go on when it is told to."
    import os, pathlib, threading
    folder = pathlib.Path(place)
    with (folder / "begun").open("a") as begun:
        begun.write(f"{os.getpid()}\\n")
    while not (folder / "go").exists():
        threading.Event().wait(0.1)
    return 1

@component
def use(number: int) -> int:
    "What comes after."
    return number

@pipeline
def NAME(place: str = "") -> None:
    "A node that takes its time, and one after it."
    use(number=hold(place=place).outputs.result)
"""


class Held:
    """A run whose node is under way, and waits."""

    def __init__(self, site: Any, name: str, folder: Path) -> None:
        self.site, self.folder = site, folder
        (folder / f"{name}.py").write_text(HOLDING.replace("NAME", name), encoding="utf-8")
        self.metadata = f"sqlite:///{folder}/metadata.db"
        write_dag(site, folder / f"{name}.py", self.metadata, folder / "root")
        self.place = site.start(name, {"place": str(folder)})
        self.begins(1)

    def begins(self, times: int) -> int:
        """Wait until the node's body began so often; its process."""
        begun = self.folder / "begun"
        self.site.wait(
            lambda: begun.exists() and begun.read_text().count("\n") >= times, 300, "the node to begin"
        )
        return int(begun.read_text().split()[-1])

    def tried(self, times: int) -> bool:
        """Whether Airflow is at this try of the node."""
        task = self.site.ask("GET", f"{self.place}/taskInstances/hold")
        return bool(task["try_number"] == times and task["state"] == "running")

    def goes_on(self) -> tuple[int, list[str]]:
        """Let it go on to its end: how often the body ran, and the states of the node's executions."""
        (self.folder / "go").touch()
        assert self.site.ended(self.place)["state"] == "success"
        run = only_run(self.metadata)
        assert run.state.value == "COMPLETE"
        with closing(open_store(self.metadata)) as store:
            assert store.findings() == []
            states = [execution.state.name for execution in store.get_executions(run.id, "hold")]
        return len((self.folder / "begun").read_text().split()), states


def test_a_scheduler_that_is_told_to_end_with_its_workers_leaves_the_node_to_another_try(
    site: Any, jobs: Mapping[str, Future[Any]], beside: Callable[[str], Any], tmp_path: Path
) -> None:
    wait(jobs.values())  # they need the scheduler
    held = Held(site, "stopped", tmp_path)
    executor = held.begins(1)
    site.kill("scheduler", signal.SIGTERM, 60)
    assert not Path("/proc", str(executor)).exists()
    site.begin("scheduler", settings=beside("airflow_site").ALERT)
    held.begins(2)
    assert held.goes_on() == (2, ["FAILED", "COMPLETE"]), site.story("stopped")


def test_a_scheduler_that_is_killed_with_its_group_leaves_one_published_execution(
    site: Any, jobs: Mapping[str, Future[Any]], beside: Callable[[str], Any], tmp_path: Path
) -> None:
    wait(jobs.values())  # they need the scheduler
    places = [tmp_path / name for name in ("orphaned", "torn")]
    for place in places:
        place.mkdir()
    orphaned, torn = (Held(site, place.name, place) for place in places)
    line = beside("airflow_site").line_of(torn.begins(1), site)
    # Since 3.3 a task leads a group of its own: it lives on unless the machine, or its container, is lost as
    # well.
    lives_on = site.version() >= (3, 3)
    site.kill("scheduler")
    # The task goes first, for it would publish that its executor is gone.
    for process in reversed(line):
        with suppress(ProcessLookupError):  # it saw the one above it end
            os.kill(process, signal.SIGKILL)
    site.begin("scheduler", settings=beside("airflow_site").ALERT)
    torn.begins(2)
    assert torn.goes_on() == (2, ["FAILED", "COMPLETE"])
    if not lives_on:
        orphaned.begins(2)
        assert orphaned.goes_on() == (2, ["FAILED", "COMPLETE"])
        return
    site.wait(lambda: orphaned.tried(2), 60, "Airflow to try the node that goes on without it again")
    assert orphaned.goes_on() == (1, ["COMPLETE"]), "the second try waits for what the first one makes"
