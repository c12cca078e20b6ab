"""The client against a server in memory: the suite, and what happens when answers are lost."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.errors import DefinitionError, RunnerError
from tidemill.runners.kubeflow.client import Client, Rehearsal, Server, Wire
from tidemill.runners.kubeflow.client.address import server_from
from tidemill.runners.kubeflow.client.failures import AlreadyThere, Refused, Unreachable, message_of
from tidemill.runners.kubeflow.client.pipelines import Package, Version
from tidemill.runners.kubeflow.client.request import API
from tidemill.runners.kubeflow.client.schedules import Recurring, Trigger, every, kfp_cron
from tidemill.testing.kubeflow_api import Fault, Kfp, serving
from tidemill.testing.kubeflow_client_suite import KubeflowClientSuite, package

VERSION = Version(pipeline_id="p", id="v", name="v", spec={})


@pytest.fixture
def kfp() -> Iterator[Kfp]:
    memory = Kfp()
    with serving(memory):
        yield memory


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(kfp: Kfp, waits: list[float]) -> Client:
    return Client(Wire(Server(url=kfp.url, seconds=5.0), sleep=waits.append))


class TestMemory(KubeflowClientSuite):
    @pytest.fixture
    def server(self, kfp: Kfp) -> Server:
        return Server(url=kfp.url)


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503, 504])
def test_a_read_is_tried_again(kfp: Kfp, client: Client, waits: list[float], status: int) -> None:
    kfp.faults += [Fault("GET", "/pipelines", status)] * 3
    assert client.pipelines.all() == []
    assert len(waits) == 3
    assert all(0.25 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(waits))


def test_the_server_says_how_long_to_wait(kfp: Kfp, client: Client, waits: list[float]) -> None:
    kfp.faults += [
        Fault("GET", "/pipelines", 429, headers=(("retry-after", "7"),)),
        Fault("GET", "/pipelines", 503, headers=(("retry-after", "86400"),)),
    ]
    client.pipelines.all()
    assert waits == [7.0, 20.0]


def test_a_server_that_stays_away_is_given_up(kfp: Kfp, client: Client) -> None:
    kfp.faults += [Fault("GET", "/pipelines", 503, body='{"message":"no healthy upstream"}')] * 9
    with pytest.raises(Unreachable, match=r"503 Service Unavailable: no healthy upstream \(5 tries\)"):
        client.pipelines.all()
    assert kfp.count("GET", f"{API}/pipelines") == 5


def test_nobody_listens(waits: list[float]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = Client(Wire(Server(url=url), sleep=waits.append))
        with pytest.raises(Unreachable, match="connection refused"):
            client.runs.create(VERSION, {}, name="x")
    assert len(waits) == 4  # it did not arrive, so it is safe to send again


@pytest.mark.parametrize("status", [0, 408, 502, 503, 504])
def test_a_run_whose_answer_was_lost_is_found(kfp: Kfp, client: Client, status: int) -> None:
    kfp.faults.append(Fault("POST", "/runs", status, after=True))
    run, new = client.runs.create(VERSION, {}, name="nightly")
    assert new
    assert [r["run_id"] for r in kfp.runs] == [run["run_id"]]


@pytest.mark.parametrize("status", [0, 429, 502, 503])
def test_a_run_that_was_not_started_is_started_once(kfp: Kfp, client: Client, status: int) -> None:
    kfp.faults += [Fault("POST", "/runs", status)] * 2
    client.runs.create(VERSION, {}, name="nightly")
    assert len(kfp.runs) == 1
    assert kfp.count("POST", f"{API}/runs") == 3


def test_a_run_that_may_still_start_is_never_sent_again(kfp: Kfp, client: Client, waits: list[float]) -> None:
    kfp.faults.append(Fault("POST", "/runs", 504))
    with pytest.raises(
        Unreachable, match="nobody knows whether Kubeflow Pipelines did start the run"
    ) as found:
        client.runs.create(VERSION, {}, name="nightly")
    assert "look before you ask again" in found.value.hint
    assert kfp.count("POST", f"{API}/runs") == 1
    assert kfp.count("GET", f"{API}/runs") == 3 == len(waits)


def test_another_run_of_the_same_name_is_not_taken_for_ours(kfp: Kfp, client: Client) -> None:
    client.runs.create(VERSION, {}, name="nightly")
    kfp.faults.append(Fault("POST", "/runs", 502))
    run, _ = client.runs.create(VERSION, {}, name="nightly")
    assert [r["run_id"] for r in kfp.runs][1:] == [run["run_id"]]


def test_a_refusal_is_not_tried_again(kfp: Kfp, client: Client) -> None:
    kfp.faults.append(Fault("POST", "/runs", 403, body='{"code":7,"message":"no access"}'))
    with pytest.raises(Refused, match="would not start the run x: 403 Forbidden: no access") as found:
        client.runs.create(VERSION, {}, name="x")
    assert "--namespace" in found.value.hint
    assert found.value.where == f"POST {kfp.url}{API}/runs"
    assert kfp.count("POST", f"{API}/runs") == 1


def test_a_recurring_run_whose_answer_was_lost_is_found(kfp: Kfp, client: Client) -> None:
    kfp.faults.append(Fault("POST", "/recurringruns", 0, after=True))
    wanted = Recurring(name="daily", version=VERSION, trigger=Trigger(cron="0 0 0 * * *"))
    assert client.schedules.create(wanted)["recurring_run_id"] == kfp.jobs[0]["recurring_run_id"]
    assert len(kfp.jobs) == 1


def test_an_upload_whose_answer_was_lost_is_found(kfp: Kfp, client: Client) -> None:
    kfp.faults += [
        Fault("POST", "/pipelines", 0, after=True), Fault("POST", "/upload_version", 503, after=True),
    ]  # fmt: skip
    version, _ = client.pipelines.upload(package("hello"))
    assert (len(kfp.pipelines), [v["pipeline_version_id"] for v in kfp.versions]) == (1, [version.id])


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("/recurringruns", [("new", "ENABLED")]),
        (":disable", [("new", "ENABLED"), ("old", "DISABLED")]),
        (":enable", [("new", "DISABLED"), ("old", "DISABLED")]),
    ],
)
def test_never_are_two_enabled_whatever_fails_on_the_way_back(
    kfp: Kfp, client: Client, path: str, left: list[tuple[str, str]]
) -> None:
    made = client.schedules.create(
        Recurring(name="daily", version=VERSION, trigger=Trigger(cron="0 0 0 * * *"))
    )
    old = made["recurring_run_id"]
    kfp.faults.append(Fault("POST", path, 403))
    with pytest.raises(Refused):
        client.schedules.move(client.schedules.get("daily"), VERSION, now="2026-01-01T00:00:00Z")
    assert sum(job["status"] == "ENABLED" for job in kfp.jobs) <= 1
    assert old in [job["recurring_run_id"] for job in kfp.jobs]
    assert len(kfp.jobs) == len(left)


def test_a_login_page_is_no_server(kfp: Kfp, client: Client) -> None:
    kfp.faults += [
        Fault("GET", "/pipelines", 302, headers=(("location", "https://login.example"),)),
        Fault("GET", "/healthz", 200, body="<html>log in</html>"),
    ]
    with pytest.raises(Refused) as found:
        client.pipelines.all()
    assert "a login page answered" in found.value.hint
    with pytest.raises(Unreachable, match="its answer is no JSON"):
        client.health()


def test_bad_request_of_the_server_is_no_conflict_of_names(kfp: Kfp, client: Client) -> None:
    run, _ = client.runs.create(VERSION, {}, name="x")
    with pytest.raises(RunnerError, match="must be Failed") as found:
        client.runs.retry(run["run_id"])
    assert not isinstance(found.value, AlreadyThere)
    assert "state it is in" in found.value.hint


def test_what_an_error_says_is_one_line_of_bounded_length() -> None:
    assert message_of(b'{"error_message":"a\\n  b","error_details":"stack"}') == "a b"
    assert message_of(b"<html>nginx</html>") == ""
    assert message_of(b"plain text") == "plain text"
    assert len(message_of(b'{"message":"' + b"x" * 5000 + b' why"}')) < 620
    assert message_of(b'{"message":"' + b"x" * 5000 + b' why"}').endswith(" why")


class TestAddress:
    def test_the_token_is_read_anew_and_never_shown(self, kfp: Kfp, tmp_path: Path) -> None:
        file = tmp_path / "token"
        file.write_text("secret-one\n")
        server = server_from(kfp.url, token_file=str(file), environment={})
        client = Client(Wire(server))
        client.health()
        file.write_text("secret-two\n")
        client.health()
        assert [h["authorization"] for *_, h in kfp.seen] == ["Bearer secret-one", "Bearer secret-two"]
        rehearsal = Rehearsal(server)
        Client(rehearsal).health()
        assert "secret" not in f"{server!r} {rehearsal.shown()}"
        assert rehearsal.shown()[0]["headers"]["authorization"] == "Bearer ***"

    def test_a_redirect_takes_the_token_nowhere(self, kfp: Kfp) -> None:
        other = Kfp()
        with serving(other):
            kfp.faults.append(Fault("GET", "/healthz", 307, headers=(("location", other.url),)))
            with pytest.raises(Refused):
                Client(Wire(Server(url=kfp.url, token="secret"))).health()
        assert other.seen == []

    def test_what_names_a_server(self, tmp_path: Path) -> None:
        assert server_from(environment={"TIDEMILL_KUBEFLOW": "http://a:1/"}).url == "http://a:1"
        assert server_from(environment={"KF_PIPELINES_ENDPOINT": "http://b"}).url == "http://b"
        found = server_from(
            "http://c", environment={"TIDEMILL_KUBEFLOW_TOKEN": "t", "TIDEMILL_KUBEFLOW": "x"}
        )
        assert (found.url, found.token) == ("http://c", "t")
        with pytest.raises(RunnerError, match="no Kubeflow Pipelines server is named"):
            server_from(environment={})

    @pytest.mark.parametrize(
        ("given", "why"),
        [
            ({"url": "http://me:hunter2@host"}, "holds no password"),
            ({"url": "ftp://host"}, "is no address"),
            ({"url": "host:8888"}, "is no address"),
            ({"url": "http://host:port"}, "is no address"),
            ({"url": "http://host?token=hunter2"}, "is no address"),
            ({"url": "http://host", "ca": "a.pem"}, "needs TLS"),
        ],
    )
    def test_addresses_that_are_refused(self, given: dict[str, Any], why: str) -> None:
        with pytest.raises(RunnerError, match=why) as found:
            Server(**given)
        assert "hunter2" not in str(found.value)

    def test_files_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(RunnerError, match="token file cannot be read"):
            Server(url="http://h", token_file=str(tmp_path / "none")).headers()
        with pytest.raises(RunnerError, match="certificate authority cannot be read"):
            Server(url="https://h", ca=str(tmp_path / "none")).tls()
        with pytest.raises(RunnerError, match="cannot carry") as found:
            Server(url="http://h", token="se cret").headers()
        assert "se cret" not in str(found.value)


class TestPackage:
    def test_names(self) -> None:
        assert Package.of("a/b.yaml", b"components: {}\npipelineInfo:\n  name: daily\n").pipeline == "daily"
        quoted = b"pipelineInfo:\n  displayName: Daily\n  name: 'daily' # ours\n"
        assert Package.of("b.yml", quoted).pipeline == "daily"
        assert Package.of("b.json", b'{"pipelineInfo": {"name": "daily"}}').pipeline == "daily"
        assert Package.of("b.yaml", b"{}", "mine").pipeline == "mine"

    @pytest.mark.parametrize(
        ("file", "content", "why"),
        [
            ("pipeline.py", b"", "takes .yaml"),
            ("a.yaml", b"\xff\xfe", "no UTF-8"),
            ("a.yaml", b"a: 1\nname: daily\n", "does not say what its pipeline is called"),
            ("a.json", b"[1]", "does not say what its pipeline is called"),
            ("a.yaml", b" " * (33 << 20), "32 MiB"),
        ],
    )
    def test_what_is_none(self, file: str, content: bytes, why: str) -> None:
        with pytest.raises(DefinitionError, match=why):
            Package.of(file, content)


class TestCron:
    @pytest.mark.parametrize(
        ("ours", "kfp"),
        [
            ("@daily", "0 0 0 * * *"),
            ("30 6 * * mon-fri", "0 30 6 * * mon-fri"),
            ("*/15 * * * *", "0 */15 * * * *"),
            ("0 0 * * 7", "0 0 0 * * 0"),
            ("0 0 * * 5-7", "0 0 0 * * 5-6,0"),
            ("0 0 * * 1,7", "0 0 0 * * 1,0"),
            ("0 0 * * 0-7", "0 0 0 * * *"),
            ("15 0 0 1 * *", "15 0 0 1 * *"),
        ],
    )
    def test_six_fields(self, ours: str, kfp: str) -> None:
        assert kfp_cron(ours) == kfp

    def test_zones(self) -> None:
        with pytest.raises(DefinitionError, match=r"in Europe/Berlin, and this .* counts in UTC"):
            kfp_cron("@daily", "Europe/Berlin")
        assert kfp_cron("@daily", "Europe/Berlin", server_zone="Europe/Berlin") == "0 0 0 * * *"

    def test_what_cannot_be_said(self) -> None:
        for wrong in ("", "* * *", "* * * * * * *"):
            with pytest.raises(DefinitionError, match="no schedule"):
                kfp_cron(wrong)
        with pytest.raises(DefinitionError, match="cannot be said"):
            kfp_cron("0 0 * * 1-7/2")

    def test_intervals(self) -> None:
        assert [every(t) for t in ("90s", "15m", "6h", "1d")] == [90, 900, 21600, 86400]
        for wrong in ("", "15", "-1h", "30s", "1w", "1.5h"):
            with pytest.raises(DefinitionError, match="no interval"):
                every(wrong)


def test_a_rehearsal_sends_nothing() -> None:
    rehearsal = Rehearsal(Server(url="http://kfp.invalid", token="secret"))
    client = Client(rehearsal)
    version, _ = client.pipelines.upload(package("hello"))
    client.runs.create(version, {"n": 1}, name="x", experiment_id="e")
    shown = rehearsal.shown()
    paths = [s["url"].removeprefix(f"http://kfp.invalid{API}").partition("?")[0] for s in shown]
    assert paths == ["/pipelines", "/pipelines/upload_version", "/runs"]
    assert shown[0]["unless"] == "there is a pipeline hello"
    assert shown[1]["file"]["sha256"] == package("hello").digest
    assert shown[2]["body"]["runtime_config"] == {"parameters": {"n": 1}}
    assert "secret" not in str(shown)
