"""Part of the runner suite under Airflow's KubernetesExecutor: each task is a pod of a real cluster.

On demand: TIDEMILL_KUBECONFIG names a cluster of one node, which is this machine (tests/kubernetes_go starts
one), TIDEMILL_AIRFLOW_PYTHON an interpreter with Airflow and its cncf.kubernetes provider, and
TIDEMILL_AIRFLOW_IMAGE an image with both and this tidemill; docs/airflow.md says how it is made. Scheduler,
API servers and metadata servers are here; pods reach them over the network, and the folder of the test as a
hostPath.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.metadata.sql import open_store
from tidemill.runners.airflow.files import dag_files
from tidemill.runners.airflow.options import AirflowOptions
from tidemill.testing.runner_suite import RunnerSuite, RunOrder
from tidemill.testing.scenario_list import SCENARIOS, Scenario

NEEDED = ("TIDEMILL_KUBECONFIG", "TIDEMILL_AIRFLOW_PYTHON", "TIDEMILL_AIRFLOW_IMAGE")
CONFIG, PYTHON, IMAGE = (os.environ.get(name, "") for name in NEEDED)
MISSING = [name for name in NEEDED if not os.environ.get(name)]
CHOSEN = os.environ.get(
    "TIDEMILL_KUBERNETES_SCENARIOS", "linear cache retry loop_output exit_handler skips cancel"
).split()
TOKEN = secrets.token_urlsafe()
NAMESPACE = f"tidemill-{secrets.token_hex(4)}"

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"not set: {', '.join(MISSING)}"),
    pytest.mark.timeout(1800),
]


def kubectl(*words: str, given: str = "") -> str:
    """What a command of kubectl's prints; a namespace of these tests is its default."""
    done = subprocess.run(
        ["kubectl", "--kubeconfig", CONFIG, "--namespace", NAMESPACE, *words], input=given, text=True,
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"kubectl {' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def address() -> str:
    """Of this machine, as pods reach it: what it has towards the cluster."""
    server = kubectl("config", "view", "--minify", "--output", "jsonpath={.clusters[0].cluster.server}")
    place = urllib.parse.urlsplit(server)
    with socket.create_connection((place.hostname or "", place.port or 443), 10) as connection:
        return str(connection.getsockname()[0])


def template(home: Path, environment: dict[str, str]) -> str:
    """The pod that Airflow starts from: the image, where its API is, and the folder of the test."""
    shared = {"name": "shared", "hostPath": {"path": str(home.parent), "type": "Directory"}}
    variables = [{"name": name, "value": value} for name, value in environment.items()]
    token = {"secretKeyRef": {"name": "tidemill", "key": "token"}}
    base = {
        "name": "base",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "env": [*variables, {"name": "TIDEMILL_TOKEN", "valueFrom": token}],
        "volumeMounts": [{"name": "shared", "mountPath": str(home.parent)}],
        "securityContext": {"runAsUser": os.getuid()},  # whose folder it is
    }
    spec = {"restartPolicy": "Never", "containers": [base], "volumes": [shared]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "task"}, "spec": spec})


@pytest.fixture(scope="module")
def site(
    beside: Callable[[str], Any], nursery: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """An Airflow here whose tasks are pods."""
    home = tmp_path_factory.getbasetemp() / "airflow"
    site = beside("airflow_site").Site(PYTHON, home, host=address(), settings={
        "AIRFLOW__CORE__EXECUTOR": "KubernetesExecutor",
        "AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE": CONFIG,
        "AIRFLOW__KUBERNETES_EXECUTOR__IN_CLUSTER": "False",
        "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": NAMESPACE,
        "AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE": str(home / "template.yaml"),
        "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_PODS_CREATION_BATCH_SIZE": "8",
        "TIDEMILL_TOKEN": TOKEN,
    })  # fmt: skip
    told = ("AIRFLOW_HOME", "AIRFLOW__CORE__DAGS_FOLDER", "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT")  # fmt: skip
    (home / "template.yaml").write_text(template(home, {name: site.environment[name] for name in told}))
    site.nursery, site.served = nursery, beside("served").Served
    kubectl("create", "namespace", NAMESPACE)
    try:
        kubectl("create", "secret", "generic", "tidemill", f"--from-literal=token={TOKEN}")
        with site:
            yield site
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@contextmanager
def served(site: Any, metadata: str, folder: Path) -> Iterator[str]:
    """The URL of a metadata server over a SQLite file, for pods."""
    server = site.served(site.nursery, folder, ["--host", site.host], {"TIDEMILL_TOKEN": TOKEN}, "http")
    server.database = metadata
    server.start()
    try:
        yield f"http://{site.host}:{server.ports['http']}"
    finally:
        server.kill()


def write_dag(site: Any, file: Path, metadata: str, root: Path, workdir: Path) -> str:
    """The DAG and the code that it runs, beside it in the dags folder; the DAG's name."""
    found, code_root = load_pipeline(str(file))
    ir = compile_pipeline(found)
    # Beside the dags folder, for Airflow would look for DAGs in it.
    code = site.home / "code" / sha256(str(code_root).encode()).hexdigest()[:8]
    if not code.exists():
        shutil.copytree(code_root, code, ignore=shutil.ignore_patterns("__pycache__"))
    options = {"*": AirflowOptions(pod_override={"metadata": {"labels": {"tidemill": ir.name.lower()}}})}
    files = dag_files(
        ir, code_root=f"../code/{code.name}", metadata=metadata, root=str(root), workdir=str(workdir),
        options=options,
    )  # fmt: skip
    site.write(files)
    return ir.name


class InPods(RunnerSuite):
    """The golden lineages, from tasks in pods."""

    @pytest.fixture(autouse=True)
    def _site(self, site: Any) -> None:
        self.site = site

    def run(self, order: RunOrder) -> str:
        with served(self.site, order.metadata, order.workdir) as url:
            name = write_dag(self.site, order.file, url, order.root, order.workdir)
            conf: dict[str, Any] = {**order.parameters, "tidemill_date": order.date or None}
            ended = self.site.run(name, conf)
        with closing(open_store(order.metadata)) as store:
            (run,) = store.get_runs(limit=1)
        told = self.site.story(name)
        assert (ended["state"] == "success") == (run.state.value == "COMPLETE"), (run.state, told)
        return run.state.value


class TestInPods(InPods):
    """Those that are asked for."""

    @pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.name in CHOSEN], ids=lambda s: s.name)
    def test_scenario(self, scenario: Scenario, folder: Path, request: pytest.FixtureRequest) -> None:
        super().test_scenario(scenario, folder, request)


