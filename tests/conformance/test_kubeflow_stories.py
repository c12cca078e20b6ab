"""What goes wrong on Kubeflow Pipelines: pods that die, come back too late, are told to end, or lie.

Pods are processes here, as in a cluster, with the executor in a process of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tidemill
from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.metadata.model import EventType, NodeState
from tidemill.metadata.sql import open_store
from tidemill.runners.kubeflow.files import kubeflow_files
from tidemill.runners.kubeflow.platform import KubernetesOptions
from tidemill.runners.kubeflow.target import Target
from tidemill.testing.kubeflow.document import Spec, parse_spec
from tidemill.testing.kubeflow.engine import Workflow
from tidemill.testing.kubeflow.pods import Pod, Processes, Started
from tidemill.testing.kubeflow.tries import Cluster

MODULE = """
import time
from pathlib import Path
from tidemill import component, on_exit, pipeline, run


@component
def number(*, folder: str) -> int:
    "A number, each time it is asked noted; and not before it may."
    place = Path(folder)
    (place / f"asked-{len(list(place.glob('asked-*')))}").touch()
    while (place / "wait").exists():
        time.sleep(0.02)
    return 7


@component
def note(*, what: str = "") -> str:
    "What it is told."
    return what


@pipeline
def story(folder: str) -> None:
    "One node that can be tried again, and the end."
    number(folder=folder).with_options(retries=2, backoff=0.01)
    on_exit(note(what=run.state).with_id("tell"))
