"""Pusher's other destinations: KServe, a webhook, MLflow; and the way back in a folder."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidemill.components.pusher import kserve, webhook
from tidemill.components.pusher.executor import run
from tidemill.errors import DataError, PermanentError, StorageError, TransientError
from tidemill.storage.manifest import seal
from tidemill.storage.versions import current, history, push, read_pointer, rollback
from tidemill.types.destination import (
    Destination,
    Filesystem,
    KServe,
    MlflowRegistry,
    Webhook,
    destination_of,
)
from tidemill.types.standard import Model, PushedModel


def model_of(folder: Path, text: str) -> Model:
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(text)
    return Model(path=folder, uri=str(folder), digest=seal(folder).digest)


@pytest.fixture
def models(tmp_path: Path) -> list[Model]:
    return [model_of(tmp_path / f"model-{i}", f"model {i}") for i in range(4)]


def pushed(model: Model, destination: Any, tmp_path: Path, **parameters: Any) -> PushedModel:
    output = tmp_path / "output"
    output.mkdir(exist_ok=True)
    artifact = PushedModel(path=output, uri=str(output))
    run(model=model, pushed_model=artifact, destination=destination, **parameters)
    return artifact


# --- what a destination is ------------------------------------------------------------------------


def test_a_destination_is_its_plain_form() -> None:
    hook = Webhook(url="https://example.com", secret_env="SECRET")
    assert dict(hook)["kind"] == "webhook"
    assert destination_of(json.loads(json.dumps(dict(hook)))) == hook
    assert destination_of("serving") == Filesystem("serving")
    assert destination_of(hook) is hook
    with pytest.raises(DataError, match="no destination of the kind 'webhok'") as raised:
        destination_of({"kind": "webhok"})
    assert raised.value.hint == "did you mean 'webhook'?"
    with pytest.raises(DataError, match="has no 'uri'"):
        destination_of({"kind": "webhook", "uri": "x"})
    with pytest.raises(DataError, match="not complete"):
        destination_of({"kind": "kserve"})


def test_in_a_pipeline() -> None:
    from tidemill import pipeline
    from tidemill.components import ImportSchemaGen, Pusher
    from tidemill.dsl.fit import mismatch

    @pipeline
    def nothing() -> None:
        """A pipeline whose only use is to be compiled."""

    assert ImportSchemaGen is not None
    annotation = Pusher.signature.parameters["destination"].annotation
    assert mismatch(KServe(name="a", folder="b", storage_uri="pvc://c"), annotation) == ""
    assert mismatch("serving", annotation) == ""
    assert "expected str | Destination" in mismatch(5, annotation)
    assert isinstance(Filesystem("a"), Destination)


# --- the way back ---------------------------------------------------------------------------------


def content(place: Path) -> str:
    folder = current(place)
    assert folder is not None
    return (folder / "model.json").read_text()


def test_rolling_back_and_on(models: list[Model], tmp_path: Path) -> None:
    place = tmp_path / "serving"
    for i, date in ((0, "2026-03-01"), (1, "2026-03-02"), (2, "2026-03-03")):
        pushed(models[i], str(place), tmp_path, as_of=date)
    change = rollback(place, by="ann", reason="worse")
    assert (change.version, change.before) == ("2026-03-02-2", "2026-03-03-3")
    assert content(place) == "model 1"
    again = pushed(models[2], str(place), tmp_path, as_of="2026-03-03")
    assert "somebody rolled back from these" in str(again.reason)
    assert content(place) == "model 1", "a rerun does not undo what somebody decided"
    assert rollback(place).version == "2026-03-01-1", "not to the one that was withdrawn"
    assert pushed(models[3], str(place), tmp_path, as_of="2026-03-04").pushed_version == "2026-03-04-4"
    assert content(place) == "model 3"
    assert rollback(place, to="2026-03-03-3").version == "2026-03-03-3"
    pointer = read_pointer(place)
    assert pointer is not None
    assert models[2].digest not in pointer.withdrawn
    assert rollback(place, to="2026-03-03-3").time == "", "it is current already"
    pushed(models[3], str(place), tmp_path, as_of="2026-03-04", force=True)
    assert content(place) == "model 3"
    said = [(c.action, c.before, c.version) for c in history(place)]
    assert said[3] == ("rollback", "2026-03-03-3", "2026-03-02-2")
    assert [action for action, _, _ in said] == ["push"] * 3 + ["rollback"] * 2 + ["push", "rollback", "push"]


def test_no_way_back(models: list[Model], tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="not a folder that Pusher pushed to"):
        rollback(tmp_path / "nothing")
    place = tmp_path / "serving"
    pushed(models[0], str(place), tmp_path)
    with pytest.raises(StorageError, match="no earlier version was current"):
        rollback(place)
    pushed(models[1], str(place), tmp_path)
    (place / "versions" / "1" / "model.json").write_text("changed")
    with pytest.raises(StorageError, match="version 1 is damaged"):
        rollback(place)
    assert content(place) == "model 1"


def test_a_history_that_a_crash_cut_off(models: list[Model], tmp_path: Path) -> None:
    place = tmp_path / "serving"
    push(models[0].path, place)
    with (place / "history.jsonl").open("a") as file:
        file.write('{"time": "20')
    push(models[1].path, place)
    assert [change.version for change in history(place)] == ["1", "2"]


# --- KServe ---------------------------------------------------------------------------------------

FIELDS: dict[str, Any] = {
    "InferenceService": {
        "apiVersion": "serving.kserve.io/v1beta1", "kind": 0,
        "metadata": {"name": 0, "namespace": 0, "annotations": None},
        "spec": {"predictor": {
            "minReplicas": int, "canaryTrafficPercent": int, "serviceAccountName": str,
            "model": {"modelFormat": {"name": str}, "protocolVersion": "v2", "runtime": str,
                      "storageUri": str, "resources": {"requests": None, "limits": None}},
        }},
    },
    "ServingRuntime": {
        "apiVersion": "serving.kserve.io/v1alpha1", "kind": 0, "metadata": {"name": 0, "namespace": 0},
        "spec": {"supportedModelFormats": [{"name": str, "version": str, "autoSelect": bool}],
                 "protocolVersions": None,
                 "containers": [{"name": "kserve-container", "image": str, "command": None, "args": None,
                                 "ports": None, "readinessProbe": None}]},
    },
}  # fmt: skip
"""Fields of KServe's resources that we use, by the CRDs in config/crd/full of kserve/kserve: a name with its
type, a constant, or None for free content."""


def check_fields(value: Any, known: Any, at: str) -> None:
    if isinstance(known, dict):
        for name, part in value.items():
            assert name in known, f"{at}.{name}"
            check_fields(part, known[name], f"{at}.{name}")
    elif isinstance(known, list):
        for part in value:
            check_fields(part, known[0], at)
    elif isinstance(known, type):
        assert type(value) is known, at
    elif isinstance(known, str):
        assert value == known, at


def service(tmp_path: Path, **changes: Any) -> KServe:
    return KServe(**{"name": "taxi", "folder": str(tmp_path / "pvc"), "storage_uri": "pvc://models/taxi",
                     "image": "registry.example/tidemill:1", **changes})  # fmt: skip


def test_kserve_manifests(models: list[Model], tmp_path: Path) -> None:
    place = service(tmp_path, canary_percent=10, service_account="reader", resources={"memory": "1Gi"})
    for i in (0, 1):
        assert pushed(models[i], place, tmp_path).pushed == 1
    assert sorted(p.name for p in (tmp_path / "pvc" / "kserve").iterdir()) == ["1.yaml", "2.yaml"]
    found = list(yaml.safe_load_all((tmp_path / "pvc" / "kserve" / "2.yaml").read_text()))
    assert [item["kind"] for item in found] == ["ServingRuntime", "InferenceService"]
    for item in found:
        check_fields(item, FIELDS[item["kind"]], item["kind"])
    predictor = found[1]["spec"]["predictor"]
    assert predictor["canaryTrafficPercent"] == 10
    assert predictor["model"]["storageUri"] == "pvc://models/taxi/versions/2"
    assert predictor["model"]["runtime"] == found[0]["metadata"]["name"]
    assert "serve" in found[0]["spec"]["containers"][0]["args"]
    assert found[1]["metadata"]["annotations"]["tidemill/digest"] == models[1].digest
    before = (tmp_path / "pvc" / "kserve" / "2.yaml").read_bytes()
    pushed(models[1], place, tmp_path)
    assert (tmp_path / "pvc" / "kserve" / "2.yaml").read_bytes() == before


def test_kserve_with_a_runtime_that_exists(tmp_path: Path) -> None:
    (only,) = kserve.manifests(service(tmp_path, image="", runtime="mine"), "1", "d")
    assert only["spec"]["predictor"]["model"]["runtime"] == "mine"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Taxi"}, "no name in Kubernetes"),
        ({"namespace": "a/b"}, "no namespace in Kubernetes"),
        ({"storage_uri": "models"}, "reads no models from"),
        ({"storage_uri": "https://user:word@host/x"}, "must not carry a password"),
        ({"canary_percent": 101}, "no share of the traffic"),
        ({"image": ""}, "nothing says what runs the model"),
    ],
)
def test_kserve_mistakes(models: list[Model], tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        pushed(models[0], service(tmp_path, **changes), tmp_path)
    assert not (tmp_path / "pvc").exists()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("", None),
        ("error: dial tcp: connection refused", TransientError),
        ("error: no match", PermanentError),
    ],
)
def test_kubectl(
    models: list[Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str,
    error: type[Exception] | None,
) -> None:  # fmt: skip
    """kubectl is imitated: it keeps what it was told."""
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "kubectl"
    tool.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/told\necho "{said}" >&2\nexit {int(bool(said))}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    place = service(tmp_path, apply=True, context="lab")
    if error is None:
        pushed(models[0], place, tmp_path)
    else:
        with pytest.raises(error, match="kubectl apply failed"):
            pushed(models[0], place, tmp_path)
    told = (tmp_path / "told").read_text().strip()
    assert told == f"--context lab apply -f {tmp_path}/pvc/kserve/1.yaml"


def test_no_kubectl(models: list[Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PermanentError, match="kubectl is not installed"):
        pushed(models[0], service(tmp_path, apply=True), tmp_path)


# --- webhook --------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """An HTTP server that answers with the given statuses, in order, and keeps what it got."""

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            status, headers = kept.answers.pop(0) if kept.answers else (204, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}/hooks/secret-path"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield kept
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_signed_delivery(
    models: list[Model], receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    key = b"0123456789abcdef"
    monkeypatch.setenv("HOOK_SECRET", "whsec_" + base64.b64encode(key).decode())
    monkeypatch.setenv("HOOK_AUTH", "Bearer hidden")
    place = Webhook(url=receiver.url, secret_env="HOOK_SECRET", headers_env={"authorization": "HOOK_AUTH"})
    artifact = pushed(models[0], place, tmp_path, as_of="2026-03-01")
    pushed(models[0], place, tmp_path, as_of="2026-03-01")
    pushed(models[1], place, tmp_path, as_of="2026-03-01")
    headers, body = receiver.got[0]
    assert json.loads(body)["type"] == "model.pushed"
    assert json.loads(body)["data"]["digest"] == models[0].digest
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["authorization"] == "Bearer hidden"
    ids = [headers["webhook-id"] for headers, _ in receiver.got]
    assert ids[0] == ids[1] != ids[2]
    assert artifact.pushed == 1
    told = capsys.readouterr().out + str(artifact) + json.dumps(dict(place))
    for secret in ("whsec_", "hidden"):
        assert secret not in told
    assert "secret-path" not in str(artifact)


def test_tries_again_and_waits_as_asked(models: list[Model], receiver: Receiver) -> None:
    receiver.answers = [(503, {"retry-after": "7"}), (429, {}), (200, {})]
    waited: list[float] = []
    _, _, reason = webhook.tell(Webhook(url=receiver.url), models[0], as_of="", pause=waited.append)
    assert waited == [7.0, 1.0]
    assert "(try 3)" in reason
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


def test_refused_unreachable_and_elsewhere(models: list[Model], receiver: Receiver) -> None:
    receiver.answers = [(400, {})]
    with pytest.raises(PermanentError, match="answered 400"):
        webhook.tell(Webhook(url=receiver.url), models[0], as_of="")
    receiver.answers = [(307, {"location": "http://127.0.0.1:1/"})]
    with pytest.raises(PermanentError, match="answered 307"):
        webhook.tell(Webhook(url=receiver.url), models[0], as_of="")
    waited: list[float] = []
    with pytest.raises(TransientError, match="not delivered in 3 tries"):
        webhook.tell(
            Webhook(url="http://127.0.0.1:1/x", attempts=3), models[0], as_of="", pause=waited.append
        )
    assert waited == [0.5, 1.0]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (Webhook(), "no http or https URL"),
        (Webhook(url="ftp://host/x"), "no http or https URL"),
        (Webhook(url="https://user:word@host/x"), "must not carry a password"),
        (Webhook(url_env="NOT_SET"), "NOT_SET, which is not set"),
        (Webhook(url="http://h", secret_env="NOT_SET"), "NOT_SET, which is not set"),
        (Webhook(url="http://h", headers_env={"x": "NOT_SET"}), "NOT_SET, which is not set"),
    ],
)
def test_webhook_mistakes(models: list[Model], tmp_path: Path, place: Webhook, message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        pushed(models[0], place, tmp_path)
    assert "word" not in str(raised.value).replace("password", "")


# --- MLflow ---------------------------------------------------------------------------------------


def test_without_mlflow(models: list[Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc", None)
    with pytest.raises(PermanentError, match="needs the Python module mlflow") as raised:
        pushed(models[0], MlflowRegistry(name="taxi"), tmp_path)
    assert "tidemill[mlflow]" in raised.value.hint


PYTHON = os.environ.get("TIDEMILL_MLFLOW_PYTHON", "")
MLFLOW = """
import sys
from pathlib import Path
import mlflow
from tidemill.components.pusher.executor import run
from tidemill.storage.manifest import seal
from tidemill.types.destination import MlflowRegistry
from tidemill.types.standard import Model, PushedModel

