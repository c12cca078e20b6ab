"""A served destination: the next version takes over without a lost request, a bad one never."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidemill.errors import DataError, StorageError
from tidemill.models import load_model
from tidemill.serving import hosting
from tidemill.serving.hosting import WARMUP, Host, open_version, warmup_line
from tidemill.storage.manifest import seal
from tidemill.storage.versions import push, rollback

PREDICT = "/v1/models/taxi:predict"


def quiet(event: str, **what: Any) -> None:
    """A log that nobody reads."""


def test_the_next_version_is_served_without_a_lost_request(
    made_models: list[Path], tmp_path: Path, serve: Callable[..., Any], row: dict[str, Any]
) -> None:
    place = tmp_path / "serving"
    push(made_models[0], place)
    server, client = serve(place)
    about = client.get("/v2/models/taxi").json
    assert about["versions"] == ["1"]
    expected = []
    for folder in made_models:
        found = {n: v[0].item() for n, v in load_model(folder).predict_rows([_typed(row)]).items()}
        expected.append(found)
    swapped, failed, seen = threading.Event(), [], []

    def ask(number: int) -> None:
        own = type(client)(server.address)
        after = 0
        while after < 20:  # until well after the swap
            answer = own.post(PREDICT, {"instances": [row]})
            if answer.status != 200:
                failed.append(answer)
                return
            found = answer.json["predictions"][0]
            seen.append(found)
            after += swapped.is_set() and found == expected[1]
        own.connection.close()

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    assert push(made_models[1], place).version == "2"
    server.host.look()
    swapped.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not failed
    assert all(found in expected for found in seen)
    assert expected[1] in seen
    assert client.get("/v2/models/taxi").json["versions"] == ["2"]
    assert client.get("/v2/models/taxi/versions/1").status == 404
    rollback(place)
    server.host.look()
    assert client.post(PREDICT, {"instances": [row]}).json["predictions"][0] == expected[0]


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    import datetime as dt

    return {**row, "start": dt.datetime.fromisoformat(row["start"])}


def test_followed_by_itself(
    made_models: list[Path], tmp_path: Path, serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting, "LOOK_SECONDS", 0.01)
    (tmp_path / "serving" / "versions").mkdir(parents=True)
    server, client = serve(tmp_path / "serving")
    assert client.get("/v2/health/live").status == 200
    assert client.get("/v2/health/ready").status == 503
    waiting = client.post(PREDICT, {"instances": [{}]})
    assert (waiting.status, waiting.json["code"]) == (503, "NOT_READY")
    loaded = threading.Event()
    monkeypatch.setattr(server.host, "_log", lambda event, **_: loaded.set())
    push(made_models[0], tmp_path / "serving")
    assert loaded.wait(60)
    assert client.get("/v2/health/ready").status == 200


def test_a_damaged_version_is_not_served(made_models: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "serving"
    push(made_models[0], place)
    said: list[tuple[str, dict[str, Any]]] = []
    host = Host(place, lambda event, **what: said.append((event, what)))
    assert host.refresh()
    assert not host.refresh()
    push(made_models[1], place)
    payload = place / "versions" / "2" / "model.txt"
    payload.write_text(payload.read_text().replace("tree", "bush", 1))
    host.look()
    assert host.current is not None
    assert (host.current.version, host.failures) == ("1", 1)
    assert said[-1][0] == "cannot load"
    assert "damaged" in said[-1][1]["error"]
    host.look()
    assert host.failures == 1, "it is left alone for a while"


def test_a_version_with_another_digest_and_a_broken_pointer(made_models: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "serving"
    push(made_models[0], place)
    with pytest.raises(DataError, match="not the one that was pushed"):
        open_version(place / "versions" / "1", "1", "0" * 64)
    (place / "current.json").write_text("{")
    with pytest.raises(StorageError, match="damaged"):
        Host(place, quiet).refresh()


@pytest.mark.parametrize(
    ("name", "message"), [("nothing", "does not exist"), ("empty", "is empty"), ("full", "has no model.json")]
)
def test_places_that_are_none(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(StorageError, match=message):
        Host(tmp_path / name, quiet)


def test_a_model_that_needs_code_is_refused(model_folder: Path) -> None:
    path = model_folder / "model.json"
    described = json.loads(path.read_text())
    path.write_text(json.dumps({**described, "flavor": "pickle", "payload": {"file": "model.txt"}}))
    seal(model_folder)
    with pytest.raises(DataError, match="pickle"):
        open_version(model_folder, "1", "")


def test_warming_up(model_folder: Path, row: dict[str, Any]) -> None:
    (model_folder / WARMUP).write_text(warmup_line([row]) + warmup_line([row, row]))
    seal(model_folder)
    assert open_version(model_folder, "1", "").seconds > 0
    (model_folder / WARMUP).write_text('{"instances": 1}\n')
    seal(model_folder)
    with pytest.raises(DataError, match="is damaged: instances is not a list"):
        open_version(model_folder, "1", "")
    (model_folder / WARMUP).write_text(warmup_line([{"fare": 1.0}]))
    seal(model_folder)
    with pytest.raises(DataError, match="has no 'miles'"):
        open_version(model_folder, "1", "")


def test_a_model_that_raises_is_an_answer(
    made_models: list[Path], serve: Callable[..., Any], row: dict[str, Any]
) -> None:
    server, client = serve(made_models[0])
    assert server.host.current is not None

    def fail(rows: Any) -> Any:
        raise ZeroDivisionError("secret detail")

    server.host.current.model.predict_rows = fail
    answer = client.post(PREDICT, {"instances": [row]})
    assert (answer.status, answer.json["code"]) == (500, "MODEL")
    assert "secret" not in answer.body.decode()
    assert client.get("/v2/health/live").status == 200
