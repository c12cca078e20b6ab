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
