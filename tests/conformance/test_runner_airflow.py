"""The runner suite on Apache Airflow: each pipeline is a DAG and runs with `dag.test()`.

TIDEMILL_AIRFLOW_PYTHON names an interpreter that has apache-airflow and this tidemill; without it the tests
are skipped, and say so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
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
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # uv makes environments
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
        conf: dict[str, Any] = {**order.parameters, "tidemill_date": order.date or None}
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
import os
import sys
sys.path.insert(0, {code!r})
from airflow.sdk import DAG
from tidemill.runners.airflow import AirflowDagRunner
from mine import mine
dag: DAG = AirflowDagRunner(metadata="airflow://records", root={root!r}).run(mine, tags=["team"])
assert dag.tags == {{"team"}}
from tidemill.runners.airflow.links import run_link
os.environ["TIDEMILL_URL"] = "https://mill.example/ui/"
assert run_link("a b", "mine", "train.x", 2) == "https://mill.example/ui/runs/a%20b?node=train.x&iteration=2"
del os.environ["TIDEMILL_URL"]
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


MODES = """
from tidemill import Resources, VirtualEnv, component, pipeline

@component
def look() -> str:
    "What only the other interpreter has."
    import sys
    import only_there
    return f"{only_there.NAME} {sys.prefix}"

@component
def own() -> str:
    "Where an environment of the node's own is."
    import sys
    return sys.prefix

@component
def big() -> str:
    "Airflow's own interpreter."
    import airflow
    return "airflow"

@pipeline
def modes() -> None:
    "Three ways to execute."
    look()
    own().with_options(environment=VirtualEnv())
    big().with_options(resources=Resources(cpu=2, memory="1Gi", gpu=1))
"""
MODES_FILE = """
from airflow.sdk import DAG
from tidemill.errors import DefinitionError
from tidemill.runners.airflow import AirflowOptions, load_dag

def made(**options):
    return load_dag({ir!r}, code_root={code_root!r}, root={root!r}, metadata={metadata!r}, options={{
        "look": AirflowOptions(python={python!r}), "*": dict(queue="cpu", priority_weight=7), **options}})

try:
    import kubernetes
except ImportError:
    try:
        made(big=AirflowOptions(pod_override={{}}))
    except DefinitionError as error:
        assert "cncf-kubernetes" in error.hint
        dag: DAG = made()
else:
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
    try:
        from airflow.serialization.serialized_objects import DagSerialization
    except ImportError:  # Airflow 3.1
        from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

    for wrong in ({{"spec": {{"nodeSelectr": {{}}}}}}, {{"spec": {{"tolerations": {{}}}}}}):
        try:
            made(big=AirflowOptions(pod_override=wrong))
        except DefinitionError as error:
            assert "pod_override" in str(error)
        else:
            raise AssertionError(wrong)
    dag = made(big=AirflowOptions(pod_override={{"spec": {{
        "nodeSelector": {{"gpu": "yes"}}, "containers": [{{"name": "base", "image": "mine:1"}}]}}}}))
    again = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    over = PodGenerator.from_obj(again.get_task("big").executor_config)
    from kubernetes import client
    spec = client.V1PodSpec(containers=[client.V1Container(name="base", image="airflow:3")],
                            service_account_name="sa")
    pod = PodGenerator.serialize_pod(PodGenerator.construct_pod(
        dag_id="modes", task_id="big", pod_id="p", try_number=1, kube_image="airflow:3", date=None,
        args=["run"], pod_override_object=over, namespace="n", scheduler_job_id="1", run_id="r",
        base_worker_pod=client.V1Pod(metadata=client.V1ObjectMeta(), spec=spec)))
    (base,) = pod["spec"]["containers"]
    assert base["image"] == "mine:1", base
    assert base["args"] == ["run"]
    amount = str(2**30 + 512 * 2**20)
    assert base["resources"] == {{"requests": {{"cpu": "2000m", "memory": amount}},
                                 "limits": {{"cpu": "2000m", "memory": amount, "nvidia.com/gpu": "1"}}}}
    assert pod["spec"]["nodeSelector"] == {{"gpu": "yes"}}
    assert pod["spec"]["serviceAccountName"] == "sa"
look = dag.get_task("look")
assert (look.queue, look.priority_weight, look.pool) == ("cpu", 7, "default_pool")
"""


def test_nodes_run_in_other_interpreters_and_pods_are_what_kubernetes_gets(
    airflow: subprocess.Popen[str], tmp_path: Path
) -> None:
    venv.create(tmp_path / "there", symlinks=True)
    (packages,) = (tmp_path / "there" / "lib").glob("*/site-packages")
    (packages / "only_there.py").write_text("NAME = 'found'", encoding="utf-8")
    (tmp_path / "modes.py").write_text(MODES, encoding="utf-8")
    file = tmp_path / "modes.json"
    file.write_text(codec.dumps(compile_pipeline(load_pipeline(str(tmp_path / "modes.py"))[0])), "utf-8")
    python, metadata = tmp_path / "there" / "bin" / "python", f"sqlite:///{tmp_path}/metadata.db"
    text = MODES_FILE.format(
        ir=str(file), code_root=str(tmp_path), root=str(tmp_path / "root"), metadata=metadata,
        python=str(python),
    )  # fmt: skip
    assert ask(airflow, {"name": "modes", "file": text, "conf": {}}) == {"state": "success"}
    with closing(open_store(metadata)) as store:
        (run,) = store.get_runs()
        of = {n.node_id: n.execution_id for n in store.get_nodes(run.id)}
        outputs = store.get_outputs([*of.values()])
        (look,) = store.get_executions_by_id([of["look"]])
    values = {
        node: json.loads(Path(outputs[execution]["result"][0].uri, "value.json").read_text())
        for node, execution in of.items()
    }
    assert values["look"] == f"found {tmp_path / 'there'}"
    assert values["own"].startswith(str(tmp_path / "root" / "environments"))
    assert look.custom_properties["tidemill.interpreter"] == str(python)