"""
IMAGE = "registry.example/tidemill@sha256:" + "0" * 64
NODE = "body.number"
NUMBERS = itertools.count()


class Site:
    """A cluster with one pipeline, and its record."""

    def __init__(self, folder: Path, text: str = MODULE) -> None:
        self.folder, self.place = folder, folder / "place"
        self.place.mkdir()
        file = folder / f"story_{next(NUMBERS)}.py"  # a process imports a module once
        file.write_text(text, encoding="utf-8")
        self.metadata = f"sqlite:///{folder / 'metadata.db'}"
        found, code_root = load_pipeline(str(file))
        self.ir = compile_pipeline(found)
        self.target = Target(
            image=IMAGE, root=str(folder / "root"), code_root=str(code_root),
            platform={"*": KubernetesOptions(secret_env={"TIDEMILL_METADATA": "record/url"})},
        )  # fmt: skip
        self.deploy(IMAGE)

    def deploy(self, image: str) -> None:
        """Compile for an image; workflows are of that version from now on."""
        files = kubeflow_files(self.ir, replace(self.target, image=image))
        self.spec: Spec = parse_spec(files["story.yaml"])

    def workflow(self, runner: Any = None, **options: Any) -> Workflow:
        """A run that has not begun."""
        cluster = Cluster(
            folder=self.folder / "cluster", runner=runner or Processes(),
            secrets={"record": {"url": self.metadata}}, pause=lambda seconds: None, **options,
        )  # fmt: skip
        return Workflow(self.spec, cluster)

    def run(self, workflow: Workflow) -> str:
        """Run it to its end."""
        return workflow.run({"folder": str(self.place)})

    def asked(self) -> int:
        """How often the executor was called."""
        return len(list(self.place.glob("asked-*")))

    def record(self) -> tuple[str, dict[str, str], int]:
        """State of the run, states of its nodes, and how many artifacts `number` has LIVE."""
        with closing(open_store(self.metadata)) as store:
            (run,) = store.get_runs(limit=10)
            assert store.findings() == []
            executions = store.get_executions(run.id, "number")
            events = store.get_events(execution_ids=[e.id for e in executions], types=[EventType.OUTPUT])
            live = [
                a
                for a in store.get_artifacts_by_id([e.artifact_id for e in events])
                if a.state.name == "LIVE"
            ]
            return run.state.value, {n.node_id: n.state.value for n in store.get_nodes(run.id)}, len(live)

    def log(self, workflow: Workflow, pod: str) -> str:
        """What a pod said."""
        path = self.folder / "cluster" / "pods" / workflow.facts.run_id / pod / "log.txt"
        return path.read_text(encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def until(true: Callable[[], Any]) -> None:
    """Wait until something is so; a test has a time limit."""
    never = threading.Event()
    while not true():
        never.wait(0.01)


@contextmanager
def running(site: Site, workflow: Workflow) -> Iterator[list[str]]:
    """A block while which the run goes on; its phase is in the list after it."""
    phases: list[str] = []
    thread = threading.Thread(target=lambda: phases.append(site.run(workflow)))
    thread.start()
    yield phases
    thread.join()


class Crashing(Processes):
    """The first try of the node dies at a point."""

    def __init__(self, point: str) -> None:
        super().__init__()
        self.point = point

    def start(self, pod: Pod) -> Started:
        if pod.name == f"{NODE}(0)":
            environ = {**pod.environ, "TIDEMILL_CRASHPOINT": self.point}
            pod = replace(pod, environ=environ)
        return super().start(pod)


@pytest.mark.parametrize(
    ("point", "asked"),
    [("claim.after", 1), ("execute.after", 2), ("publish.before", 2), ("publish.after", 1)],
)
def test_a_pod_that_dies_is_followed_by_one_that_publishes_once(site: Site, point: str, asked: int) -> None:
    workflow = site.workflow(Crashing(point))
    assert site.run(workflow) == "Succeeded"
    assert workflow.nodes[NODE].tries == 2
    assert site.asked() == asked
    assert site.record() == ("COMPLETE", {"number": "COMPLETE", "tell": "COMPLETE"}, 1)
    (artifact,) = workflow.nodes[NODE].outputs.artifacts["result"]
    assert artifact["metadata"]["value"] == 7


def test_another_image_makes_a_node_run_again(site: Site) -> None:
    """What is installed in an image is known by its digest alone, so that is in the key and on record."""
    other = IMAGE.replace("0" * 64, "1" * 64)
    asked = []
    for image in (IMAGE, IMAGE, other):
        site.deploy(image)
        assert site.run(site.workflow()) == "Succeeded"
        asked.append(site.asked())
    assert asked == [1, 1, 2]
    with closing(open_store(site.metadata)) as store:
        newest, *_ = store.get_runs(limit=1)
        (execution,) = store.get_executions(newest.id, "number")
    assert execution.custom_properties["tidemill.image"] == other


class Losing(Processes):
    """The machine of the node's first pod is lost: Kubernetes says that it failed, and it goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: Started | None = None

    def start(self, pod: Pod) -> Started:
        started = super().start(pod)
        if pod.name != f"{NODE}(0)":
            return started
        self.lost = started
        return Lost()


class Lost:
    """A pod of which nobody knows."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def wait(self) -> int:
        self.over.wait()
        return -signal.SIGKILL

    def signal(self, number: int) -> None:
        del number


def test_what_a_lost_pod_publishes_late_is_refused(site: Site) -> None:
    (site.place / "wait").touch()
    runner = Losing()
    workflow = site.workflow(runner)
    with running(site, workflow) as phases:
        until(lambda: site.asked() == 1)
        (lost,) = [s for s, _ in workflow.pods._running.values()]
        assert isinstance(lost, Lost)
        lost.over.set()
        until(lambda: site.asked() == 2)
        (site.place / "wait").unlink()
        assert runner.lost is not None
        assert runner.lost.wait() == 1, "the lost pod's publication is refused"
    assert phases == ["Succeeded"]
    said = site.log(workflow, f"{NODE}(0)")
    assert "error: " in said, said
    assert "attempt" in said, said
    assert site.record() == ("COMPLETE", {"number": "COMPLETE", "tell": "COMPLETE"}, 1)


def test_a_terminated_run_ends_and_its_exit_nodes_run(site: Site) -> None:
    (site.place / "wait").touch()
    workflow = site.workflow(grace=20.0)
    with running(site, workflow) as phases:
        until(lambda: site.asked() == 1)
        workflow.terminate()
    assert phases == ["Failed"]
    state, nodes, live = site.record()
    assert nodes == {"number": "CANCELED", "tell": "COMPLETE"}
    assert (state, live) == ("FAILED", 0)
    assert workflow.nodes[NODE].why == "exit status 143"
    assert site.asked() == 1


def test_a_pod_that_ignores_its_end_is_killed_and_its_node_closed(site: Site) -> None:
    """No grace at all: KFP's own launcher dies of SIGTERM, and its container with it."""
    (site.place / "wait").touch()
    workflow = site.workflow(grace=0.0)
    with running(site, workflow) as phases:
        until(lambda: site.asked() == 1)
        workflow.terminate()
    assert phases == ["Failed"]
    state, nodes, live = site.record()
    assert nodes == {"number": "CANCELED", "tell": "COMPLETE"}
    assert (state, live) == ("FAILED", 0)


