"""KFP's own code on what we write: its compiler, Argo's validator, and its API server on loopback.

The program is built from tests/kubeflow_go, which its README tells of. Where there is none, and it cannot be
built, the tests are skipped, and say so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.runners.kubeflow.client import Client, Server
from tidemill.runners.kubeflow.client.schedules import Recurring, Trigger
from tidemill.testing.kubeflow_client_suite import SPEC, KubeflowClientSuite, package

SOURCE = Path(__file__).parents[1] / "kubeflow_go"
PROGRAM = os.environ.get("TIDEMILL_KFP_PROGRAM", "")
SECONDS = 600


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Go program. It is built only where it was asked for: that takes minutes the first time."""
    if PROGRAM:
        return PROGRAM
    go = shutil.which("go")
    if go is None or not os.environ.get("TIDEMILL_KFP_BUILD"):
        pytest.skip("TIDEMILL_KFP_PROGRAM names no program, and TIDEMILL_KFP_BUILD does not ask to build it")
    built = tmp_path_factory.mktemp("kubeflow_go") / "kubeflow_go"
    command = [go, "build", "-o", str(built), "."]
    made = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, timeout=SECONDS)
    if made.returncode:
        pytest.skip(f"Go cannot build it here: {made.stderr.strip().splitlines()[-1][:200]}")
    return str(built)


@pytest.fixture(scope="module")
def address(program: str) -> Iterator[str]:
    """KFP's API server; it ends when its standard input does."""
    with subprocess.Popen(
        [program, "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def compiled(program: str, files: dict[str, str], parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    """What KFP makes of each file: `workflow`, or the `stage` that refused it and its `error`."""
    asked = [{"name": name, "text": text, "parameters": parameters or {}} for name, text in files.items()]
    ended = subprocess.run(
        [program, "compile"], input=json.dumps(asked), capture_output=True, text=True, check=True, timeout=60
    )
    return {answer["name"]: answer for answer in json.loads(ended.stdout)}


class TestKfpApiServer(KubeflowClientSuite):
    """KFP's pipeline, upload, run, recurring run and experiment services over its fake clients."""

    @pytest.fixture
    def server(self, address: str) -> Server:
        return Server(url=address)

    def test_what_reaches_kubernetes(self, client: Client, address: str, name: str) -> None:
        version = self.uploaded(client, name)
        run_id = client.runs.create(version, {"text": "hi"}, name=name)[0]["run_id"]
        workflow = fake(address, f"workflows/{run_id}")
        assert workflow["metadata"]["labels"]["pipeline/runid"] == run_id
        client.runs.terminate(run_id)
        assert fake(address, f"workflows/{run_id}")["spec"]["activeDeadlineSeconds"] == 0
        made = client.schedules.create(
            Recurring(
                name=name, version=version, trigger=Trigger(cron="0 0 0 * * *"), parameters={"text": "a"}
            )
        )
        spec = fake(address, f"schedules/{made['recurring_run_id']}")["spec"]
        assert spec["trigger"] == {"cronSchedule": {"cron": "0 0 0 * * *"}}
        assert (spec["maxConcurrency"], spec["noCatchup"], spec["enabled"]) == (1, True, True)


def fake(address: str, what: str) -> dict[str, Any]:
    """What a fake client of the server was given."""
    with urllib.request.urlopen(f"{address}/fake/{what}") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_the_compiler_says_what_it_refuses(program: str) -> None:
    """That the program shows refusals of each stage, so that no refusal of ours can pass unseen."""
    good = SPEC.replace("NAME", "hello").replace("SDK", "kfp")
    answers = compiled(
        program,
        {
            "good": good,
            "unknown field": good + "odd: 1\n",
            "no such component": good.replace("name: comp-hello", "name: comp-missing"),
            "bad task name": good.replace("      hello:\n", "      he_llo!:\n"),
        },
        {"text": "hi"},
    )
    assert "error" not in answers["good"]
    assert answers["good"]["workflow"]["kind"] == "Workflow"
    stages = {name: answer.get("stage", "") for name, answer in answers.items()}
    assert stages == {
        "good": "", "unknown field": "read", "no such component": "compile", "bad task name": "validate"
    }  # fmt: skip
    assert package("hello").pipeline == "hello"
