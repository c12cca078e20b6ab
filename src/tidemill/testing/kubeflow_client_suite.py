"""What our client and a Kubeflow Pipelines server do together, as tests. Subclass and give a `server`:

    class TestMine(KubeflowClientSuite):
        @pytest.fixture
        def server(self) -> Server: ...

The same tests run against KFP's real API server and against a small one in memory, which follows the swagger;
where the two disagreed, the one in memory would be wrong.
"""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from tidemill.errors import DefinitionError, RunnerError
from tidemill.runners.kubeflow.client import Client, Server, Wire
from tidemill.runners.kubeflow.client.failures import AlreadyThere, NotFound, Refused
from tidemill.runners.kubeflow.client.parameters import typed
from tidemill.runners.kubeflow.client.pipelines import Package
from tidemill.runners.kubeflow.client.runs import tasks_of, version_of
from tidemill.runners.kubeflow.client.schedules import Recurring, Trigger

SPEC = """\
components:
  comp-hello:
    executorLabel: exec-hello
    inputDefinitions:
      parameters:
        text:
          parameterType: STRING
deploymentSpec:
  executors:
    exec-hello:
      container:
        args:
        - "{{$.inputs.parameters['text']}}"
        command:
        - echo
        image: python:3.11
pipelineInfo:
  name: NAME
root:
  dag:
    tasks:
      hello:
        componentRef:
          name: comp-hello
        inputs:
          parameters:
            text:
              componentInputParameter: text
        taskInfo:
          name: hello
  inputDefinitions:
    parameters:
      number:
        defaultValue: 3
        parameterType: NUMBER_INTEGER
      text:
        parameterType: STRING
schemaVersion: 2.1.0
sdkVersion: SDK
"""
"""A pipeline of one task and two parameters. NAME and SDK stand for what they say."""


def package(name: str, *, sdk: str = "kfp-2.17.0") -> Package:
    """`SPEC` as a file that is about to be uploaded."""
    text = SPEC.replace("NAME", name).replace("SDK", sdk)
    return Package.of("hello.yaml", text.encode())


