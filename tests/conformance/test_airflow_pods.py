"""Nodes of Airflow in pods of their own: scenarios of the runner suite, and what a pod is started for.

The pods are processes behind Kubernetes' API (pod_cluster.py). TIDEMILL_AIRFLOW_PYTHON names an interpreter
with Airflow and its provider for Kubernetes; without it the tests are skipped, and say so. What Airflow's own
processes show, and a real cluster, is in test_airflow_pods_site.py. TIDEMILL_POD_SCENARIOS names scenarios,
or `all`, and brings the longer tests with them. Scenarios run in a real cluster of one node, this machine,
where TIDEMILL_KUBECONFIG names one, and TIDEMILL_POD_IMAGE an image with this tidemill that it can get.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.ir import codec
from tidemill.metadata.sql import open_store
from tidemill.testing.runner_suite import RunnerSuite, RunOrder
from tidemill.testing.scenario_list import SCENARIOS, Scenario

PYTHON = os.environ.get("TIDEMILL_AIRFLOW_PYTHON", "")
PROGRAM = Path(__file__).with_name("airflow_program.py")
CONFIG, IMAGE = os.environ.get("TIDEMILL_KUBECONFIG", ""), os.environ.get("TIDEMILL_POD_IMAGE", "")
REAL = bool(CONFIG and IMAGE)
SPACE = f"tidemill-{secrets.token_hex(4)}"
ASKED = os.environ.get("TIDEMILL_POD_SCENARIOS", "")
CHOSEN = (ASKED or "retry").split(",")
MORE = pytest.mark.skipif(not ASKED, reason="on demand: TIDEMILL_POD_SCENARIOS names scenarios, or `all`")
OF_PROCESSES = pytest.mark.skipif(REAL, reason="it looks at the processes that stand in for pods")
TOKEN = "a-token-of-these-tests-and-no-others"

pytestmark = pytest.mark.skipif(
    not PYTHON, reason="TIDEMILL_AIRFLOW_PYTHON names no interpreter with Airflow"
)
FILE = """from airflow.sdk import DAG
from tidemill.runners.airflow import load_dag
dag: DAG = load_dag({ir!r}, code_root={code_root!r}, metadata={metadata!r}, root={root!r},
                    workdir={workdir!r}, options={options!r}, assets="none")
"""


def dag_file(order: RunOrder, metadata: str, **more: Any) -> str:
    """A DAG whose nodes have pods, which find the record, and the token by a secret."""
    found, code_root = load_pipeline(str(order.file))
    ir = compile_pipeline(found)
    file = order.workdir / f"{ir.name}.json"
    file.write_text(codec.dumps(ir), encoding="utf-8")
    mount = {"name": "here", "mountPath": str(order.workdir)}
    spec = {
        "volumes": [{"name": "here", "hostPath": {"path": str(order.workdir)}}],
        "containers": [
            {"name": "base", "volumeMounts": [mount], "securityContext": {"runAsUser": os.getuid()}}
        ],
    }
    # A scenario is in the image, as part of tidemill.
    code = {} if REAL and Path(code_root) != order.workdir else {"TIDEMILL_CODE_ROOT": str(code_root)}
    pod = {
        "image": IMAGE or "mill:1", "kubernetes_conn_id": "cluster", "template": {"spec": spec},
        "env": {**code, "TIDEMILL_WORKDIR": str(order.workdir)}, "namespace": SPACE,
        "secret_env": {"TIDEMILL_TOKEN": "records/token"}, **more,
    }  # fmt: skip
    return FILE.format(
        ir=str(file), code_root=str(code_root), metadata=metadata, root=str(order.root),
        workdir=str(order.workdir), options={"*": {"pod": pod}},
    )  # fmt: skip


def airflow_settings(home: Path, cluster: Any) -> dict[str, str]:
    """Environment variables of an Airflow that knows the cluster."""
    (home / "kubeconfig").write_text(json.dumps(cluster.kubeconfig), encoding="utf-8")
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(home / "kubeconfig")}}
    return {
        "AIRFLOW_CONN_CLUSTER": json.dumps(connection), "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False", "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONWARNINGS": "ignore",
        "TIDEMILL_TOKEN": TOKEN,
    }  # fmt: skip


class Kubernetes:
    """A real cluster of one node, which is this machine: a namespace of it with the token."""

    def __init__(self) -> None:
        self.kubeconfig = json.loads(kubectl("config", "view", "--raw", "--flatten", "--output", "json"))
        server = urlsplit(self.kubeconfig["clusters"][0]["cluster"]["server"])
        with socket.create_connection((server.hostname or "", server.port or 443), 10) as connection:
            self.host = str(connection.getsockname()[0])


def kubectl(*words: str) -> str:
    """What a command of kubectl's prints."""
    done = subprocess.run(
        ["kubectl", "--kubeconfig", CONFIG, "--namespace", SPACE, *words], text=True, check=False,
        capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"kubectl {' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def a_cluster(beside: Callable[[str], Any]) -> Iterator[Any]:
    """Where pods run."""
    if not REAL:
        with beside("pod_cluster").cluster({"records": {"token": TOKEN}}) as cluster:
            yield cluster
        return
    kubectl("create", "namespace", SPACE)
    try:
        kubectl("create", "secret", "generic", "records", f"--from-literal=token={TOKEN}")
        yield Kubernetes()
    finally:
        kubectl("delete", "namespace", SPACE, "--wait=false")


class Pods:
    """The cluster, Airflow beside it, and servers of records, which both ask over HTTP with a token."""

    def __init__(
        self, cluster: Any, home: Path, airflow: subprocess.Popen[str], serve: Callable[[str], str]
    ) -> None:
        self.cluster, self.home, self.airflow, self.serve = cluster, home, airflow, serve
        self.said = ""

    def run(self, order: RunOrder, **more: Any) -> str:
        """A DAG run; its state."""
        text = dag_file(order, self.serve(order.metadata), **more)
        conf: dict[str, Any] = {**order.parameters, "tidemill_date": order.date or None}
        if order.only or order.first or order.last:
            conf["tidemill_select"] = {"only": order.only, "from": order.first, "to": order.last}
        answer = self.ask({"name": order.file.stem, "file": text, "conf": conf})
        return str(answer["state"])

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self.airflow.stdin is not None
        assert self.airflow.stdout is not None
        self.airflow.stdin.write(json.dumps(order) + "\n")
        self.airflow.stdin.flush()
        while not (line := self.airflow.stdout.readline()).startswith("{"):
            assert line, "Airflow's process ended"  # others are errors that its log shows
            self.said += line
        answer: dict[str, Any] = json.loads(line)
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
                nursery, tmp_path_factory.mktemp("served"), ["--host", host], {"TIDEMILL_TOKEN": TOKEN},
                database=metadata,
            )  # fmt: skip
            server.start()
            servers[metadata] = server
        return f"http://{host}:{servers[metadata].ports['http']}"

    with closing(nursery), a_cluster(beside) as cluster:
        host = cluster.host if REAL else "127.0.0.1"
        with subprocess.Popen(
            [PYTHON, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **airflow_settings(home, cluster)},
        ) as process:  # fmt: skip
            yield Pods(cluster, home, process, serve)
            assert process.stdin is not None
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()  # of a test that failed, whose run goes on
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


