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
        assert self.airflow.stdin is not None
        assert self.airflow.stdout is not None
        self.airflow.stdin.write(json.dumps(asked) + "\n")
        self.airflow.stdin.flush()
        answer = json.loads(self.airflow.stdout.readline())
        assert "error" not in answer, answer["error"]
        with closing(open_store(order.metadata)) as store:
            (run,) = store.get_runs(limit=1)
        assert (answer["state"] == "success") == (run.state.value == "COMPLETE"), (answer, run.state)
        return run.state.value