folder = Path(sys.argv[1])
uri = f"sqlite:///{folder}/mlflow.db"
mlflow.MlflowClient(tracking_uri=uri).create_experiment("tidemill", artifact_location=str(folder / "runs"))

def push(number, as_of, **more):
    place = folder / f"model-{number}"
    out = PushedModel(path=folder / "out")
    model = Model(path=place, uri=str(place), digest=seal(place).digest)
    run(model=model, pushed_model=out, destination=MlflowRegistry(name="taxi", tracking_uri=uri), as_of=as_of,
        **more)
    client = mlflow.MlflowClient(tracking_uri=uri)
    return out.pushed_version, str(client.get_model_version_by_alias("taxi", "champion").version), out.reason

assert push(0, "2026-03-01")[:2] == ("1", "1")
assert push(1, "2026-03-02")[:2] == ("2", "2")
assert push(1, "2026-03-02")[:2] == ("2", "2"), "the same bytes are one version"
version, champion, reason = push(0, "2026-03-01")
assert (version, champion) == ("1", "2") and "stays at version 2" in reason
assert push(0, "2026-03-01", force=True)[:2] == ("1", "1")
assert push(1, "2026-03-03")[:2] == ("2", "2")
found = mlflow.MlflowClient(tracking_uri=uri).get_model_version("taxi", "2")
assert found.tags["tidemill.digest"] == seal(folder / "model-1").digest
assert found.tags["tidemill.as_of"] == "2026-03-03"
"""


@pytest.mark.skipif(not PYTHON, reason="TIDEMILL_MLFLOW_PYTHON names no interpreter with mlflow and tidemill")
def test_a_real_registry(models: list[Model], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = subprocess.run([PYTHON, "-c", MLFLOW, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
