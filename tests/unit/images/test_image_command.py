"""`tidemill image` as its users run it, against registries: the small one of these tests, and Debian's."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from spec_registry import SpecRegistry

from tidemill.cli.workspace import load_code
from tidemill.errors import DefinitionError
from tidemill.images.registry import Registry

PIPELINE = """
from tidemill import component, pipeline
from mine.parts import double

@component
def fit(number: int = 3) -> dict:
    return {"twice": double(number)}

@pipeline
def daily(number: int = 3) -> None:
    fit(number=number)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "mine").mkdir(parents=True)
    (folder / "pipeline.py").write_text(PIPELINE)
    (folder / "mine" / "__init__.py").write_text("")
    (folder / "mine" / "parts.py").write_text("import yaml\n\ndef double(x):\n    return 2 * x\n")
    (folder / "mine" / "table.csv").write_text("a,b\n")
    (folder / "unrelated.py").write_text("import nothing\n")
    return folder


def _image(project: Path, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tidemill.cli.main", "image", "pipeline.py", *words], cwd=project, text=True,
        capture_output=True, check=False, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == expect, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def _append(project: Path, host: str, *words: str) -> dict[str, Any]:
    """With no packages: their wheels are another test's matter."""
    done = _image(
        project, "--append", f"{host}/base:1", "--push", f"{host}/team/daily:1", "--bare", "--json", *words
    )
    return dict(json.loads(done.stdout))


def test_the_same_input_gives_the_same_digest(project: Path, registry: SpecRegistry) -> None:
    registry.put_image("base", "1")
    first = _append(project, registry.host)
    for file in project.rglob("*"):
        os.utime(file, (1, 1))
    (project / "beside.txt").write_text("nobody asked for this")
    again = _append(project, registry.host, "--output", "elsewhere")
    assert first["image"] == again["image"] == f"{registry.host}/team/daily@{first['digest']}"
    manifest, config = registry.image("team/daily", "1")
    assert registry.image("team/daily", first["digest"]) == (manifest, config)
    assert config["config"]["Labels"]["tidemill.code"] == first["code"]
    assert config["config"]["User"] == "1000:0"
    (project / "mine" / "parts.py").write_text("def double(x):\n    return x + x\n")
    assert _append(project, registry.host)["digest"] != first["digest"]


def test_what_is_in_the_layer(project: Path, registry: SpecRegistry) -> None:
    registry.put_image("base", "1", media="docker")
    _append(project, registry.host)
    manifest, _ = registry.image("team/daily", "1")
    with tarfile.open(
        fileobj=io.BytesIO(registry.blobs["team/daily"][manifest["layers"][-1]["digest"]])
    ) as tar:
        names = set(tar.getnames())
    code = {
        name.removeprefix("opt/tidemill/code/") for name in names if name.startswith("opt/tidemill/code/")
    }
    assert code == {"pipeline.py", "mine", "mine/__init__.py", "mine/parts.py", "mine/table.csv"}
    assert {"opt/tidemill/site/tidemill/__init__.py", "opt/tidemill/home", "opt/tidemill/work"} <= names


def test_the_image_for_the_platform_is_taken_out_of_an_index(project: Path, registry: SpecRegistry) -> None:
    amd = registry.put_image("base", "amd", layers=(b"amd",))
    arm = registry.put_image("base", "arm", layers=(b"arm",), config={"architecture": "arm64"})
    registry.put_index("base", "1", {"linux/amd64": amd, "linux/arm64": arm})
    found = _append(project, registry.host, "--platform", "linux/arm64")
    assert found["base"].endswith(arm)
    words = ["--append", f"{registry.host}/base:amd", "--push", f"{registry.host}/x:1", "--bare"]
    done = _image(project, *words, "--platform", "linux/arm64", expect=2)
    assert "is for linux/amd64, not for linux/arm64" in done.stderr


def test_only_the_name_is_on_stdout(project: Path, registry: SpecRegistry) -> None:
    registry.put_image("base", "1")
    done = _image(project, "--append", f"{registry.host}/base:1", "--push", f"{registry.host}/d:1", "--bare")
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(f"{registry.host}/d@sha256:")
    written = _image(project)
    assert written.stdout == ""
    assert "no image yet" in written.stderr


def test_the_folder_is_written_and_names_what_the_code_needs(project: Path) -> None:
    facts = json.loads(_image(project, "--json", "--base", "mine:1").stdout)
    folder = project / "image" / "daily"
    assert facts["image"] is None
    assert "ARG BASE=mine:1" in (folder / "Dockerfile").read_text()
    packages = {line.partition("==")[0] for line in facts["packages"]}
    assert {"click", "fsspec", "rich", "pyyaml"} <= packages
    assert not {"polars", "pytest"} & packages
    assert (folder / "code" / "mine" / "table.csv").is_file()
    assert not (folder / "code" / "unrelated.py").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--append", "h.example/base:1"], 2, "--push REGISTRY/NAME:TAG"),
        (["--append", "h.example/b:1", "--build", "--push", "h.example/d:1"], 2, "choose"),
        (["--push", "h.example/d:1"], 2, "add --append BASE or --build"),
        (["--append", "python:3.11-slim", "--push", "h.example/d:1"], 2, "does not say which registry"),
        (["--append", "h.example/base:1", "--push", "h.example/Daily:1"], 2, "did you mean 'daily'"),
        (["--requirements", "absent.txt"], 2, "absent.txt cannot be read"),
        (["--no-index", "--vendor"], 2, "name a folder with --wheels"),
        (["--bare", "--extra", "data"], 2, "--bare takes no packages"),
        (["--extra", "dta"], 2, "did you mean 'data'?"),
        (["--include", "mine/tabel.csv"], 2, "there is no such file"),
        (["--build", "--engine", "dokcer"], 2, "did you mean 'docker'?"),
        (["--platform", "linux"], 2, "is no platform"),
        (["--vendor", "--wheels", "absent"], 2, "is no folder"),
    ],
)
def test_what_cannot_be_is_refused(project: Path, words: list[str], code: int, says: str) -> None:
    assert says in _image(project, *words, expect=code).stderr