STORY = """
from tidemill import When, component, pipeline

@component
def give(number: int) -> int:
    "A number."
    print("giving", number)
    return number

@component
def hold(number: int, place: str) -> int:
    "At first until somebody ends it."
    import pathlib, threading
    with pathlib.Path(place, "begun").open("a") as begun:
        begun.write("once ")
    if place and pathlib.Path(place, "begun").read_text() == "once ":
        threading.Event().wait(120)
    return number

@pipeline
def NAME(number: int = 1, place: str = "", wanted: bool = False) -> None:
    "One after the other, and one that is not wanted."
    with When(wanted):
        hold(number=give(number=number).outputs.result, place=place)
"""


class Story:
    """A pipeline in a folder, run again and again."""

    def __init__(self, pods: Pods, folder: Path, name: str) -> None:
        self.pods, self.folder, self.name = pods, folder, name
        (folder / f"{name}.py").write_text(STORY.replace("NAME", name), encoding="utf-8")
        self.metadata = f"sqlite:///{folder / 'metadata.db'}"

    def run(self, parameters: dict[str, Any], **more: Any) -> str:
        order = RunOrder(
            file=self.folder / f"{self.name}.py", parameters=parameters, date="", root=self.folder / "root",
            metadata=self.metadata, workdir=self.folder,
        )  # fmt: skip
        return self.pods.run(order, **more)

    def record(self) -> dict[str, tuple[str, int]]:
        """Of the newest run: state and attempt of each node."""
        with closing(open_store(self.metadata)) as store:
            (run,) = store.get_runs(limit=1)
            return {n.node_id: (n.state.value, n.attempt) for n in store.get_nodes(run.id)}

    def made(self) -> list[str]:
        """Tasks that a pod was made for, in order, since the last time."""
        mine = [p for p in self.pods.cluster.made if p["metadata"]["labels"]["dag_id"] == self.name]
        self.pods.cluster.made.clear()
        return [pod["metadata"]["labels"]["task_id"] for pod in mine]


