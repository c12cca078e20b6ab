"""The runner suite on Apache Airflow: each pipeline is a DAG and runs with `dag.test()`.

TIDEMILL_AIRFLOW_PYTHON names an interpreter that has apache-airflow and this tidemill; without it the tests
are skipped, and say so.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.ir import codec
from tidemill.metadata.sql import open_store
from tidemill.testing.runner_suite import RunnerSuite, RunOrder

PYTHON = os.environ.get("TIDEMILL_AIRFLOW_PYTHON", "")
PROGRAM = Path(__file__).with_name("airflow_program.py")

pytestmark = pytest.mark.skipif(
    not PYTHON, reason="TIDEMILL_AIRFLOW_PYTHON names no interpreter with Airflow"
)


@pytest.fixture(scope="module")
def airflow() -> Iterator[subprocess.Popen[str]]:
    """One process for all scenarios: importing Airflow takes longer than running them."""
    with tempfile.TemporaryDirectory() as home:
        settings = {
            "AIRFLOW_CONN_RECORDS": f"sqlite:///{home}/records.db",
            "AIRFLOW_HOME": home, "AIRFLOW__CORE__DAGS_FOLDER": f"{home}/dags",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore",
        }  # fmt: skip
        with subprocess.Popen(
            [PYTHON, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **settings},
        ) as process:  # fmt: skip
            yield process
            assert process.stdin is not None
            process.stdin.close()


class TestDagTest(RunnerSuite):
    """One process, Airflow's own order of tasks, its own retries."""

    @pytest.fixture(autouse=True)
    def _process(self, airflow: subprocess.Popen[str]) -> None:
        self.airflow = airflow

    def run(self, order: RunOrder) -> str:
        found, code_root = load_pipeline(str(order.file))
        ir = compile_pipeline(found)
        file = order.workdir / f"{ir.name}.json"
        file.write_text(codec.dumps(ir), encoding="utf-8")
        select = {"only": order.only, "from": order.first, "to": order.last}
        conf: dict[str, Any] = {**order.parameters, "tidemill_date": order.date}
        if any(select.values()):
            conf["tidemill_select"] = select
        asked = {
            "name": order.file.stem, "ir": str(file), "code_root": str(code_root), "conf": conf,
            "metadata": order.metadata, "root": str(order.root), "workdir": str(order.workdir),
        }  # fmt: skip
        answer = ask(self.airflow, asked)
        with closing(open_store(order.metadata)) as store:
            (run,) = store.get_runs(limit=1)
        assert (answer["state"] == "success") == (run.state.value == "COMPLETE"), (answer, run.state)
        return run.state.value


DAG_FILE = """
import sys
sys.path.insert(0, {code!r})
from airflow.sdk import DAG
from tidemill.runners.airflow import AirflowDagRunner
from mine import mine
dag: DAG = AirflowDagRunner(metadata="airflow://records", root={root!r}).run(mine, tags=["team"])
assert dag.tags == {{"team"}}
"""
MODULE = """
from tidemill import component, pipeline

@component
def nothing(number: int) -> None:
    "Do nothing."

@pipeline
def mine(number: int = 3) -> None:
    "One node."
    nothing(number=number)
"""


def test_a_dag_file_runs_a_pipeline_object_with_the_store_of_a_connection(
    airflow: subprocess.Popen[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MODULE, encoding="utf-8")
    text = DAG_FILE.format(code=str(tmp_path), root=str(tmp_path / "root"))
    assert ask(airflow, {"name": "mine", "file": text, "conf": {"number": 4}}) == {"state": "success"}
    assert not (tmp_path / "root" / "metadata.db").exists()
    assert list((tmp_path / "root").iterdir()), "the log of the node"


def ask(airflow: subprocess.Popen[str], order: dict[str, Any]) -> dict[str, Any]:
    """What came of an order; see airflow_program.py."""
    assert airflow.stdin is not None
    assert airflow.stdout is not None
    airflow.stdin.write(json.dumps(order) + "\n")
    airflow.stdin.flush()
    answer: dict[str, Any] = json.loads(airflow.stdout.readline())
    assert "error" not in answer, answer["error"]
    return answer