HOLDING = """
from tidemill import Resources, component, on_exit, pipeline

@component
def hold(place: str) -> str:
    "Say in which pod it began, and go on when it is told to."
    import pathlib, socket, threading
    folder = pathlib.Path(place)
    with (folder / "begun").open("a") as begun:
        begun.write(f"{socket.gethostname()}\\n")
    while not (folder / "go").exists():
        threading.Event().wait(0.1)
    return socket.gethostname()

@component
def tell(place: str) -> None:
    "Say that it is over."
    import pathlib
    pathlib.Path(place, "told").touch()

@pipeline
def NAME(place: str = "") -> None:
    "A node that takes its time."
    hold(place=place).with_options(resources=Resources(cpu=0.25, memory="96Mi", memory_max="128Mi"))
    on_exit(tell(place=place))
"""


@pytest.fixture
def held(site: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A run whose node is under way, in a pod."""
    name = request.node.originalname.removeprefix("test_")[:30].rstrip("_")
    (tmp_path / "code").mkdir()
    file = tmp_path / "code" / f"{name}.py"
    file.write_text(HOLDING.replace("NAME", name), encoding="utf-8")
    with served(site, f"sqlite:///{tmp_path}/metadata.db", tmp_path) as url:
        held = Held(site, tmp_path, write_dag(site, file, url, tmp_path / "root", tmp_path))
        held.begins(1)
        yield held


class Held:
    """Such a run."""

    def __init__(self, site: Any, folder: Path, name: str) -> None:
        self.site, self.folder, self.name = site, folder, name
        self.place = site.start(name, {"place": str(folder)})

    def begins(self, times: int) -> str:
        """Wait until the node's body began so often; its pod."""
        begun = self.folder / "begun"
        self.site.wait(lambda: begun.exists() and begun.read_text().count("\n") >= times, 300,
                       f"the node to begin {times} times")  # fmt: skip
        return begun.read_text().split()[-1]

    def states(self) -> tuple[str, dict[str, list[str]]]:
        """Of the run, and of the executions of each of its nodes."""
        with closing(open_store(f"sqlite:///{self.folder}/metadata.db")) as store:
            (run,) = store.get_runs(limit=1)
            assert store.findings() == []
            nodes = [record.node_id for record in store.get_nodes(run.id)]
            return run.state.value, {
                node: [e.state.name for e in store.get_executions(run.id, node)] for node in nodes
            }


@pytest.mark.xfail(strict=True, reason="SIGTERM of a deleted pod cancels the node, and no try goes on")
def test_a_pod_that_is_lost_leaves_one_published_execution(held: Held) -> None:
    pod = json.loads(kubectl("get", "pod", held.begins(1), "--output", "json"))
    (base,) = pod["spec"]["containers"]
    asked = {
        kind: {"cpu": "250m", "memory": str((amount + 512) * 2**20)}
        for kind, amount in (("requests", 96), ("limits", 128))
    }
    assert (base["image"], base["resources"]) == (IMAGE, asked)
    assert pod["metadata"]["labels"]["tidemill"] == held.name
    kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    second = held.begins(2)
    assert second != pod["metadata"]["name"]
    (held.folder / "go").touch()
    assert held.site.ended(held.place)["state"] == "success", held.site.story(held.name)
    assert held.states() == ("COMPLETE", {"hold": ["FAILED", "COMPLETE"], "tell": ["COMPLETE"]})


def test_a_task_that_is_killed_in_airflow_ends_its_pod_and_its_run(held: Held) -> None:
    pod = held.begins(1)
    held.site.ask("PATCH", f"{held.place}/taskInstances/hold", {"new_state": "failed"})
    held.site.wait(
        lambda: pod not in kubectl("get", "pods", "--output", "name").replace("pod/", "").split(), 120,
        "the pod to end",
    )  # fmt: skip
    assert held.site.ended(held.place)["state"] == "failed"
    wanted = ("FAILED", {"hold": ["CANCELED"], "tell": ["COMPLETE"]})
    assert held.states() == wanted, held.site.story(held.name)
    assert (held.folder / "told").exists(), "exit nodes run whatever became of the rest"