@OF_PROCESSES
@pytest.mark.parametrize("deferrable", [False, pytest.param(True, marks=MORE)], ids=["watched", "deferred"])
def test_a_pod_is_for_what_executes_alone_and_holds_no_secret(
    pods: Pods, tmp_path: Path, *, deferrable: bool
) -> None:
    story = Story(pods, tmp_path, f"seldom_{deferrable}".lower())
    pods.cluster.made.clear()
    assert story.run({"wanted": True}, deferrable=deferrable) == "success"
    texts = json.dumps(pods.cluster.made)
    assert story.made() == ["give", "hold"]
    assert story.record() == {"give": ("COMPLETE", 1), "hold": ("COMPLETE", 1)}
    assert story.run({"wanted": True}) == "success"
    assert story.record() == {"give": ("CACHED", 1), "hold": ("CACHED", 1)}
    assert story.run({}) == "success"
    assert story.record() == {"give": ("SKIPPED", 1), "hold": ("SKIPPED", 1)}
    assert story.made() == []
    dags = "".join(f.read_text() for f in (pods.home / "dags").iterdir() if f.is_file())
    database = (pods.home / "airflow.db").read_bytes()
    assert TOKEN not in texts + dags + pods.said
    assert TOKEN.encode() not in database, "DAGs, rendered fields, XComs and triggers"
    assert "metadata=" not in texts


@OF_PROCESSES
@pytest.mark.parametrize("how", ["lost", pytest.param("evicted", marks=MORE)])
def test_a_pod_that_its_cluster_takes_away_is_made_again(pods: Pods, tmp_path: Path, how: str) -> None:
    story = Story(pods, tmp_path, how)
    cluster = pods.cluster

    def take() -> None:
        begun = tmp_path / "begun"
        while not begun.exists() or not begun.read_text():
            if over.wait(0.05):
                return
        (name,) = (n for n in cluster.pods if n.startswith(f"{how}-hold"))
        cluster.remove(name, 0.0 if how == "lost" else 30.0)

    over = threading.Event()
    thread = threading.Thread(target=take)
    thread.start()
    try:
        assert story.run({"wanted": True, "place": str(tmp_path)}) == "success"
    finally:
        over.set()
        thread.join()
    assert story.record() == {"give": ("COMPLETE", 1), "hold": ("COMPLETE", 2)}
    assert story.made() == ["give", "hold", "hold"]
    with closing(open_store(story.metadata)) as store:
        (run,) = store.get_runs(limit=1)
        states = [execution.state.name for execution in store.get_executions(run.id, "hold")]
        assert store.findings() == []
    assert states == ["FAILED" if how == "lost" else "CANCELED", "COMPLETE"]


HOLDING = """
from tidemill import component, pipeline

@component
def hold() -> int:
    "Say that it began, and go on when it is told to."
    import os, pathlib, threading
    folder = pathlib.Path("PLACE")
    with (folder / "begun").open("a") as begun:
        begun.write("once ")
    while not (folder / "go").exists():
        threading.Event().wait(0.1)
    return 1

@pipeline
def outlived() -> None:
    "A node that takes its time."
    hold()
"""


@OF_PROCESSES
def test_a_pod_outlives_its_worker_and_no_other_one_is_made(
    beside: Callable[[str], Any], nursery: Any, tmp_path: Path
) -> None:
    """The process of the first try is killed; that of the second one finds the pod, or what it published."""
    (tmp_path / "outlived.py").write_text(HOLDING.replace("PLACE", str(tmp_path)), encoding="utf-8")
    metadata, served = f"sqlite:///{tmp_path / 'metadata.db'}", beside("served")
    server = served.Served(nursery, tmp_path / "served", [], {"TIDEMILL_TOKEN": TOKEN}, database=metadata)
    server.folder.mkdir()
    server.start()
    with beside("pod_cluster").cluster({"records": {"token": TOKEN}}) as cluster:
        home = tmp_path / "airflow"
        home.mkdir()
        settings = {**os.environ, **airflow_settings(home, cluster)}
        order = RunOrder(
            file=tmp_path / "outlived.py", parameters={}, date="", root=tmp_path / "root", metadata=metadata,
            workdir=tmp_path,
        )  # fmt: skip
        (tmp_path / "dag.py").write_text(dag_file(order, server.url), encoding="utf-8")
        words = [PYTHON, str(PROGRAM.with_name("pod_task_program.py")), str(tmp_path / "dag.py")]
        with subprocess.Popen([*words, "1"], env=settings) as first:
            pause = threading.Event()
            while not (tmp_path / "begun").exists():
                assert first.poll() is None
                pause.wait(0.1)
            first.kill()
        (pod,) = cluster.pods
        (tmp_path / "go").touch()
        second = subprocess.run(
            [*words, "2"], env=settings, check=False, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert second.returncode == 0, second.stdout
        assert len(cluster.made) == 1, second.stdout
        assert cluster.made[0]["metadata"]["name"] == pod
    server.kill()
    assert (tmp_path / "begun").read_text() == "once ", "the body ran once"
    with closing(open_store(metadata)) as store:
        (run,) = store.get_runs(limit=1)
        assert [e.state.name for e in store.get_executions(run.id, "hold")] == ["COMPLETE"]
        assert store.findings() == []
