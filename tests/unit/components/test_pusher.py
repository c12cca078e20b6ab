"""Pusher: whole or not at all, also when killed at any step; dates, repeats, pruning, refusals."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tidemill.components.pusher.destination import current, push, read_pointer, versions
from tidemill.components.pusher.executor import run
from tidemill.errors import DataError, StorageError
from tidemill.storage import versions as destination
from tidemill.storage.manifest import damage, seal
from tidemill.types.standard import InfraBlessing, Model, ModelBlessing, PushedModel


def model_of(folder: Path, text: str) -> Model:
    """A published model: files and the launcher's manifest."""
    (folder / "deep").mkdir(parents=True)
    (folder / "model.json").write_text(text)
    (folder / "deep" / "weights.txt").write_text(text * 3)
    return Model(path=folder, digest=seal(folder).digest)


@pytest.fixture
def models(tmp_path: Path) -> list[Model]:
    return [model_of(tmp_path / f"model-{i}", f"model {i}") for i in range(4)]


def pushed(model: Model, place: Path, tmp_path: Path, **parameters: Any) -> PushedModel:
    output = tmp_path / "output"
    output.mkdir(exist_ok=True)
    artifact = PushedModel(path=output, uri=str(output))
    run(model=model, pushed_model=artifact, destination=str(place), **parameters)
    return artifact


def content(folder: Path | None) -> str:
    assert folder is not None
    assert damage(folder, deep=True) == ""
    return (folder / "model.json").read_text()


def test_a_push_and_the_next(models: list[Model], tmp_path: Path) -> None:
    place = tmp_path / "serving"
    first = pushed(models[0], place, tmp_path, as_of="2026-03-01")
    assert (first.pushed, first.pushed_version) == (1, "2026-03-01-1")
    assert first.uri == first.pushed_destination == str(place / "versions" / "2026-03-01-1")
    assert seal(Path(first.uri)).digest == models[0].digest
    assert content(current(place)) == "model 0"
    second = pushed(models[1], place, tmp_path, as_of="2026-03-02")
    assert second.pushed_version == "2026-03-02-2"
    assert content(current(place)) == "model 1"
    assert content(Path(first.uri)) == "model 0"
    assert list((place / ".pending").iterdir()) == []


def test_the_same_bytes_are_one_version(models: list[Model], tmp_path: Path) -> None:
    place = tmp_path / "serving"
    versions_of = [pushed(models[i], place, tmp_path).pushed_version for i in (0, 0, 1, 0)]
    assert versions_of == ["1", "1", "2", "1"]
    assert versions(place) == ["1", "2"]
    assert content(current(place)) == "model 0"
    assert "already" in str(pushed(models[0], place, tmp_path).reason)


def test_a_damaged_version_is_not_reused(models: list[Model], tmp_path: Path) -> None:
    place = tmp_path / "serving"
    first = pushed(models[0], place, tmp_path)
    (Path(first.uri) / "model.json").unlink()
    assert pushed(models[0], place, tmp_path).pushed_version == "2"
    assert content(current(place)) == "model 0"


def test_current_never_moves_to_an_older_date(models: list[Model], tmp_path: Path) -> None:
    place = tmp_path / "serving"
    pushed(models[0], place, tmp_path, as_of="2026-03-05")
    late = pushed(models[1], place, tmp_path, as_of="2026-03-04")
    assert (late.pushed, late.pushed_version) == (1, "2026-03-04-2")
    assert "2026-03-05-1 stays current" in str(late.reason)
    assert content(current(place)) == "model 0"
    pushed(models[2], place, tmp_path, as_of="2026-03-05")
    assert content(current(place)) == "model 2"
    pushed(models[1], place, tmp_path, as_of="2026-03-04", force=True)
    assert content(current(place)) == "model 1"


def test_old_bytes_pushed_for_a_new_date_carry_the_new_date(models: list[Model], tmp_path: Path) -> None:
    place = tmp_path / "serving"
    for model, date in ((0, "2026-03-01"), (1, "2026-03-02"), (0, "2026-03-03")):
        pushed(models[model], place, tmp_path, as_of=date)
    pointer = read_pointer(place)
    assert pointer is not None
    assert (pointer.version, pointer.as_of) == ("2026-03-01-1", "2026-03-03")
    pushed(models[2], place, tmp_path, as_of="2026-03-02")
    assert content(current(place)) == "model 0"


