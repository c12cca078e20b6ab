"""The runner suite by kfp.local: the compiled file as KFP's own SDK reads and runs it, without a cluster.

TIDEMILL_KFP_PYTHON names an interpreter that has kfp and this tidemill; without it the tests are skipped, and
say so. kfp.local runs one task after another, and does less than the backend: what it cannot do stands here
with the reason.
"""

from __future__ import annotations

import json
import os
import subprocess
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
from tidemill.testing.runner_suite import Difference, RunnerSuite, RunOrder

PYTHON = os.environ.get("TIDEMILL_KFP_PYTHON", "")
PROGRAM = Path(__file__).with_name("kubeflow_local_program.py")
IMAGE = "registry.example/python/tidemill@sha256:" + "0" * 64
"""kfp.local warns of images without `python` in their names."""

pytestmark = pytest.mark.skipif(not PYTHON, reason="TIDEMILL_KFP_PYTHON names no interpreter with kfp")


@pytest.fixture(scope="module")
def kfp() -> Iterator[subprocess.Popen[str]]:
    """One process for all scenarios: importing kfp takes longer than running them."""
    programs = f"{Path(PYTHON).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with subprocess.Popen(
        [PYTHON, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL, env={**os.environ, "PATH": programs, "PYTHONWARNINGS": "ignore"},
    ) as process:  # fmt: skip
        yield process
        assert process.stdin is not None
        process.stdin.close()


LOOP = Difference("notyet", "kfp.local finds the items of a loop only by the names that its own SDK gives")
NESTED = Difference(
    "notyet", "kfp.local gives a DAG in a DAG its artifacts only where it has parameters, too"
)
TEXTS = Difference(
    "notyet", "kfp.local refuses a list for a parameter of text, which the backend writes as JSON"
)


class TestKfpLocal(RunnerSuite):
    """KFP's SDK orders the tasks and starts them as processes."""

    differences = {
        **dict.fromkeys(
            (
                "skips", "loop_literal", "loop_output", "loop_artifacts", "nested_loops", "loop_parallelism",
                "loop_failure", "cancel_in_loop", "nested_failure",
            ),
            LOOP,
        ),
        "sub_pipeline": NESTED,
        "runtime_values": TEXTS,
    }  # fmt: skip

    @pytest.fixture(autouse=True)
    def _process(self, kfp: subprocess.Popen[str]) -> None:
        self.kfp = kfp

    def run(self, order: RunOrder) -> str:
        found, code_root = load_pipeline(str(order.file))
        target = Target(
            image=IMAGE, root=str(order.root), code_root=str(code_root), workdir=str(order.workdir),
            platform={"*": KubernetesOptions(secret_env={"TIDEMILL_METADATA": "record/url"})},
        )  # fmt: skip
        files = kubeflow_files(compile_pipeline(found), target)
        (text,) = [text for name, text in files.items() if not name.endswith(".resources.yaml")]
        file = order.workdir / "pipeline.yaml"
        file.write_text(marked(text), encoding="utf-8")
        parameters: dict[str, Any] = {**order.parameters, "tidemill_date": order.date}
        select = {"only": order.only, "from": order.first, "to": order.last}
        if any(select.values()):
            parameters["tidemill_select"] = {name: list(nodes) for name, nodes in select.items()}
        given = {"file": str(file), "parameters": parameters, "root": str(order.workdir / "kfp")}
        environ = {"TIDEMILL_METADATA": order.metadata, "TIDEMILL_ISOLATION": "none"}  # no secrets there
        answer = ask(self.kfp, {**given, "environ": environ})
        with closing(open_store(order.metadata)) as store:
            (run,) = store.get_runs(limit=1)
        assert (answer["state"] == "success") == (run.state.value == "COMPLETE"), (answer, run.state)
        return run.state.value


def marked(text: str) -> str:
    """The file with the word that kfp.local looks for, behind the name of each container's component."""
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.strip().replace('"', "") == "- --component":
            name = lines[number + 1]
            lines[number + 1] = name.rstrip("\n") + " kfp.dsl.executor_main\n"
    return "".join(lines)


def ask(kfp: subprocess.Popen[str], order: dict[str, Any]) -> dict[str, Any]:
    """What came of an order; see kubeflow_local_program.py."""
    assert kfp.stdin is not None
    assert kfp.stdout is not None
    kfp.stdin.write(json.dumps(order) + "\n")
    kfp.stdin.flush()
    answer: dict[str, Any] = json.loads(kfp.stdout.readline())
    assert answer["state"] != "error", answer["why"]
    return answer