def test_an_evicted_pod_is_tried_again(site: Site) -> None:
    (site.place / "wait").touch()
    workflow = site.workflow()
    with running(site, workflow) as phases:
        until(lambda: site.asked() == 1)
        workflow.pods.signal(f"{NODE}(0)", signal.SIGTERM)
        until(lambda: site.asked() == 2)
        (site.place / "wait").unlink()
    assert phases == ["Succeeded"]
    assert site.record() == ("COMPLETE", {"number": "COMPLETE", "tell": "COMPLETE"}, 1)


def test_a_secret_that_is_missing_starts_no_container(site: Site) -> None:
    cluster = Cluster(folder=site.folder / "cluster", pause=lambda seconds: None)
    workflow = Workflow(site.spec, cluster)
    assert site.run(workflow) == "Failed"
    assert "secret 'record' not found" in workflow.nodes[NODE].why
    assert site.asked() == 0


class Lying(Processes):
    """After the node's container ended, its output has a key that KFP does not know."""

    def start(self, pod: Pod) -> Started:
        started = super().start(pod)
        if pod.task == NODE:
            assert started.wait() == 0
            (output,) = pod.folder.rglob("output_metadata.json")
            told = json.loads(output.read_text(encoding="utf-8"))
            output.write_text(json.dumps({**told, "metrics": {}}), encoding="utf-8")
        return started


def test_the_emulator_fails_a_task_for_one_unknown_key(site: Site) -> None:
    workflow = site.workflow(Lying())
    assert site.run(workflow) == "Failed"
    assert "unknown field 'metrics'" in workflow.nodes[NODE].why
    assert workflow.nodes[NODE].tries == 3
    assert site.asked() == 1, "each further try found the node done"
    assert site.record()[1] == {"number": "COMPLETE", "tell": "COMPLETE"}


def test_a_failure_for_good_is_not_repeated(tmp_path: Path) -> None:
    text = MODULE.replace("return 7", "from tidemill import PermanentError; raise PermanentError('no')")
    site = Site(tmp_path, text)
    workflow = site.workflow()
    assert site.run(workflow) == "Failed"
    assert workflow.nodes[NODE].tries == 3, "KFP tries again whatever it is told"
    assert site.asked() == 1
    assert "another try would not change that" in site.log(workflow, f"{NODE}(2)")
    with closing(open_store(site.metadata)) as store:
        (run,) = store.get_runs(limit=1)
        assert [e.state.name for e in store.get_executions(run.id, "number")] == ["FAILED"]
        assert [n.state for n in store.get_nodes(run.id, [("number", None)])] == [NodeState.FAILED]