@pytest.mark.parametrize(
    ("blessings", "reason"),
    [
        ({"blessing": ModelBlessing(custom_properties={"blessed": 0, "reason": "auc is low"})}, "auc is low"),
        ({"blessing": ModelBlessing()}, "not blessed"),
        (
            {
                "blessing": ModelBlessing(custom_properties={"blessed": 1}),
                "infra_blessing": InfraBlessing(custom_properties={"blessed": 0}),
            },
            "could not be served",
        ),
    ],
)
def test_what_is_not_blessed_leaves_no_trace(
    models: list[Model], tmp_path: Path, blessings: dict[str, Any], reason: str
) -> None:
    place = tmp_path / "serving"
    refused = pushed(models[0], place, tmp_path, **blessings)
    assert refused.pushed == 0
    assert reason in str(refused.reason)
    assert refused.uri == str(tmp_path / "output")
    assert not place.exists()


def test_blessed_models_are_pushed(models: list[Model], tmp_path: Path) -> None:
    good = ModelBlessing(custom_properties={"blessed": 1})
    fine = InfraBlessing(custom_properties={"blessed": 1})
    assert pushed(models[0], tmp_path / "s", tmp_path, blessing=good, infra_blessing=fine).pushed == 1


def test_pruning_keeps_the_newest_and_the_current(models: list[Model], tmp_path: Path) -> None:
    place = tmp_path / "serving"
    pushed(models[0], place, tmp_path, as_of="2026-03-09")
    for i in (1, 2, 3):
        pushed(models[i], place, tmp_path, as_of=f"2026-03-0{i}", keep=2)
    assert versions(place) == ["2026-03-09-1", "2026-03-03-4"]
    assert content(current(place)) == "model 0"
    pushed(models[1], place, tmp_path, as_of="2026-03-10", keep=1)
    assert versions(place) == ["2026-03-10-5"]
    assert list((place / ".pending").iterdir()) == []


