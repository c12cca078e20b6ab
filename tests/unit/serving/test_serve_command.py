"""`tidemill serve` and `tidemill models` as processes; the server loads nothing that runs users' code."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tidemill.metadata.sql import open_store
from tidemill.storage.versions import push, read_pointer
from tidemill.testing.store_stories import end_node, start_run

PREDICT = "/v1/models/taxi:predict"


def start(*words: str, folder: Path | None = None, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tidemill.cli.main", *words], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, cwd=folder, env={**os.environ, **env},
    )  # fmt: skip


def tidemill(*words: str, folder: Path | None = None) -> tuple[int, str, str]:
    process = start(*words, folder=folder)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@contextmanager
def serving(client_of: Any, *words: str, folder: Path | None = None) -> Iterator[tuple[Any, Any]]:
    """A server as a process, and a client of it."""
    process = start("serve", *words, "--port", "0", "--name", "taxi", folder=folder)
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        assert line.startswith("serving http://127.0.0.1:"), process.communicate(timeout=60)[1]
        yield process, client_of(line.split()[1])
    finally:
        process.kill()
        process.communicate()


def test_a_folder_is_served_until_sigterm_and_its_requests_answered(
    made_models: list[Path], client_of: Any, row: dict[str, Any]
) -> None:
    with serving(client_of, str(made_models[0])) as (process, client):
        alone = client.post(PREDICT, {"instances": [row]}).json["predictions"]
        many = json.dumps({"instances": [row] * 40_000})
        other = client_of(client.address)
        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.append(other.post(PREDICT, many)))
        asking.start()
        while not answers and "under_way 1.0" not in client.get("/metrics").body.decode():
            pass  # until the server is at work on it
        process.send_signal(signal.SIGTERM)
        asking.join(60)
        assert answers[0].status == 200
        assert answers[0].json["predictions"] == alone * 40_000
        process.wait(60)
        assert process.returncode == 0


def test_an_artifact_of_the_record(made_models: list[Path], tmp_path: Path, client_of: Any) -> None:
    from tidemill.metadata.model import Artifact

    store = open_store(str(tmp_path / "metadata.db"))
    start_run(store, "r1")
    made = Artifact(id=0, type="Model", uri=str(made_models[0]))
    end_node(store, "r1", "train", outputs={"model": [made]})
    (found,) = store.get_artifacts(type="Model")
    store.close()
    with serving(client_of, str(found.id), "--root", str(tmp_path)) as (_, client):
        assert client.get("/v2/models/taxi").json["versions"] == [str(found.id)]
    code, _, err = tidemill("serve", "99", "--root", str(tmp_path))
    assert (code, "there is no artifact 99" in err) == (4, True)


def test_refusals(made_models: list[Path], model_folder: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, _, err = tidemill("serve", str(made_models[0]), "--port", port)
        assert (code, f"cannot listen on 127.0.0.1:{port}" in err) == (3, True)
    (model_folder / "model.txt").write_text("tree")
    code, _, err = tidemill("serve", str(model_folder), "--port", "0")
    assert (code, "the model is damaged" in err, "Traceback" in err) == (1, True, False)
    code, _, err = tidemill("serve", str(tmp_path / "none"))
    assert (code, "there is no folder" in err) == (3, True)


def test_models_are_listed_and_rolled_back(made_models: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "serving"
    for model in made_models:
        push(model, place)
    code, out, _ = tidemill("models", "rollback", str(place), "--reason", "too slow", "--by", "ann")
    assert (code, out) == (0, "version 1 is current, 2 was: too slow\n")
    pointer = read_pointer(place)
    assert pointer is not None
    assert pointer.version == "1"
    code, out, _ = tidemill("models", "list", str(place), "--json")
    listed = json.loads(out)
    assert [(v["version"], v["state"]) for v in listed["versions"]] == [("1", "current"), ("2", "withdrawn")]
    last = listed["changes"][-1]
    assert (last["action"], last["version"], last["before"]) == ("rollback", "1", "2")
    assert (last["by"], last["reason"]) == ("ann", "too slow")
    code, _, err = tidemill("models", "rollback", str(place), "--to", "3")
    assert (code, "there is no version '3'" in err) == (3, True)
    code, _, err = tidemill("models", "list", str(tmp_path))
    assert (code, "not a folder that Pusher pushed to" in err) == (3, True)


SCRIPT = """
import json, sys, urllib.request
from pathlib import Path
from tidemill.serving.server import ModelServer
seen = []

