"""KFP's own API server on loopback, driven by our client. See tests/kubeflow_go/README.md."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.runners.kubeflow.client import Client, Server
from tidemill.runners.kubeflow.client.schedules import Recurring, Trigger
from tidemill.testing.kubeflow_client_suite import SPEC, KubeflowClientSuite
from tidemill.testing.kubeflow_program import built, compiled, serving

SOURCE = Path(__file__).parents[1] / "kubeflow_go"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    return built(SOURCE, tmp_path_factory.mktemp("kubeflow_go"))


@pytest.fixture(scope="module")
def address(program: str) -> Iterator[str]:
    with serving(program) as url:
        yield url


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
        trigger = Trigger(cron="0 0 0 * * *")
        made = client.schedules.create(
            Recurring(name=name, version=version, trigger=trigger, parameters={"text": "a"})
        )
        spec = fake(address, f"schedules/{made['recurring_run_id']}")["spec"]
        assert spec["trigger"] == {"cronSchedule": {"cron": "0 0 0 * * *"}}
        assert (spec["maxConcurrency"], spec["noCatchup"], spec["enabled"]) == (1, True, True)


def fake(address: str, what: str) -> dict[str, Any]:
    """What a fake client of the server was given."""
    with urllib.request.urlopen(f"{address}/fake/{what}") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_the_program_shows_what_each_stage_refuses(program: str) -> None:
    """So that no refusal of one of our files can pass unseen."""
    good = SPEC.replace("NAME", "hello").replace("SDK", "kfp")
    files = {
        "good": good,
        "unknown field": good + "odd: 1\n",
        "no such component": good.replace("name: comp-hello", "name: comp-missing"),
        "bad task name": good.replace("      hello:\n", "      he_llo!:\n"),
    }
    answers = compiled(program, files, {name: {"text": "hi"} for name in files})
    assert answers["good"]["workflow"]["kind"] == "Workflow"
    assert {name: answer.get("stage", "") for name, answer in answers.items()} == {
        "good": "", "unknown field": "read", "no such component": "compile", "bad task name": "validate"
    }  # fmt: skip
