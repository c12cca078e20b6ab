"""The runner suite on Kubeflow Pipelines: each pipeline is compiled, and the file run by an emulator of KFP.

The emulator follows the sources of KFP's driver and launcher and of Argo; see testing/kubeflow. Each pod is a
fork of one process that has the entrypoint imported, with its executor in it. With TIDEMILL_KUBEFLOW_FULL set
each is a process of its own, and its executor another one, as in a cluster.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.metadata.sql import open_store
from tidemill.runners.kubeflow.files import kubeflow_files
from tidemill.runners.kubeflow.platform import KubernetesOptions
from tidemill.runners.kubeflow.target import Target
from tidemill.testing.kubeflow.document import parse_spec
from tidemill.testing.kubeflow.engine import Workflow
from tidemill.testing.kubeflow.forking import Forks
from tidemill.testing.kubeflow.pods import PodRunner, Processes
from tidemill.testing.kubeflow.tries import Cluster
from tidemill.testing.runner_suite import RunnerSuite, RunOrder

FULL = bool(os.environ.get("TIDEMILL_KUBEFLOW_FULL"))
ENTRY = "tidemill.runners.kubeflow.entry"
PRELOAD = ("tidemill.metadata.sql.store", "tidemill.testing.scenarios.parts", "tidemill.runtime.child")
IMAGE = "registry.example/tidemill@sha256:" + "0" * 64


@pytest.fixture(scope="module")
def pods() -> Iterator[PodRunner]:
    if FULL:
        yield Processes()
    else:
        with Forks(ENTRY, PRELOAD) as forks:
            yield forks


class TestEmulator(RunnerSuite):
    """Driver, Argo and launcher by their sources."""

    @pytest.fixture(autouse=True)
    def _pods(self, pods: PodRunner) -> None:
        self.pods = pods

    def run(self, order: RunOrder) -> str:
        workflow = workflow_of(order, self.pods)
        parameters: dict[str, Any] = {**order.parameters, "tidemill_date": order.date}
        select = {"only": order.only, "from": order.first, "to": order.last}
        if any(select.values()):
            parameters["tidemill_select"] = {name: list(nodes) for name, nodes in select.items()}
        phase = workflow.run(parameters)
        assert workflow.ignored() == []
        with closing(open_store(order.metadata)) as store:
            runs = store.get_runs(limit=1)
        assert runs, why(workflow)
        (run,) = runs
        green = run.state.value == "COMPLETE"
        assert (phase == "Succeeded") == green, (run.state, why(workflow))
        assert run.state.ended, why(workflow)
        self.last = workflow
        return run.state.value


def workflow_of(order: RunOrder, pods: PodRunner, **options: Any) -> Workflow:
    """A run of the pipeline, compiled now, in a cluster with all that it needs."""
    found, code_root = load_pipeline(str(order.file))
    target = Target(
        image=IMAGE, root=str(order.root), code_root=str(code_root), workdir=str(order.workdir),
        platform={"*": KubernetesOptions(secret_env={"TIDEMILL_METADATA": "record/url"})},
    )  # fmt: skip
    files = kubeflow_files(compile_pipeline(found), target)
    text = next(text for name, text in files.items() if not name.endswith(".resources.yaml"))
    environ = {} if FULL else {"TIDEMILL_ISOLATION": "none"}
    cluster = Cluster(
        folder=order.workdir / "cluster", runner=pods, secrets={"record": {"url": order.metadata}},
        environ=environ, at_once=3, pause=lambda seconds: None, **options,
    )  # fmt: skip
    return Workflow(parse_spec(text), cluster)


def why(workflow: Workflow) -> str:
    """Everything that did not succeed, with the ends of the logs."""
    lines = [f"{place}: {node.phase} {node.why}" for place, node in workflow.nodes.items() if node.why]
    logs = sorted((workflow.pods.cluster.folder / "pods").glob("*/*/log.txt"))
    return "\n".join([*lines, *(f"{log.parent.name}: {_end(log)}" for log in logs)])


def _end(log: Path) -> str:
    return log.read_text(encoding="utf-8")[-600:]