def hook(event, arguments):
    if event in ("pickle.find_class", "os.system", "subprocess.Popen"):
        seen.append([event, str(arguments)[:200]])

sys.addaudithook(hook)
server = ModelServer(Path(sys.argv[1]))
server.start()
server.load()
body = json.dumps({"instances": [json.loads(sys.argv[2])]}).encode()
for _ in range(2):
    urllib.request.urlopen(f"{server.address}/v1/models/model:predict", body).read()
server.stop()
rooms = sorted({name.split(".")[1] for name in sys.modules if name.startswith("tidemill.")})
print(json.dumps([seen, "userland" in sys.modules, rooms, "sklearn" in sys.modules, "polars" in sys.modules]))
"""


def test_a_server_is_far_from_what_runs_code(model_folder: Path, tmp_path: Path, row: dict[str, Any]) -> None:
    """A module beside the model, and one that the manifest names, are not imported."""
    for folder in (tmp_path, model_folder):
        (folder / "userland.py").write_text("raise SystemExit('imported')")
    described = json.loads((model_folder / "model.json").read_text())
    changed = {**described, "run_fn": "userland:run_fn", "details": {"loader_module": "userland"}}
    (model_folder / "model.json").write_text(json.dumps(changed))
    (model_folder / ".manifest.json").unlink()
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(model_folder), json.dumps(row)],
                          capture_output=True, text=True, timeout=120, cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen, imported, rooms, sklearn, polars = json.loads(done.stdout)
    assert (seen, imported) == ([], False)
    assert set(rooms) <= {"errors", "types", "storage", "data", "models", "listener", "serving"}
    assert (sklearn, polars) == (False, False), "a server that answers few rows needs neither"


CLIENT = """
import sys
import numpy as np
import tritonclient.http as triton

address, binary = sys.argv[1], sys.argv[2] == "binary"
client = triton.InferenceServerClient(address)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("taxi")
assert client.get_server_metadata()["name"] == "tidemill"
kinds = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": np.object_}
inputs = []
for tensor in client.get_model_metadata("taxi")["inputs"]:
    value = {"fare": 12.5, "miles": 3.25, "hour": 17, "company": "Blue", "cash": True,
             "start": 1772384700000000}[tensor["name"]]
    given = triton.InferInput(tensor["name"], [2], tensor["datatype"])
    given.set_data_from_numpy(np.array([value] * 2, dtype=kinds[tensor["datatype"]]), binary_data=binary)
    inputs.append(given)
wanted = [triton.InferRequestedOutput(n, binary_data=binary) for n in ("probability", "prediction")]
for outputs in (wanted, None):
    result = client.infer("taxi", inputs, outputs=outputs, request_id="42")
    assert result.get_response()["id"] == "42"
    print(result.as_numpy("probability")[1], result.as_numpy("prediction")[0])
try:
    client.infer("taxi", inputs[1:])
except triton.InferenceServerException as error:
    assert "which the model asks for" in str(error), error
else:
    raise SystemExit("a missing input was accepted")
"""
PYTHON = os.environ.get("TIDEMILL_TRITON_PYTHON", "")


@pytest.mark.skipif(not PYTHON, reason="TIDEMILL_TRITON_PYTHON names no interpreter with tritonclient[http]")
@pytest.mark.parametrize("form", ["json", "binary"])
def test_a_client_of_others(made_models: list[Path], serve: Any, row: dict[str, Any], form: str) -> None:
    server, client = serve(made_models[0])
    done = subprocess.run([PYTHON, "-c", CLIENT, server.address.removeprefix("http://"), form],
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = client.post(PREDICT, {"instances": [row]}).json["predictions"][0]
    for line in done.stdout.splitlines():
        assert [float(word) for word in line.split()] == [expected["probability"], expected["prediction"]]
