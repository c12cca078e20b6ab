"""Part of the runner suite under Airflow's own scheduler: other processes, its API, what `compile` writes.

On demand only, for it takes minutes: TIDEMILL_AIRFLOW_PYTHON names the interpreter, and
TIDEMILL_AIRFLOW_SCHEDULER is set to anything.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.metadata.sql import open_store
from tidemill.runners.airflow.files import dag_files
from tidemill.testing.runner_suite import RunnerSuite, RunOrder
from tidemill.testing.scenario_list import SCENARIOS, Scenario

PYTHON = os.environ.get("TIDEMILL_AIRFLOW_PYTHON", "")
WANTED = bool(PYTHON and os.environ.get("TIDEMILL_AIRFLOW_SCHEDULER"))
CHOSEN = ("skips", "nested_loops", "exit_handler", "retry", "partial", "sub_pipeline", "cancel", "gates")

pytestmark = [
    pytest.mark.skipif(
        not WANTED, reason="TIDEMILL_AIRFLOW_PYTHON and TIDEMILL_AIRFLOW_SCHEDULER are not both set"
    ),
    pytest.mark.timeout(900),
]


def airflow_site() -> ModuleType:
    """The module beside this one: pytest keeps test folders off the import path."""
    spec = importlib.util.spec_from_file_location("airflow_site", Path(__file__).with_name("airflow_site.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site() -> Iterator[Any]:
    """One Airflow for all scenarios."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        airflow_site().Site(PYTHON, Path(home)) as running,
    ):
        yield running


class TestScheduler(RunnerSuite):
    """The golden lineages, from tasks that Airflow started in parallel in processes of its own."""

    @pytest.fixture(autouse=True)
    def _site(self, site: Any) -> None:
        self.site = site

    @pytest.mark.parametrize(
        "scenario", [s for s in SCENARIOS if s.name in CHOSEN], ids=lambda scenario: scenario.name
    )
    def test_scenario(self, scenario: Scenario, folder: Path, request: pytest.FixtureRequest) -> None:
        super().test_scenario(scenario, folder, request)

    def run(self, order: RunOrder) -> str:
        found, code_root = load_pipeline(str(order.file))
        ir = compile_pipeline(found)
        files = dag_files(
            ir, code_root=str(code_root), metadata=order.metadata, root=str(order.root),
            workdir=str(order.workdir),
        )  # fmt: skip
        for name, text in reversed(files.items()):
            (self.site.dags / name).write_text(text, encoding="utf-8")
        conf: dict[str, Any] = {**order.parameters, "tidemill_date": order.date}
        if order.only or order.first or order.last:
            conf["tidemill_select"] = {"only": order.only, "from": order.first, "to": order.last}
        ended = self.site.run(ir.name, conf)
        with closing(open_store(order.metadata)) as store:
            (run,) = store.get_runs(limit=1)
        tasks = {t["task_id"]: t["state"] for t in self.site.tasks(ir.name, ended["dag_run_id"])}
        assert (ended["state"] == "success") == (run.state.value == "COMPLETE"), (tasks, run.state)
        return run.state.value


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


def test_a_task_that_is_killed_in_airflow_ends_its_executor_and_its_run(site: Any, tmp_path: Path) -> None:
    (tmp_path / "napping.py").write_text(NAPPING, encoding="utf-8")
    metadata = f"sqlite:///{tmp_path}/metadata.db"
    ir = compile_pipeline(load_pipeline(str(tmp_path / "napping.py"))[0])
    files = dag_files(ir, code_root=str(tmp_path), metadata=metadata, root=str(tmp_path / "root"))
    for name, text in reversed(files.items()):
        (site.dags / name).write_text(text, encoding="utf-8")
    place = site.start(ir.name, {"place": str(tmp_path)})
    site.wait((tmp_path / "pid").exists, 120, "the node to run")
    site.ask("PATCH", f"{place}/taskInstances/nap", {"new_state": "failed"})
    executor = Path("/proc", (tmp_path / "pid").read_text())
    site.wait(lambda: not executor.exists(), 60, "the executor to end")
    assert site.ended(place)["state"] == "failed"
    with closing(open_store(metadata)) as store:
        (run,) = store.get_runs(limit=1)
        states = {record.node_id: record.state.value for record in store.get_nodes(run.id)}
    assert (run.state.value, states) == ("FAILED", {"nap": "CANCELED", "tell": "COMPLETE"})
    assert (tmp_path / "told").exists(), "exit nodes run whatever became of the rest"
