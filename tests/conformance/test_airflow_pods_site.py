"""Pods of nodes with all of Airflow's processes, and in a real cluster: on demand.

TIDEMILL_AIRFLOW_PYTHON names an interpreter with Airflow and its provider for Kubernetes. With
TIDEMILL_AIRFLOW_SCHEDULER=pods the pods are processes (pod_cluster.py). Where TIDEMILL_KUBECONFIG names a
cluster of one node that is this machine, and TIDEMILL_POD_IMAGE an image with this tidemill that it can get,
they are its pods, and scenarios of the runner suite run in them as well: TIDEMILL_POD_SCENARIOS, or `all`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.metadata.sql import open_store
from tidemill.runners.airflow.files import dag_files
from tidemill.testing.runner_suite import RunnerSuite, RunOrder
from tidemill.testing.scenario_list import SCENARIOS, Scenario

PYTHON = os.environ.get("TIDEMILL_AIRFLOW_PYTHON", "")
CONFIG, IMAGE = os.environ.get("TIDEMILL_KUBECONFIG", ""), os.environ.get("TIDEMILL_POD_IMAGE", "")
REAL = bool(CONFIG and IMAGE)
WANTED = bool(PYTHON and (REAL or os.environ.get("TIDEMILL_AIRFLOW_SCHEDULER") == "pods"))
CHOSEN = os.environ.get("TIDEMILL_POD_SCENARIOS", "linear,cache,retry,skips,loop_output,cancel").split(",")
TOKEN = secrets.token_urlsafe()
SPACE = f"tidemill-{secrets.token_hex(4)}"

pytestmark = [
    pytest.mark.skipif(
        not WANTED, reason="not set: TIDEMILL_AIRFLOW_PYTHON, and TIDEMILL_AIRFLOW_SCHEDULER=pods or "
        "TIDEMILL_KUBECONFIG with TIDEMILL_POD_IMAGE",
    ),
    pytest.mark.timeout(1800),
]  # fmt: skip


class Processes:
    """Pods that are processes."""

    host, image = "127.0.0.1", "mill:1"

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.config = cluster.kubeconfig

    def pods(self) -> list[str]:
        """The names of those there are."""
        return [*self.cluster.pods]


class Kubernetes:
    """A namespace of a real cluster."""

    image = IMAGE

    def __init__(self) -> None:
        self.config = json.loads(self.kubectl("config", "view", "--raw", "--flatten", "--output", "json"))
        server = urllib.parse.urlsplit(self.config["clusters"][0]["cluster"]["server"])
        with socket.create_connection((server.hostname or "", server.port or 443), 10) as connection:
            self.host = str(connection.getsockname()[0])

    def kubectl(self, *words: str) -> str:
        done = subprocess.run(
            ["kubectl", "--kubeconfig", CONFIG, "--namespace", SPACE, *words], text=True, check=False,
            capture_output=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"kubectl {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def pods(self) -> list[str]:
        """The names of those there are."""
        return self.kubectl("get", "pods", "--output", "jsonpath={.items[*].metadata.name}").split()


@pytest.fixture(scope="module")
def backend(beside: Callable[[str], Any]) -> Iterator[Any]:
    if not REAL:
        with beside("pod_cluster").cluster({"records": {"token": TOKEN}}) as cluster:
            yield Processes(cluster)
        return
    real = Kubernetes()
    real.kubectl("create", "namespace", SPACE)
    try:
        real.kubectl("create", "secret", "generic", "records", f"--from-literal=token={TOKEN}")
        yield real
    finally:
        real.kubectl("delete", "namespace", SPACE, "--wait=false")


class Bench:
    """Airflow, pods, and servers of records for both."""

    def __init__(self, site: Any, backend: Any, serve: Callable[[str], str]) -> None:
        self.site, self.backend, self.serve = site, backend, serve

    def write(self, order: RunOrder, **more: Any) -> str:
        """What `tidemill compile` writes of a pipeline whose nodes have pods; the DAG's name."""
        found, code_root = load_pipeline(str(order.file))
        ir = compile_pipeline(found)
        mount = {"name": "here", "mountPath": str(order.workdir)}
        base = {"name": "base", "volumeMounts": [mount], "securityContext": {"runAsUser": os.getuid()}}
        volume = {"name": "here", "hostPath": {"path": str(order.workdir), "type": "Directory"}}
        env = {"TIDEMILL_WORKDIR": str(order.workdir)}
        if Path(code_root) == order.workdir or not REAL:  # scenarios are in the image, with tidemill
            env["TIDEMILL_CODE_ROOT"] = str(code_root)
        pod = {
            "image": self.backend.image, "namespace": SPACE, "kubernetes_conn_id": "cluster", "env": env,
            "template": {"spec": {"volumes": [volume], "containers": [base]}},
            "secret_env": {"TIDEMILL_TOKEN": "records/token"}, **more,
        }  # fmt: skip
        files = dag_files(
            ir, code_root=str(code_root), metadata=self.serve(order.metadata), root=str(order.root),
            workdir=str(order.workdir), options={"*": {"pod": pod}},
        )  # fmt: skip
        self.site.write(files)
        return ir.name

    def log(self, dag: str, task: str) -> str:
        """What the tries of a task say."""
        files = sorted(self.site.home.glob(f"logs/dag_id={dag}/*/task_id={task}/**/*.log"))
        return "".join(file.read_text() for file in files)


