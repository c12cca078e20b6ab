"""`tidemill kubeflow` against a server in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tidemill.cli.kubeflow import kubeflow
from tidemill.cli.main import cli
from tidemill.errors import RunnerError, TidemillError
from tidemill.ir import codec
from tidemill.ir.model import NodeIR, PipelineIR, ScheduleIR
from tidemill.metadata.model import CANCEL, Run, RunState
from tidemill.metadata.sql import open_store
from tidemill.testing.kubeflow_api import Kfp, serving
from tidemill.testing.kubeflow_client_suite import SPEC

Tidemill = Callable[..., Result]


@pytest.fixture
def kfp() -> Iterator[Kfp]:
    memory = Kfp()
    with serving(memory):
        yield memory


@pytest.fixture
def tidemill(kfp: Kfp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tidemill:
    """The command, in a folder with a compiled pipeline and a token."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEMILL_KUBEFLOW", kfp.url)
    monkeypatch.setenv("TIDEMILL_KUBEFLOW_TOKEN_FILE", "token")
    monkeypatch.delenv("TIDEMILL_METADATA", raising=False)
    (tmp_path / "token").write_text("hunter2")
    for name, sdk in (("hello", "kfp-2.17"), ("newer", "kfp-2.18"), ("ours", "tidemill")):
        text = SPEC.replace("NAME", "hello").replace("SDK", sdk)
        (tmp_path / f"{name}.yaml").write_text(text)

    def run(*words: str) -> Result:
        return CliRunner().invoke(kubeflow, list(words), catch_exceptions=True)

    return run


def definition(zone: str) -> str:
    """A compiled pipeline with a schedule, as JSON."""
    schedule = ScheduleIR(cron="@daily", start="2026-01-01", timezone=zone)
    node = NodeIR(id="step", component="step", executor="mine:step")
    return codec.dumps(PipelineIR(name="daily", nodes=(node,), schedule=schedule, max_active_runs=2))