class KubeflowClientSuite:
    """Subclass it with a fixture `server`."""

    @pytest.fixture
    def client(self, server: Server) -> Client:
        """The client, which need not wait between tries."""
        return Client(Wire(server, sleep=lambda _: None))

    @pytest.fixture
    def name(self) -> str:
        """Of a pipeline that no other test has."""
        return f"hello-{secrets.token_hex(4)}"

    def test_a_file_is_one_version_however_often_it_is_uploaded(self, client: Client, name: str) -> None:
        """The same file again is the version that is there; another one is another version."""
        first, new = client.pipelines.upload(package(name))
        again, second = client.pipelines.upload(package(name))
        other, third = client.pipelines.upload(package(name, sdk="kfp-2.17.1"))
        assert (new, second, third) == (True, False, True)
        assert first.id == again.id != other.id
        pipeline = client.pipelines.get(name)
        assert [v.id for v in client.pipelines.versions(pipeline["pipeline_id"])] == [other.id, first.id]
        assert client.pipelines.version(pipeline).id == other.id
        assert client.pipelines.version(pipeline, first.name).spec["pipelineInfo"]["name"] == name

    def test_a_version_that_was_named_keeps_its_content(self, client: Client, name: str) -> None:
        """A name stands for one content."""
        first, _ = client.pipelines.upload(package(name), version=f"{name}-stable")
        again, new = client.pipelines.upload(package(name), version=f"{name}-stable")
        assert (again.id, new) == (first.id, False)
        with pytest.raises(RunnerError, match="a version is never changed"):
            client.pipelines.upload(package(name, sdk="kfp-2.17.1"), version=f"{name}-stable")

    def test_what_is_not_there_is_said_with_what_is(self, client: Client, name: str) -> None:
        """With a "did you mean"."""
        client.pipelines.upload(package(name))
        with pytest.raises(NotFound, match="there is no pipeline") as found:
            client.pipelines.get(name[:-1] + "x")
        assert found.value.hint == f"did you mean {name!r}?"
        with pytest.raises(NotFound, match="has no version 'nine'"):
            client.pipelines.version(client.pipelines.get(name), "nine")
        with pytest.raises(NotFound, match="there is no run"):
            client.runs.get("00000000-0000-0000-0000-000000000000")

    def test_what_the_server_refuses_is_said_in_its_words(self, client: Client, name: str) -> None:
        """And with what to do about it."""
        with pytest.raises(RunnerError, match="would not upload the version") as found:
            client.pipelines.upload(Package.of("x.yaml", f"pipelineInfo:\n  name: {name}\nodd: 1\n".encode()))
        assert "lint-kfp" in found.value.hint
        version, _ = client.pipelines.upload(package(name))
        with pytest.raises(Refused, match=r"number.*not of number value type"):
            client.runs.create(version, {"text": "a", "number": "nine"}, name="refused")

    def test_a_run_gets_what_it_is_given(self, client: Client, name: str) -> None:
        """Version and parameters, under its name."""
        version = self.uploaded(client, name)
        given = typed(version.spec, {"text": "hello", "number": "4"})
        run, new = client.runs.create(version, given, name=f"run of {name}")
        assert new
        found = client.runs.get(run["run_id"])
        assert found["runtime_config"]["parameters"] == {"text": "hello", "number": 4}
        assert version_of(found) == (version.pipeline_id, version.id)
        assert client.runs.get(f"run of {name}")["run_id"] == run["run_id"]
        listed = client.runs.all(pipeline_id=version.pipeline_id)
        assert [r["run_id"] for r in listed] == [run["run_id"]]
        assert tasks_of(found) == []

    def test_wrong_parameters_are_found_before_anything_is_sent(self, client: Client, name: str) -> None:
        """All of them at once."""
        version = self.uploaded(client, name)
        with pytest.raises(DefinitionError) as found:
            typed(version.spec, {"numbr": "4", "number": "four"})
        assert [p.what for p in found.value.problems] == [
            "parameter number is NUMBER_INTEGER, and 'four' is none",
            "there is no parameter 'numbr'",
            "parameter text has no default and is not given",
        ]
        with pytest.raises(DefinitionError, match="10000"):
            typed(version.spec, {"text": "x" * 10_000})

    def test_a_named_run_is_started_once(self, client: Client, name: str) -> None:
        """A name stands for one piece of work."""
        version = self.uploaded(client, name)
        experiment = client.experiments.sure(f"of {name}")["experiment_id"]
        assert client.experiments.sure(f"of {name}")["experiment_id"] == experiment
        order: dict[str, Any] = {"name": "nightly", "experiment_id": experiment, "once": True}
        first, new = client.runs.create(version, {"text": "a"}, **order)
        again, second = client.runs.create(version, {"text": "a"}, **order)
        assert (again["run_id"], new, second) == (first["run_id"], True, False)
        with pytest.raises(AlreadyThere, match="with other parameters"):
            client.runs.create(version, {"text": "b"}, **order)

    def test_a_run_is_ended_and_put_away(self, client: Client, name: str) -> None:
        """Terminated, archived, restored."""
        version = self.uploaded(client, name)
        run_id = client.runs.create(version, {"text": "a"}, name=name)[0]["run_id"]
        client.runs.terminate(run_id)
        assert client.runs.get(run_id)["state"] == "CANCELING"
        client.runs.archive(run_id)
        assert not client.runs.all(pipeline_id=version.pipeline_id)
        client.runs.restore(run_id)
        assert client.runs.all(pipeline_id=version.pipeline_id)

    def test_the_log_of_a_pod(self, client: Client, name: str) -> None:
        """As long as there is one; KFP sends its error as the log, with status 200."""
        version = self.uploaded(client, name)
        run_id = client.runs.create(version, {"text": "a"}, name=name)[0]["run_id"]
        assert client.runs.log(run_id, "pod-with-a-log") == b"line one\nline two\n"
        with pytest.raises(NotFound, match="no log of another-pod any more"):
            client.runs.log(run_id, "another-pod")

    def test_a_recurring_run_is_paused_and_deleted(self, client: Client, name: str) -> None:
        """Made, disabled, enabled, deleted."""
        version = self.uploaded(client, name)
        made = client.schedules.create(
            Recurring(
                name=name, version=version, trigger=Trigger(cron="0 30 6 * * 1-5"), at_once=3,
                catch_up=True, parameters={"text": "a"},
            )
        )  # fmt: skip
        found = client.schedules.get(name)
        assert found["recurring_run_id"] == made["recurring_run_id"]
        assert found["trigger"]["cron_schedule"]["cron"] == "0 30 6 * * 1-5"
        assert (found["max_concurrency"], found.get("no_catchup", False)) == ("3", False)
        client.schedules.disable(made["recurring_run_id"])
        assert client.schedules.get(name)["status"] == "DISABLED"
        client.schedules.enable(made["recurring_run_id"])
        assert client.schedules.get(name)["status"] == "ENABLED"
        client.schedules.delete(made["recurring_run_id"])
        with pytest.raises(NotFound, match="no recurring run"):
            client.schedules.get(name)

    def test_a_recurring_run_goes_back_to_an_earlier_version(self, client: Client, name: str) -> None:
        """Its name, trigger and parameters stay; what it missed is not made up for."""
        older = self.uploaded(client, name)
        newer, _ = client.pipelines.upload(package(name, sdk="kfp-2.17.1"))
        trigger = Trigger(interval=3600, start="2024-01-01T00:00:00Z", end="2030-01-01T00:00:00Z")
        client.schedules.create(
            Recurring(name=name, version=newer, trigger=trigger, parameters={"text": "a"}, at_once=2)
        )
        before = client.schedules.get(name)
        made = client.schedules.move(before, older, now="2026-05-01T00:00:00Z")
        found = client.schedules.get(name)
        assert found["recurring_run_id"] == made["recurring_run_id"] != before["recurring_run_id"]
        assert (version_of(found)[1], found["status"]) == (older.id, "ENABLED")
        assert found["trigger"]["periodic_schedule"] == {
            "interval_second": "3600", "start_time": "2026-05-01T00:00:00Z",
            "end_time": "2030-01-01T00:00:00Z",
        }  # fmt: skip
        assert found["runtime_config"]["parameters"] == {"text": "a"}
        assert len(client.schedules.all(pipeline_id=older.pipeline_id)) == 1

    def test_lists_are_read_to_their_end(
        self, client: Client, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Page by page."""
        monkeypatch.setattr("tidemill.runners.kubeflow.client.pipelines.PAGE_SIZE", "2")
        for number in range(5):
            client.pipelines.upload(package(name, sdk=f"kfp-2.17.{number}"))
        assert len(client.pipelines.versions(client.pipelines.get(name)["pipeline_id"])) == 5

    def uploaded(self, client: Client, name: str) -> Any:
        """A version with its spec."""
        made, _ = client.pipelines.upload(package(name))
        return client.pipelines.version(client.pipelines.get(name), made.id)