@pytest.mark.parametrize("broken", ["copyfile", "replace", "rename"])
def test_a_full_disk_leaves_no_trace(
    models: list[Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    place = tmp_path / "serving"
    pushed(models[0], place, tmp_path)
    before = listing(place)

    def full(*args: Any, **kwargs: Any) -> Any:
        if broken == "copyfile":
            Path(args[1]).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil if broken == "copyfile" else Path, broken, full)
        with pytest.raises(StorageError, match="disk is full") as raised:
            pushed(models[1], place, tmp_path)
    assert "free space" in raised.value.hint
    assert content(current(place)) == "model 0"
    assert listing(place) == before
    assert pushed(models[1], place, tmp_path).pushed == 1
    assert content(current(place)) == "model 1"


def test_an_error_after_the_switch_does_not_take_the_served_version_away(
    models: list[Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "serving"
    pushed(models[0], place, tmp_path)
    original = destination._sync

    def fail(folder: Path) -> None:
        if folder == place:
            raise OSError(errno.EIO, "Input/output error")
        original(folder)

    with monkeypatch.context() as patch:
        patch.setattr(destination, "_sync", fail)
        with pytest.raises(StorageError, match="cannot write"):
            pushed(models[1], place, tmp_path)
    assert content(current(place)) == "model 1"


def listing(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*"))


KILLER = """
import os, signal, sys
from pathlib import Path
from tidemill.components.pusher.destination import push

source, place, keep = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
state = {"left": 0}

STEPS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.copyfile")

def hook(event, arguments):
    if state["left"] and event in STEPS:
        if any(str(place) in str(a) for a in arguments) or event in ("os.remove", "os.rmdir"):
            state["left"] -= 1
            if not state["left"]:
                os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
import shutil
steps = 0
while True:
    steps += 1
    scratch = Path(f"{place}-{steps}")
    shutil.copytree(place, scratch)
    child = os.fork()
    if child == 0:
        state["left"] = steps
        place = scratch
        push(source, scratch, keep=keep)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(steps, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)
    if not os.WIFSIGNALED(status):
        break
"""


@pytest.mark.parametrize("keep", [1, 10])
def test_killed_at_any_step_the_old_version_serves_and_a_rerun_heals(
    models: list[Model], tmp_path: Path, keep: int
) -> None:
    place = tmp_path / "serving"
    push(models[0].path, place)
    arguments = [str(models[1].path), str(place), str(keep)]
    done = subprocess.run(
        [sys.executable, "-c", KILLER, *arguments], check=True, capture_output=True, text=True
    )
    outcomes = [line.split() for line in done.stdout.splitlines()]
    assert len(outcomes) > 20
    assert outcomes[-1][1] == "0"
    seen = set()
    for step, _ in outcomes:
        scratch = Path(f"{place}-{step}")
        served = content(current(scratch))
        seen.add(served)
        assert served in ("model 0", "model 1")
        for name in versions(scratch):
            content(scratch / "versions" / name)
        healed = push(models[1].path, scratch, keep=keep)
        assert content(current(scratch)) == "model 1"
        assert healed.version == "2"
        assert versions(scratch) == (["2"] if keep == 1 else ["1", "2"])
        assert list((scratch / ".pending").iterdir()) == []
    assert seen == {"model 0", "model 1"}


def test_two_pushers_at_once_take_turns(models: list[Model], tmp_path: Path) -> None:
    place = tmp_path / "serving"
    start = threading.Barrier(8)
    made: list[str] = []

    def work(i: int) -> None:
        start.wait()
        made.append(push(models[i % 4].path, place).version)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == ["1", "1", "2", "2", "3", "3", "4", "4"]
    assert {content(place / "versions" / name) for name in versions(place)} == {
        f"model {i}" for i in range(4)
    }
    content(current(place))


def test_a_name_taken_without_the_lock_is_passed_over(
    models: list[Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "serving"
    pushed(models[0], place, tmp_path)
    monkeypatch.setattr("tidemill.storage.versions.versions", lambda place: [])
    assert pushed(models[1], place, tmp_path).pushed_version == "2"
    assert content(place / "versions" / "1") == "model 0"


def test_foreign_folders_are_left_alone(models: list[Model], tmp_path: Path) -> None:
    place = tmp_path / "serving"
    (place / "versions" / "notes").mkdir(parents=True)
    assert pushed(models[0], place, tmp_path, keep=1).pushed_version == "1"
    assert (place / "versions" / "notes").is_dir()


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"as_of": "03/01/2026"}, DataError, "is not a date"),
        ({"as_of": "20260301"}, DataError, "is not a date"),
        ({"keep": 0}, DataError, "keep no version"),
    ],
)
def test_mistakes(
    models: list[Model], tmp_path: Path, parameters: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        pushed(models[0], tmp_path / "serving", tmp_path, **parameters)


def test_impossible_places_and_models(models: list[Model], tmp_path: Path) -> None:
    artifact = PushedModel(path=tmp_path)
    with pytest.raises(StorageError, match="no destination"):
        run(model=models[0], pushed_model=artifact, destination="")
    with pytest.raises(StorageError, match="not on a local disk"):
        run(model=models[0], pushed_model=artifact, destination="s3://bucket/serving")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        run(model=models[0], pushed_model=artifact, destination=str(tmp_path / "file"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no files"):
        run(model=Model(path=tmp_path / "empty"), pushed_model=artifact, destination=str(tmp_path / "s"))
    (models[0].path / "link").symlink_to("model.json")
    with pytest.raises(StorageError, match="symbolic link"):
        pushed(models[0], tmp_path / "s", tmp_path)
    assert versions(tmp_path / "s") == []


def test_a_damaged_pointer_is_an_error_not_a_guess(models: list[Model], tmp_path: Path) -> None:
    place = tmp_path / "serving"
    pushed(models[0], place, tmp_path)
    (place / "current.json").write_text(json.dumps({"version": "1"}))
    with pytest.raises(StorageError, match="damaged"):
        pushed(models[1], place, tmp_path)
    assert versions(place) == ["1"]