def facts(result: Result) -> Any:
    """The JSON of a command that went well."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return json.loads(result.stdout)


def failure(result: Result) -> TidemillError:
    """Our error, of a command that did not."""
    assert isinstance(result.exception, TidemillError), result.output
    return result.exception


def test_from_a_file_to_a_run_and_back(kfp: Kfp, tidemill: Tidemill) -> None:
    first = facts(tidemill("upload", "hello.yaml", "--json"))
    assert (first["new"], facts(tidemill("upload", "hello.yaml", "--json"))["new"]) == (True, False)
    second = facts(tidemill("upload", "newer.yaml", "--json"))
    assert tidemill("versions", "hello").stdout.split()[3] == second["version"]
    started = facts(
        tidemill("run", "hello", "-p", "text=hi", "-p", "number=4", "--experiment", "e", "--json")
    )
    assert (started["parameters"], started["version"]) == ({"text": "hi", "number": 4}, second["version"])
    assert started["run"] in tidemill("runs", "--pipeline", "hello", "--experiment", "e").stdout
    assert "PENDING" in tidemill("status", "latest").stdout
    assert tidemill("stop", started["run"][:8]).stdout == f"run {started['run']} was asked to end\n"
    kfp.runs[0]["state"] = "CANCELED"
    assert tidemill("stop", started["run"]).exit_code == RunnerError.exit_code
    assert tidemill("status", started["run"], "--wait").exit_code == 130
    assert tidemill("archive", started["run"]).exit_code == 0
    assert "hi" not in tidemill("runs").stdout
    assert tidemill("archive", started["run"], "--restore").exit_code == 0
    assert tidemill("pipelines").stdout.startswith("PIPELINE")
    assert "e " in tidemill("experiments").stdout
    assert {h["authorization"] for *_, h in kfp.seen} == {"Bearer hunter2"}


def test_a_file_is_run_and_followed(kfp: Kfp, tidemill: Tidemill, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(_: float) -> None:
        kfp.runs[0].update(state="FAILED", error={"message": "it broke"})

    monkeypatch.setattr("tidemill.runners.kubeflow.client.runs.Runs.follow.__kwdefaults__", {"sleep": ends})
    result = tidemill("run", "hello.yaml", "-p", "text=hi", "--name", "nightly", "--wait")
    assert result.exit_code == 1
    assert "is FAILED" in result.stdout
    assert "it broke" in result.stdout


@pytest.mark.parametrize(
    ("tag", "old"),
    [("2.3.0", True), ("2.4.1", True), ("2.5.0", False), ("2.17.0", False), ("unknown", False)],
)
def test_a_server_that_is_too_old_is_said_to_be(kfp: Kfp, tidemill: Tidemill, tag: str, old: bool) -> None:
    kfp.tag = tag
    result = tidemill("upload", "ours.yaml")
    assert result.exit_code == 0
    assert (f"note: this server is of KFP {tag}" in result.output) == old


def test_a_named_run_is_started_once(kfp: Kfp, tidemill: Tidemill) -> None:
    words = ("run", "hello.yaml", "-p", "text=hi", "--name", "nightly")
    assert tidemill(*words).stdout.startswith("started run")
    assert tidemill(*words).stdout.startswith("there already: run")
    assert len(kfp.runs) == 1
    assert "with other parameters" in failure(tidemill(*words, "-p", "number=9")).message


def test_wrong_input_is_said_with_a_way_out(kfp: Kfp, tidemill: Tidemill) -> None:
    tidemill("upload", "hello.yaml")
    assert "cannot be read" in failure(tidemill("upload", "none.yaml")).message
    assert "did you mean 'hello'" in failure(tidemill("run", "helo")).hint
    assert "'numbr'" in str(failure(tidemill("run", "hello", "-p", "text=a", "-p", "numbr=1")))
    assert "no date" in failure(tidemill("run", "hello", "-p", "text=a", "--date", "2026-01-01")).message
    assert "nothing was run yet" in failure(tidemill("status", "latest")).message
    assert "no version" in failure(tidemill("run", "hello", "--version", "x")).message
    assert not any(method == "POST" and path.endswith("/runs") for method, path, _ in kfp.seen)


def test_logs_of_a_task(kfp: Kfp, tidemill: Tidemill) -> None:
    tidemill("run", "hello.yaml", "-p", "text=hi")
    kfp.runs[0]["run_details"] = {
        "task_details": [
            {"display_name": "hello-driver", "child_tasks": [{"pod_name": "driver"}]},
            {"display_name": "hello", "state": "RUNNING", "child_tasks": [{"pod_name": "pod-with-a-log"}]},
        ]
    }
    assert tidemill("logs", "latest", "hello").stdout == "line one\nline two\n"
    assert failure(tidemill("logs", "latest", "helo")).hint == "did you mean 'hello'?"
    assert "no log" in failure(tidemill("logs", "latest", "--pod", "gone")).message
    assert tidemill("status", "latest").stdout.splitlines()[2].split() == ["hello", "RUNNING"]


def test_stop_asks_our_record_too(kfp: Kfp, tidemill: Tidemill, tmp_path: Path) -> None:
    tidemill("run", "hello.yaml", "-p", "text=hi")
    run_id = kfp.runs[0]["run_id"]
    url = f"sqlite:///{tmp_path / 'metadata.db'}"
    store = open_store(url)
    owner = f"kubeflow/hello/{run_id}"
    made = Run(id="hello-1", pipeline="hello", version="v", state=RunState.RUNNING, root="r", owner=owner)
    store.create_run(made, [])
    said = facts(tidemill("stop", run_id, "--metadata", url, "--json"))
    assert said["record"] == "hello-1"
    found = store.get_run("hello-1")
    store.close()
    assert found is not None
    assert found.request == CANCEL
    assert kfp.runs[0]["state"] == "CANCELING"


def test_retry_of_ours_is_a_new_run_and_of_others_is_kfps(kfp: Kfp, tidemill: Tidemill) -> None:
    tidemill("run", "hello.yaml", "-p", "text=theirs")
    kfp.runs[0]["state"] = "FAILED"
    assert facts(tidemill("retry", "latest", "--json"))["new"] is False
    assert kfp.runs[0]["state"] == "RUNNING"
    tidemill("run", "ours.yaml", "-p", "text=ours")
    assert "has not ended" in failure(tidemill("retry", kfp.runs[1]["run_id"])).message
    kfp.runs[1]["state"] = "FAILED"
    assert facts(tidemill("retry", kfp.runs[1]["run_id"], "--json"))["new"] is True
    assert len(kfp.runs) == 3
    assert kfp.runs[2]["runtime_config"] == kfp.runs[1]["runtime_config"]
    assert kfp.runs[2]["pipeline_version_reference"] == kfp.runs[1]["pipeline_version_reference"]


def test_schedules_and_the_way_back(kfp: Kfp, tidemill: Tidemill, tmp_path: Path) -> None:
    old = facts(tidemill("upload", "hello.yaml", "--json"))
    new = facts(tidemill("upload", "newer.yaml", "--json"))
    (tmp_path / "daily.json").write_text(definition("UTC"))
    made = facts(tidemill("schedule", "hello", "--of", "daily.json", "-p", "text=a", "--json"))
    cron = {"cron": "0 0 0 * * *", "start_time": "2026-01-01T00:00:00Z"}
    assert made["trigger"] == {"cron_schedule": cron}
    assert (made["at_once"], made["catch_up"], made["version"]) == (2, False, new["version"])
    again = failure(tidemill("schedule", "hello", "--every", "6h", "-p", "text=a"))
    assert "already" in again.message
    tidemill("pause", "hello")
    assert "DISABLED" in tidemill("schedules", "hello").stdout
    tidemill("resume", "hello")
    back = facts(tidemill("rollback", "hello", "--json"))
    assert (back["version"], [m["from"] for m in back["moved"]]) == (old["version"], [new["version_id"]])
    (job,) = kfp.jobs
    assert (job["status"], job["no_catchup"], job["max_concurrency"]) == ("ENABLED", True, "2")
    assert "no version before" in failure(tidemill("rollback", "hello")).message
    assert facts(tidemill("rollback", "hello", "--to", new["version"], "--json"))["moved"]
    assert "no recurring run had to be moved" in tidemill("rollback", "hello", "--to", new["version"]).stdout
    tidemill("unschedule", "hello")
    assert kfp.jobs == []


def test_schedules_that_cannot_be(kfp: Kfp, tidemill: Tidemill, tmp_path: Path) -> None:
    tidemill("upload", "hello.yaml")
    (tmp_path / "daily.json").write_text(definition("Europe/Berlin"))
    wrong = failure(tidemill("schedule", "hello", "--of", "daily.json", "-p", "text=a"))
    assert "CRON_SCHEDULE_TIMEZONE" in wrong.hint
    assert tidemill("schedule", "hello", "-p", "text=a").exit_code == 2
    assert tidemill("schedule", "hello", "--cron", "@daily", "--every", "6h", "-p", "text=a").exit_code == 2
    assert "11 runs at once" in failure(
        tidemill("schedule", "hello", "--cron", "@daily", "--at-once", "11", "-p", "text=a")
    ).message  # fmt: skip
    assert kfp.jobs == []
    zone = ("--server-zone", "Europe/Berlin")
    assert tidemill("schedule", "hello", "--of", "daily.json", "-p", "text=a", *zone).exit_code == 0


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (("upload", "hello.yaml"), ["/pipelines", "/pipelines/upload_version"]),
        (("run", "hello", "-p", "text=a"), ["/pipelines/names/hello", "/runs"]),
        (("stop", "some-run"), ["/runs/some-run", "/runs/some-run:terminate"]),
        (("archive", "some-run"), ["/runs/some-run", "/runs/some-run:archive"]),
        (("schedule", "hello", "--every", "6h"), ["/pipelines/names/hello", "/recurringruns"]),
        (("unschedule", "daily"), ["/recurringruns/daily"]),
        (
            ("rollback", "hello", "--to", "v1"),
            ["/pipelines/names/hello", "/recurringruns", "/recurringruns/hello:disable",
             "/recurringruns/<id-of-hello>:enable", "/recurringruns/hello"],
        ),
    ],
)  # fmt: skip
def test_a_rehearsal_prints_what_would_be_sent(
    kfp: Kfp, tidemill: Tidemill, words: tuple[str, ...], sent: list[str]
) -> None:
    shown = facts(tidemill(*words, "--dry-run"))
    assert kfp.seen == []
    prefix = f"{kfp.url}/apis/v2beta1"
    assert [request["url"].removeprefix(prefix).partition("?")[0] for request in shown] == sent
    assert "hunter2" not in json.dumps(shown)
    assert all(request["headers"]["authorization"] == "Bearer ***" for request in shown)


def test_advice_from_the_record(tidemill: Tidemill, tmp_path: Path) -> None:
    (tmp_path / "daily.json").write_text(definition("UTC"))
    assert "no record" in failure(tidemill("advise", "daily.json")).message
    open_store(f"sqlite:///{tmp_path / 'metadata.db'}").close()
    words = ("advise", "daily.json", "--root", str(tmp_path), "--spot", "gke", "--write", "learnt.toml")
    said = tidemill(*words)
    assert "0 of 5 attempts that it takes" in said.stdout
    assert (tmp_path / "learnt.toml").read_text().startswith("# Written by tidemill kubeflow advise")
    assert facts(tidemill(*words, "--json"))["platform"] == {}
    assert tidemill("advise", "daily.json", "--root", str(tmp_path), "--spot", "nonsense").exit_code == 2


def test_every_command_teaches() -> None:
    runner = CliRunner()
    assert "kubeflow" in runner.invoke(cli, ["--help"]).output
    for name, command in kubeflow.commands.items():
        text = runner.invoke(kubeflow, [name, "--help"]).output
        assert command.help is not None
        assert len(text.splitlines()) > 8, name
        assert max(len(line) for line in text.splitlines()) <= 80, name
