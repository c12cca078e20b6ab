"""Nodes of Airflow in pods of their own: scenarios of the runner suite, and what a pod is started for.

The pods are processes behind Kubernetes' API (pod_cluster.py); where TIDEMILL_KUBECONFIG names a cluster on this
machine, they are its pods. TIDEMILL_AIRFLOW_PYTHON names an interpreter with Airflow and its provider for
Kubernetes; without it the tests are skipped, and say so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.ir import codec
from tidemill.metadata.sql import open_store
from tidemill.testing.runner_suite import RunnerSuite, RunOrder
from tidemill.testing.scenario_list import SCENARIOS, Scenario

PYTHON = os.environ.get("TIDEMILL_AIRFLOW_PYTHON", "")
PROGRAM = Path(__file__).with_name("airflow_program.py")
CHOSEN = os.environ.get("TIDEMILL_POD_SCENARIOS", "cache,retry,skips,loop_output,cancel").split(",")
TOKEN = "a-token-of-these-tests-and-no-others"

pytestmark = pytest.mark.skipif(
    not PYTHON, reason="TIDEMILL_AIRFLOW_PYTHON names no interpreter with Airflow"
)
FILE = """from airflow.sdk import DAG
from tidemill.runners.airflow import load_dag
dag: DAG = load_dag({ir!r}, code_root={code_root!r}, metadata={metadata!r}, root={root!r}, workdir={workdir!r},
               options={options!r})
"""


class Pods:
    """The cluster, Airflow beside it, and servers of records, which both ask over HTTP with a token."""

    def __init__(self, cluster: Any, airflow: subprocess.Popen[str], serve: Callable[[str], str]) -> None:
        self.cluster, self.airflow, self.serve = cluster, airflow, serve

    def options(self, order: RunOrder, code_root: Path) -> dict[str, Any]:
        """Every node in a pod, which finds the record and the token by a secret."""
        mount = {"name": "here", "mountPath": str(order.workdir)}
        spec = {
            "volumes": [{"name": "here", "hostPath": {"path": str(order.workdir)}}],
            "containers": [{"name": "base", "volumeMounts": [mount]}],
        }
        pod = {
            "image": "mill:1", "kubernetes_conn_id": "cluster", "template": {"spec": spec},
            "env": {"TIDEMILL_CODE_ROOT": str(code_root), "TIDEMILL_WORKDIR": str(order.workdir)},
            "secret_env": {"TIDEMILL_TOKEN": "records/token"},
        }  # fmt: skip
        return {"*": {"pod": pod}}

    def run(self, order: RunOrder, **more: Any) -> str:
        """A DAG run; its state."""
        found, code_root = load_pipeline(str(order.file))
        ir = compile_pipeline(found)
        file = order.workdir / f"{ir.name}.json"
        file.write_text(codec.dumps(ir), encoding="utf-8")
        options = self.options(order, Path(code_root))
        options["*"]["pod"] |= more
        text = FILE.format(
            ir=str(file), code_root=str(code_root), metadata=self.serve(order.metadata), root=str(order.root),
            workdir=str(order.workdir), options=options,
        )  # fmt: skip
        conf = {**order.parameters, "tidemill_date": order.date}
        answer = self.ask({"name": order.file.stem, "file": text, "conf": conf})
        return str(answer["state"])

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self.airflow.stdin is not None
        assert self.airflow.stdout is not None
        self.airflow.stdin.write(json.dumps(order) + "\n")
        self.airflow.stdin.flush()
        answer: dict[str, Any] = json.loads(self.airflow.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer


@pytest.fixture(scope="module")
def pods(beside: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    home, served = tmp_path_factory.mktemp("airflow"), beside("served")
    servers: dict[str, Any] = {}
    nursery = served.Nursery()

    def serve(metadata: str) -> str:
        if metadata not in servers:
            server = served.Served(
                nursery, tmp_path_factory.mktemp("served"), [], {"TIDEMILL_TOKEN": TOKEN}, database=metadata
            )
            server.start()
            servers[metadata] = server
        return str(servers[metadata].url)

    with closing(nursery), beside("pod_cluster").cluster({"records": {"token": TOKEN}}) as cluster:
        (home / "kubeconfig").write_text(json.dumps(cluster.kubeconfig), encoding="utf-8")
        connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(home / "kubeconfig")}}
        settings = {
            "AIRFLOW_CONN_CLUSTER": json.dumps(connection), "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TIDEMILL_TOKEN": TOKEN,
        }  # fmt: skip
        with subprocess.Popen(
            [PYTHON, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **settings},
        ) as process:  # fmt: skip
            yield Pods(cluster, process, serve)
            assert process.stdin is not None
            process.stdin.close()
        for server in servers.values():
            server.kill()


class TestInPods(RunnerSuite):
    """The golden lineages, from launchers in pods."""

    @pytest.fixture(autouse=True)
    def _pods(self, pods: Pods) -> None:
        self.pods = pods

    @pytest.mark.parametrize(
        "scenario", [s for s in SCENARIOS if s.name in CHOSEN or "all" in CHOSEN], ids=lambda s: s.name
    )
    def test_scenario(self, scenario: Scenario, folder: Path, request: pytest.FixtureRequest) -> None:
        super().test_scenario(scenario, folder, request)

    def run(self, order: RunOrder) -> str:
        state = self.pods.run(order)
        with closing(open_store(order.metadata)) as store:
            (run,) = store.get_runs(limit=1)
        assert (state == "success") == (run.state.value == "COMPLETE"), (state, run.state)
        return run.state.value
