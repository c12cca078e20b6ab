"""Engines that build images: which is taken, what it is told, what is made of its answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tidemill.errors import ImageError, RegistryError
from tidemill.images.engines import Order, build, find_engine
from tidemill.images.manifest import Platform
from tidemill.images.reference import parse

DIGEST = "sha256:" + "ab" * 32
ID = "sha256:" + "cd" * 32

# A client that only records, and answers as the real one does where it is told to write.
CLIENT = """#!{python}
import json, sys
words = sys.argv[1:]
with open({journal!r}, "a") as file:
    file.write(json.dumps([{name!r}, *words]) + "\\n")
if words[:2] in {absent!r} or words[:1] in {absent!r}:
    sys.exit("it is not running")
after = dict(zip(words, words[1:]))
facts = json.dumps({{"pipeline": {{"containerimage.digest": {digest!r}}}}})
for option, text in (("--iidfile", {id!r}), ("--digestfile", {digest!r}), ("--metadata-file", facts)):
    if option in after:
        open(after[option], "w").write(text)
if words[:2] == ["image", "inspect"]:
    names = ["other@" + {digest!r}, {name_of!r} + "@" + {digest!r}]
    print(json.dumps(names) if "Repo" in after["--format"] else {id!r})
elif words[:1] == ["push"] and {refuse!r}:
    sys.exit("denied")
else:
    print("ok")
"""


class Machine:
    """A PATH of our own with some clients on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.journal = folder, folder / "journal.jsonl"

    def put(self, name: str, *, absent: tuple[list[str], ...] = (), refuse: bool = False) -> None:
        text = CLIENT.format(
            python=sys.executable,
            journal=str(self.journal),
            name=name,
            absent=list(absent),
            id=ID,
            digest=DIGEST,
            name_of="127.0.0.1:5000/daily",
            refuse=refuse,
        )
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def told(self) -> list[list[str]]:
        return [json.loads(line) for line in self.journal.read_text().splitlines()]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Machine(folder)


def _order(tmp_path: Path, *, push: bool = True, base: str = "python:3.11-slim") -> Order:
    return Order(
        folder=tmp_path,
        name=parse("127.0.0.1:5000/daily:1"),
        base=parse(base),
        platform=Platform("linux", "amd64"),
        push=push,
    )


def test_the_first_that_answers_is_taken(machine: Machine) -> None:
    machine.put("buildah")
    assert find_engine() == "buildah"
    machine.put("docker", absent=(["buildx", "version"],))
    assert find_engine() == "docker"
    machine.put("docker")
    assert find_engine() == "buildx"
    assert find_engine("buildah") == "buildah"


def test_where_none_answers_each_is_told_with_its_reason(machine: Machine) -> None:
    machine.put("docker", absent=(["info"],))
    with pytest.raises(ImageError) as caught:
        find_engine()
    for part in (
        "buildx: it is not running",
        "docker: it is not running",
        "podman: not installed",
        "buildah: not",
    ):
        assert part in caught.value.message
    assert "--append" in caught.value.hint


def test_an_engine_that_nobody_knows_is_asked_back(machine: Machine) -> None:
    with pytest.raises(ImageError) as caught:
        find_engine("pod-man")
    assert caught.value.hint == "did you mean 'podman'?"


@pytest.mark.parametrize("engine", ["buildx", "docker", "podman", "buildah"])
def test_the_digest_is_that_of_the_registry(machine: Machine, tmp_path: Path, engine: str) -> None:
    machine.put("docker" if engine == "buildx" else engine)
    assert build(engine, _order(tmp_path)) == DIGEST
    assert build(engine, _order(tmp_path, push=False)) == ID
    text = " ".join(machine.told()[0])
    assert "127.0.0.1:5000/daily:1" in text
    assert ("--push" in machine.told()[0]) is (engine == "buildx")


@pytest.mark.parametrize("engine", ["podman", "buildah"])
def test_only_registries_of_this_machine_go_without_tls(
    machine: Machine, tmp_path: Path, engine: str
) -> None:
    machine.put(engine)
    build(engine, _order(tmp_path))
    build(engine, _order(tmp_path, base="127.0.0.1:5000/base:1"))
    building = [words for words in machine.told() if words[1] == "build"]
    assert ["--tls-verify=false" in words for words in building] == [False, True]
    assert all("--tls-verify=false" in words for words in machine.told() if words[1] == "push")
    assert all("--timestamp" in words for words in building)


def test_an_engine_that_fails_is_named(
    machine: Machine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.put("podman", refuse=True)
    with pytest.raises(RegistryError, match="podman could not push") as caught:
        build("podman", _order(tmp_path))
    assert "docker login 127.0.0.1:5000" in caught.value.hint
    assert "denied" in capfd.readouterr().err
    machine.put("podman", absent=(["build"],))
    with pytest.raises(RegistryError, match="podman could not build"):
        build("podman", _order(tmp_path))
