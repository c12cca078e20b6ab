"""Our compiled pipelines through KFP's compiler and Argo's validator: what Argo would run is what we mean.

KFP before 2.5 knows no retries, no exit tasks that are DAGs and no requests of resources, and a node behind a
loop makes its workflow invalid. The module that Go can fetch is of 2.3: what it lacks is expected to lack.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.ir.model import PipelineIR
from tidemill.runners.kubeflow.client import Client, Server, Wire
from tidemill.runners.kubeflow.client.parameters import typed
from tidemill.runners.kubeflow.client.pipelines import Package
from tidemill.runners.kubeflow.client.runs import tasks_of
from tidemill.runners.kubeflow.client.schedules import Recurring, Trigger
from tidemill.runners.kubeflow.files import kubeflow_files
from tidemill.runners.kubeflow.platform import KubernetesOptions, Toleration, Volume
from tidemill.runners.kubeflow.target import Target
from tidemill.testing.argo_workflow import Pod, Workflow
from tidemill.testing.kubeflow_program import built, compiled, serving
from tidemill.testing.scenario_list import SCENARIOS

SOURCE = Path(__file__).parents[1] / "kubeflow_go"
PIPELINES = Path(__file__).parents[1] / "golden" / "pipelines"
OLD = "2.3"
TARGET = Target(
    image="registry.example/mill@sha256:" + "0" * 64, root="/data/mill", allow_tag=True,
    platform={
        "*": KubernetesOptions(
            secret_env={"TIDEMILL_METADATA": "record/url"}, env={"USER": "mill", "TOKEN": "t"},
            volumes=(Volume(claim="mill", path="/data"), Volume(claim="models", path="/srv/models")),
            node_selector={"pool": "spot"},
            tolerations=(Toleration(key="spot", operator="Exists", effect="NoSchedule"),),
        )
    },
)  # fmt: skip
_VALUES = {"int": 1, "float": 1.5, "str": "x", "bool": True, "json": "{}"}
REFUSED = ("arrivals",)
"""It starts when data arrives, which nothing in KFP can tell."""
FILES = {s.name: s.file for s in SCENARIOS} | {
    p.stem: p for p in sorted(PIPELINES.glob("*.py")) if p.stem not in REFUSED
}


class Made:
    """Every pipeline, as we compile it and as KFP does."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.irs = {name: compile_pipeline(load_pipeline(str(file))[0]) for name, file in FILES.items()}
        self.texts = {name: _text(ir) for name, ir in self.irs.items()}
        given = {
            name: {p.name: _VALUES[p.type] for p in ir.parameters if p.required}
            for name, ir in self.irs.items()
        }
        self.answers = compiled(program, self.texts, given)
        self.release = next(iter(self.answers.values()))["release"]

    def spec(self, name: str) -> dict[str, Any]:
        """Our pipeline document."""
        found: dict[str, Any] = next(yaml.load_all(self.texts[name], yaml.CSafeLoader))
        return found

    def workflow(self, name: str) -> Workflow:
        """KFP's; the test is over where this KFP is known to refuse it."""
        answer = self.answers[name]
        if self.release == OLD and _loop_with_more_behind(self.spec(name)):
            assert re.search("sorting failed: invalid dependency", answer["error"])
            pytest.skip("KFP before 2.4 makes an invalid workflow of a loop with something behind it")
        assert "error" not in answer, f"{answer['stage']}: {answer['error']}"
        return Workflow(answer["workflow"])


def _text(ir: PipelineIR) -> str:
    files = kubeflow_files(ir, TARGET)
    return next(text for name, text in files.items() if not name.endswith(".resources.yaml"))