SETUID = """
import os, runpy, sys
user = int(sys.argv[1])
os.setgroups([])
os.setgid(user)
os.setuid(user)
assert not os.access(os.environ["HOME"], os.W_OK)
sys.argv[0:3] = []
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
ANYBODY = 1_000_740_123
"""A number that no user of a machine has."""


class AsAnybody(Processes):
    """Pods run as a user without name or home, who can read what everybody can."""

    def __init__(self, python: str, sources: Path) -> None:
        super().__init__(python)
        self.sources = sources

    def start(self, pod: Pod) -> Started:
        for path in (pod.folder, *pod.folder.rglob("*")):
            os.chown(path, ANYBODY, 0)
        words = ("python", "-c", SETUID, str(ANYBODY), *pod.words[1:])  # -m MODULE ...
        environ = {**pod.environ, "HOME": "/", "PYTHONPATH": str(self.sources)}
        return super().start(replace(pod, words=words, environ=environ))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can go into: those of pytest are its own user's alone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def python_for_anybody(sources: Path) -> str:
    """An interpreter that another user can run with our sources; skips where there is none."""
    for python in (sys.executable, "/usr/bin/python3"):
        command = [python, "-c", SETUID, str(ANYBODY), "-m", "tidemill.runners.kubeflow.entry", "--help"]
        environ = {"HOME": "/", "PYTHONPATH": str(sources)}
        with contextlib.suppress(OSError):
            if subprocess.run(command, env=environ, capture_output=True, check=False).returncode == 0:
                return python
    pytest.skip("every Python here is in a folder that only root can read")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_works_as_any_user_with_a_home_that_cannot_be_written(open_folder: Path) -> None:
    """Kubernetes may give a pod any number as its user: no name, no home, no file of its own."""
    sources = open_folder / "sources"
    shutil.copytree(
        Path(tidemill.__file__).parent, sources / "tidemill", ignore=shutil.ignore_patterns("*.pyc")
    )
    python = python_for_anybody(sources)
    folder = open_folder / "site"
    folder.mkdir()
    site = Site(folder)
    for made in (folder, site.place, folder / "root"):
        made.mkdir(exist_ok=True)
        os.chown(made, ANYBODY, 0)
    workflow = site.workflow(AsAnybody(python, sources))
    assert site.run(workflow) == "Succeeded", site.log(workflow, f"{NODE}(0)")
    assert site.record() == ("COMPLETE", {"number": "COMPLETE", "tell": "COMPLETE"}, 1)
    assert {path.stat().st_uid for path in (folder / "root").rglob("*")} == {ANYBODY}


MEASURING = """
import json
from tidemill import ModelEvaluation, Output, component, on_exit, pipeline


@component
def judge(evaluation: Output[ModelEvaluation], *, folder: str) -> None:
    "Numbers of a model."
    found = {"format": "tidemill.evaluation/1", "rows": 10, "model": {"auc": 0.75, "loss": None}}
    found |= {"baseline": None, "intervals": {}, "changes": [], "slices": [], "verdict": "BLESSED"}
    (evaluation.path / "evaluation.json").write_text(json.dumps(found))


@pipeline
def story(folder: str) -> None:
    "One node that measures."
    judge(folder=folder)
"""


def test_pages_and_metrics_are_shown(tmp_path: Path) -> None:
    """Numbers are the metadata of a system.Metrics, and the page is the file of a system.HTML."""
    site = Site(tmp_path, MEASURING)
    workflow = site.workflow()
    assert site.run(workflow) == "Succeeded"
    artifacts = workflow.nodes["body.judge"].outputs.artifacts
    (metrics,), (page,) = artifacts["tidemill_metrics"], artifacts["tidemill_page"]
    assert (metrics["type"]["schemaTitle"], metrics["metadata"]) == ("system.Metrics", {"auc": 0.75})
    assert page["type"]["schemaTitle"] == "system.HTML"
    html = workflow.pods.bucket.of(page["uri"]).read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert "0.75" in html
    (evaluation,) = artifacts["evaluation"]
    pointer = json.loads(workflow.pods.bucket.of(evaluation["uri"]).read_text(encoding="utf-8"))
    assert pointer["uri"] == evaluation["metadata"]["tidemill_uri"]
    assert (Path(pointer["uri"]) / "evaluation.json").is_file()
    assert workflow.ignored() == []