@pytest.fixture(scope="module")
def bench(
    backend: Any, beside: Callable[[str], Any], nursery: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    folder, served = tmp_path_factory.mktemp("site"), beside("served")
    (folder / "kubeconfig").write_text(json.dumps(backend.config), encoding="utf-8")
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(folder / "kubeconfig")}}
    with contextlib.ExitStack() as held:
        patch = held.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps(connection))
        patch.setenv("TIDEMILL_TOKEN", TOKEN)
        patch.setenv("AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT", "240")  # a machine that does much else

        def serve(metadata: str) -> str:
            if metadata not in servers:
                server = served.Served(
                    nursery, tmp_path_factory.mktemp("served"), ["--host", backend.host],
                    {"TIDEMILL_TOKEN": TOKEN}, database=metadata,
                )  # fmt: skip
                server.start()
                held.callback(server.kill)
                servers[metadata] = f"http://{backend.host}:{server.ports['http']}"
            return servers[metadata]

        servers: dict[str, str] = {}
        site = held.enter_context(beside("airflow_site").Site(PYTHON, folder / "airflow"))
        site.begin("triggerer")
        yield Bench(site, backend, serve)


class TestInPods(RunnerSuite):
    """The golden lineages, from launchers in pods that tasks of Airflow's scheduler started."""

    @pytest.fixture(autouse=True)
    def _bench(self, bench: Bench) -> None:
        self.bench = bench

    @pytest.mark.skipif(not REAL, reason="no cluster: test_airflow_pods.py has them with processes")
    @pytest.mark.parametrize(
        "scenario", [s for s in SCENARIOS if s.name in CHOSEN or "all" in CHOSEN], ids=lambda s: s.name
    )
    def test_scenario(self, scenario: Scenario, folder: Path, request: pytest.FixtureRequest) -> None:
        super().test_scenario(scenario, folder, request)

    def run(self, order: RunOrder) -> str:
        dag = self.bench.write(order)
        conf: dict[str, Any] = {**order.parameters, "tidemill_date": order.date or None}
        if order.only or order.first or order.last:
            conf["tidemill_select"] = {"only": order.only, "from": order.first, "to": order.last}
        ended = self.bench.site.run(dag, conf)
        with closing(open_store(order.metadata)) as store:
            (run,) = store.get_runs(limit=1)
        told = self.bench.site.story(dag)
        assert (ended["state"] == "success") == (run.state.value == "COMPLETE"), told
        return run.state.value


HOLDING = """
from tidemill import component, pipeline

@component
def hold(place: str) -> int:
    "Say that it began, and go on when it is told to."
    import os, pathlib, threading
    print("holding on\\nand on", flush=True)  # Airflow shows a line once there is another one
    folder = pathlib.Path(place)
    with (folder / "begun").open("a") as begun:
        begun.write("once ")
    while not (folder / "go").exists():
        threading.Event().wait(0.1)
    return 1

@pipeline
def NAME(place: str = "") -> None:
    "A node that takes its time."
    hold(place=place)
"""