def _dags(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [c["dag"] for c in [spec["root"], *spec["components"].values()] if "dag" in c]


def _loop_with_more_behind(spec: dict[str, Any]) -> bool:
    for dag in _dags(spec):
        loops = {key for key, task in dag["tasks"].items() if "parameterIterator" in task}
        if any(loops & set(task.get("dependentTasks", ())) for task in dag["tasks"].values()):
            return True
    return False


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(built(SOURCE, tmp_path_factory.mktemp("kubeflow_go")))


@pytest.mark.parametrize("name", sorted(FILES))
def test_what_argo_would_run_is_what_we_mean(made: Made, name: str) -> None:
    spec, workflow = made.spec(name), made.workflow(name)
    pods = workflow.pods()
    containers = [pod for pod in pods if pod.executor]
    _every_node_is_one_container(made.irs[name], containers)
    for pod in containers:
        _it_gets_what_we_wrote(spec, pod, old=made.release == OLD)
    _order_is_as_written(spec, pods)
    _exit_runs_whatever_became_of_the_body(made, workflow, pods)
    # Two pods for a task, and one for each group of tasks: drivers, which KFP cannot do without.
    groups = sum(1 for pod in pods if not pod.executor and not pod.container)
    assert len(pods) == 2 * len(containers) + groups


def _every_node_is_one_container(ir: PipelineIR, containers: list[Pod]) -> None:
    found = Counter(pod.node for pod in containers)
    ours = {node for node in found if node.endswith("--end")}
    assert ours <= {"run--end", "body--end"}
    assert "run--end" in ours
    assert found == Counter({node.id for node in ir.nodes} | ours)
    looped = {pod.node for pod in containers if pod.repeated}
    assert looped == {node.id for node in ir.nodes if node.loops}


def _it_gets_what_we_wrote(spec: dict[str, Any], pod: Pod, *, old: bool) -> None:
    """KFP keeps one component and one platform config for each digest of a container: that they are ours."""
    component = spec["components"][pod.task["componentRef"]["name"]]
    assert pod.component == component
    executor = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
    dropped = {"resources"} if old else set()
    assert _without(pod.container, dropped) == _without(executor, dropped)
    assert pod.kubernetes["nodeSelector"] == {"labels": {"pool": "spot"}}
    assert pod.kubernetes["pvcMount"][0]["mountPath"] == "/data"
    assert pod.task["cachingOptions"] == {}
    assert pod.when == "", "what is skipped is for our launcher to say"


def _without(given: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}


def _order_is_as_written(spec: dict[str, Any], pods: list[Pod]) -> None:
    """A task waits for what it depends on, and for nothing else, in whichever DAG it is."""
    for pod in pods:
        if not pod.executor:
            continue
        (driver,) = [p for p in pods if p.path == (*pod.path[:-1], f"{pod.path[-1]}-driver")]
        assert pod.depends == f"{pod.path[-1]}-driver.Succeeded"
        if "triggerPolicy" not in pod.task:
            wanted = " && ".join(f"{key}.Succeeded" for key in pod.task.get("dependentTasks", ()))
            assert driver.depends == wanted


def _exit_runs_whatever_became_of_the_body(made: Made, workflow: Workflow, pods: list[Pod]) -> None:
    (last,) = [pod for pod in pods if pod.executor and pod.node == "run--end"]
    if made.release != OLD:
        assert workflow.hooks() == {("root", "body"): "exit-hook-root-exit"}
        assert "hook" in last.path
        return
    assert workflow.hooks() == {}
    (driver,) = [p for p in pods if p.path == ("root", "exit-driver")]
    ways = {"body.Succeeded || body.Skipped || body.Failed || body.Errored", "body.Succeeded"}
    assert driver.depends in ways


@pytest.fixture(scope="module")
def client(made: Made) -> Iterator[Client]:
    """Our client of KFP's API server."""
    with serving(made.program) as url:
        yield Client(Wire(Server(url=url)))


def test_a_compiled_pipeline_is_uploaded_run_and_scheduled(made: Made, client: Client) -> None:
    """Both documents of it: what the server keeps is what the compiler was given."""
    for name in ("runtime_parameters", "exit_handler", "sub_pipeline"):
        version, _ = client.pipelines.upload(Package.of(f"{name}.yaml", made.texts[name].encode()))
        pipeline = client.pipelines.get(made.spec(name)["pipelineInfo"]["name"])
        kept = client.pipelines.version(pipeline, version.name)
        assert kept.spec["sdkVersion"] == "tidemill"
        given = {p.name: str(_VALUES[p.type]) for p in made.irs[name].parameters if p.required}
        parameters = typed(kept.spec, given)
        run, _ = client.runs.create(kept, parameters, name=name)
        assert client.runs.get(run["run_id"])["state"] == "PENDING"
        trigger = Trigger(cron="0 0 0 * * *")
        wanted = Recurring(name=name, version=kept, trigger=trigger, parameters=parameters)
        assert client.schedules.create(wanted)["status"] == "ENABLED"


def test_what_became_of_a_run_is_said_task_by_task(made: Made, client: Client) -> None:
    """As KFP's persistence agent reports it: the workflow with its status."""
    version, _ = client.pipelines.upload(Package.of("linear.yaml", made.texts["linear"].encode()))
    run_id = client.runs.create(version, {}, name="reported")[0]["run_id"]
    with urllib.request.urlopen(f"{client.url}/fake/workflows/{run_id}") as answer:
        workflow = json.load(answer)
    workflow["metadata"]["uid"] = run_id
    workflow["status"] = {
        "phase": "Failed", "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:02:00Z",
        "nodes": {
            "w-1": _node("w-1", "train", "Failed", ["w-2"]),
            "w-2": _node("w-2", "executor", "Failed", [], kind="Pod"),
            "w-3": _node("w-3", "train-driver", "Succeeded", [], kind="Pod"),
        },
    }  # fmt: skip
    body = json.dumps(json.dumps(workflow)).encode()
    with urllib.request.urlopen(
        urllib.request.Request(f"{client.url}/apis/v2beta1/workflows", data=body, method="POST")
    ) as answer:
        assert answer.status == 200
    run = client.runs.follow(run_id)
    assert run["state"] == "FAILED"
    found = {task["task"]: task for task in tasks_of(run)}
    assert {"train", "executor"} <= set(found)
    assert "train-driver" not in found
    assert found["train"]["state"] == "FAILED"
    (pod,) = found["train"]["pods"]
    assert "w" in pod


def _node(id: str, name: str, phase: str, children: list[str], kind: str = "DAG") -> dict[str, Any]:
    return {
        "id": id, "name": f"w.{name}", "displayName": name, "type": kind, "phase": phase,
        "templateName": "t", "children": children, "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:01:00Z",
    }  # fmt: skip


def test_retries_are_argos(made: Made) -> None:
    """Where KFP has them: as often as we say, at once, since the launcher waits itself."""
    ir = made.irs["retry"]
    pods = {pod.node: pod for pod in made.workflow("retry").pods() if pod.executor}
    tried = {n.id: n.options.retries for n in ir.nodes if n.options.retries}
    assert tried
    for node, pod in pods.items():
        if made.release == OLD:
            assert pod.retries == {}
            continue
        assert pod.retries.get("retry-max-count", "0") == str(
            tried.get(node, 2 if node.endswith("--end") else 0)
        )
        assert pod.retries.get("retry-backoff-duration", "0") == ("5" if node.endswith("--end") else "0")


def test_loops_are_argos(made: Made) -> None:
    """One turn for each item that the loop's head found, no more of them at once than we say."""
    workflow = made.workflow("loop_parallelism")
    (turns,) = [
        task
        for template in workflow.templates.values()
        for task in template.get("dag", {}).get("tasks", ())
        if "withSequence" in task
    ]
    count = "{{tasks.iteration-driver.outputs.parameters.iteration-count}}"
    assert turns["withSequence"] == {"count": count}
    limits = [t["parallelism"] for t in workflow.templates.values() if "parallelism" in t]
    (loop,) = [n.loop for n in made.irs["loop_parallelism"].nodes if n.loop is not None]
    assert limits == [loop.parallelism]