def test_an_ir_has_no_code() -> None:
    with pytest.raises(DefinitionError, match="is an IR"):
        load_code("daily.json")


def test_a_secret_beside_the_code_is_refused(project: Path) -> None:
    (project / "mine" / ".env").write_text("PASSWORD=1")
    done = _image(project, "--json", expect=2)
    assert json.loads(done.stderr)["error"]["code"] == "IMAGE"
    assert "mine/.env" in done.stderr
    assert not (project / "image").exists()
    _image(project, "--exclude", ".env")


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's docker-registry on a free port."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed (Debian: apt-get install docker-registry)")
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    storage = f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}"
    (folder / "config.yml").write_text(
        f'version: 0.1\nlog: {{level: error}}\n{storage}\nhttp: {{addr: "{host}", secret: local}}\n'
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        _until_it_answers(host, process)
        yield host
    finally:
        process.terminate()
        process.wait()


def _until_it_answers(host: str, process: subprocess.Popen[bytes]) -> None:
    pause, end = threading.Event(), time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(host.rpartition(":")[2]))) == 0:
                return
        pause.wait(0.02)
    pytest.fail("docker-registry does not start")


def test_a_registry_that_others_wrote_takes_it_and_gives_it_back(
    project: Path, debian: str, registry: SpecRegistry
) -> None:
    registry.put_image("base", "1", layers=(b"one", b"two"))
    near, far = Registry(registry.host), Registry(debian)
    document = near.manifest("base", "1")
    for digest, data in registry.blobs["base"].items():
        far.bring("base", digest, len(data), near, "base")
    far.push_manifest("base", "1", document)
    assert far.manifest("base", "1") == document
    found = _append(project, debian)
    assert found["base_layers"] == {"mounted": 2}
    again = _append(project, debian)
    assert (again["digest"], again["base_layers"], again["sent"]) == (found["digest"], {"there": 2}, 0)
    assert _append(project, registry.host)["digest"] == found["digest"], "in any registry"
    assert far.manifest("team/daily", found["digest"]).body == far.manifest("team/daily", "1").body