class Held:
    """A run whose node is under way in a pod, and waits."""

    def __init__(self, bench: Bench, name: str, folder: Path, **more: Any) -> None:
        self.bench, self.site, self.name, self.folder = bench, bench.site, name, folder
        (folder / f"{name}.py").write_text(HOLDING.replace("NAME", name), encoding="utf-8")
        self.metadata = f"sqlite:///{folder}/metadata.db"
        order = RunOrder(
            file=folder / f"{name}.py", parameters={}, date="", root=folder / "root", workdir=folder,
            metadata=self.metadata,
        )  # fmt: skip
        bench.write(order, **more)
        self.place = self.site.start(name, {"place": str(folder)})
        self.site.wait(lambda: (folder / "begun").exists(), 300, "the node to begin")

    def pods(self) -> list[str]:
        return [name for name in self.bench.backend.pods() if name.startswith(f"{self.name}-hold")]

    def task(self) -> dict[str, Any]:
        return dict(self.site.ask("GET", f"{self.place}/taskInstances/hold"))

    def goes_on(self) -> str:
        (self.folder / "go").touch()
        return str(self.site.ended(self.place)["state"])

    def executions(self) -> tuple[str, list[str]]:
        """State of the run, and those of the node's executions."""
        with closing(open_store(self.metadata)) as store:
            (run,) = store.get_runs(limit=1)
            assert store.findings() == []
            return run.state.value, [e.state.name for e in store.get_executions(run.id, "hold")]


@pytest.mark.parametrize("deferrable", [False, True], ids=["watched", "deferred"])
def test_the_task_shows_what_the_node_prints(bench: Bench, tmp_path: Path, *, deferrable: bool) -> None:
    held = Held(bench, f"shown_{deferrable}".lower(), tmp_path, deferrable=deferrable)
    state = "deferred" if deferrable else "running"
    bench.site.wait(lambda: held.task()["state"] == state, 60, f"the task to be {state}")
    if not deferrable:
        bench.site.wait(lambda: "holding on" in bench.log(held.name, "hold"), 60, "the log, while it runs")
    assert held.goes_on() == "success", bench.site.story(held.name)
    assert "holding on" in bench.log(held.name, "hold")
    assert held.executions() == ("COMPLETE", ["COMPLETE"])
    bench.site.wait(lambda: not held.pods(), 60, "the pod to be removed")
    logs = "".join(f.read_text() for f in bench.site.home.glob("logs/**/*.log"))
    assert TOKEN not in logs


def test_a_task_that_is_killed_in_airflow_removes_its_pod(bench: Bench, tmp_path: Path) -> None:
    held = Held(bench, "ended", tmp_path)
    bench.site.ask("PATCH", f"{held.place}/taskInstances/hold", {"new_state": "failed"})
    bench.site.wait(lambda: not held.pods(), 120, "the pod to be removed")
    assert bench.site.ended(held.place)["state"] == "failed"
    assert held.executions() == ("FAILED", ["CANCELED"]), bench.site.story(held.name)


def test_a_pod_outlives_its_worker_and_is_found_again(
    bench: Bench, beside: Callable[[str], Any], tmp_path: Path
) -> None:
    """Last, for it takes the scheduler away."""
    site = bench.site
    held = Held(bench, "outlived", tmp_path)
    (pod,) = held.pods()
    group = site.processes["scheduler"].pid
    mine = beside("airflow_site").processes_with(f"AIRFLOW_HOME={site.home}")
    # The newest first: a task that sees who watches it end would remove its pod.
    for process in sorted((p for p in mine if os.getsid(p) == group), reverse=True):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    site.kill("scheduler")
    site.begin("scheduler", settings=beside("airflow_site").ALERT)
    again = f"Reconnecting to pod {SPACE}/{pod}"
    site.wait(lambda: again in bench.log(held.name, "hold"), 600, "try 2 to find the pod")
    assert held.goes_on() == "success", site.story(held.name)
    assert (tmp_path / "begun").read_text() == "once ", "the body ran once"
    assert held.executions() == ("COMPLETE", ["COMPLETE"])
