"""Artifacts behind remote URIs: made here, kept there, fetched elsewhere; half of one does not exist."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tidemill.errors import StorageError
from tidemill.storage import holds, manifest, mirror
from tidemill.storage.shelf import shelf


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine's mirror."""
    folder = tmp_path / "mirror"
    monkeypatch.setenv(holds.FOLDER, str(folder))
    return folder


@pytest.fixture
def uri(here: Path) -> Iterator[str]:
    """A sealed artifact with files in folders, kept in a store of this process."""
    bucket = f"memory://{uuid.uuid4().hex}"
    found = f"{bucket}/root/model/7/out"
    folder = mirror.place(found)
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "weights.bin").write_bytes(b"w" * 1000)
    (folder / "a name with spaces #1.txt").write_text("text")
    (folder / "empty").write_bytes(b"")
    manifest.seal(folder)
    mirror.keep(found)
    yield found
    fsspec.filesystem("memory").rm(bucket, recursive=True)


def elsewhere(here: Path) -> None:
    """From now on this is another machine."""
    shutil.rmtree(here)


def test_local_uris_are_what_they_were(here: Path, tmp_path: Path) -> None:
    assert mirror.place(str(tmp_path)) == tmp_path
    assert mirror.fetched(f"file://{tmp_path}") == tmp_path
    mirror.keep(str(tmp_path / "nothing"))
    assert not here.exists()


@pytest.mark.parametrize("bad", ["s3://bucket/a/../b", "s3://bucket//a", "s3://..", "s3://", "s3://a/\0"])
def test_a_uri_leads_nowhere_else(here: Path, bad: str) -> None:
    with pytest.raises(StorageError):
        mirror.place(bad)


def test_what_was_kept_is_the_same_elsewhere(here: Path, uri: str) -> None:
    made = manifest.read(mirror.place(uri))
    assert made is not None
    elsewhere(here)
    folder = mirror.fetched(uri, made.digest)
    assert folder == mirror.place(uri)
    assert manifest.read(folder) == made
    assert manifest.damage(folder, deep=True) == ""
    assert mirror.damage(uri, made.digest, deep=True) == ""
    assert mirror.listed(uri) == made
    assert mirror.size_of(uri) > made.size
    assert [p.name for p in folder.parent.iterdir()] == ["out"], "nothing half is left beside it"


def test_it_is_fetched_once(here: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = manifest.survey(mirror.place(uri)).digest
    monkeypatch.setattr(mirror, "file_system", None)  # any question to the store would fail
    assert mirror.fetched(uri, digest).is_dir()


def test_a_mirror_that_was_damaged_is_mended(here: Path, uri: str) -> None:
    (mirror.place(uri) / "deep" / "er" / "weights.bin").unlink()
    assert (mirror.fetched(uri) / "deep" / "er" / "weights.bin").read_bytes() == b"w" * 1000


def test_what_is_gone_or_changed_is_said(here: Path, uri: str) -> None:
    store, digest = fsspec.filesystem("memory"), manifest.survey(mirror.place(uri)).digest
    elsewhere(here)
    with pytest.raises(StorageError, match="other bytes"):
        mirror.fetched(uri, "0" * 64)
    weights = f"{uri}/deep/er/weights.bin"
    store.pipe_file(weights, b"x" * 1000)
    assert mirror.damage(uri, digest) == "", "sizes do not tell"
    assert "other bytes" in mirror.damage(uri, digest, deep=True)
    with pytest.raises(StorageError, match="other bytes") as caught:
        mirror.fetched(uri, digest)
    assert caught.value.where == weights
    assert not mirror.place(uri).exists()
    store.pipe_file(weights, b"x")
    assert "has 1 bytes instead of 1000" in mirror.damage(uri)
    store.rm(weights)
    assert mirror.damage(uri) == f"{weights} is gone"
    with pytest.raises(StorageError, match="cannot fetch it: FileNotFoundError"):
        mirror.fetched(uri)
    store.rm(f"{uri}/{manifest.NAME}")
    assert mirror.damage(uri) == f"{uri} is gone"
    assert mirror.listed(uri) is None
    with pytest.raises(StorageError, match="no manifest"):
        mirror.fetched(uri)


def test_the_manifest_is_kept_last(here: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a process that dies in between has kept nothing that anybody would find."""
    other = uri.replace("/7/", "/8/")
    shutil.copytree(mirror.place(uri), mirror.place(other))
    asked: list[str] = []
    memory = fsspec.filesystem("memory")
    put = memory.put

    def dying(sources: list[str], targets: list[str], **more: Any) -> None:
        asked.extend(targets)
        if targets[0].endswith(manifest.NAME):
            raise OSError("the connection is lost")
        put(sources, targets, **more)

    monkeypatch.setattr(memory, "put", dying)
    with pytest.raises(StorageError, match="the connection is lost"):
        mirror.keep(other)
    assert asked[-1] == f"{other}/{manifest.NAME}"
    assert len(asked) == 4
    assert mirror.damage(other) == f"{other} is gone"


def test_nothing_unsealed_is_kept(here: Path, uri: str) -> None:
    other = uri.replace("/7/", "/8/")
    mirror.place(other).mkdir(parents=True)
    with pytest.raises(StorageError, match="not sealed"):
        mirror.keep(other)


def test_single_files(here: Path, uri: str) -> None:
    log = uri.replace("/model/7/out", "/logs/run/node.0.1.log")
    mirror.place(log).parent.mkdir(parents=True, exist_ok=True)
    mirror.place(log).write_text("printed")
    mirror.keep(log)
    elsewhere(here)
    found = shelf(log, mirror.place(log))
    assert found.read(None, 0, found.size()) == b"printed"
    assert mirror.folders(uri.removesuffix("/model/7/out")) == ["logs", "model"]
    assert mirror.folders(f"{uri}/no/such") == []


def test_removal(here: Path, uri: str) -> None:
    mirror.remove(uri)
    mirror.remove(uri)
    assert not mirror.place(uri).exists()
    assert mirror.damage(uri) == f"{uri} is gone"


def test_a_scheme_without_a_library(here: Path) -> None:
    with pytest.raises(StorageError, match="no support for nosuch"):
        mirror.fetched("nosuch://bucket/a")


def test_where_the_mirror_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(holds.FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert mirror.place("s3://b/k") == tmp_path / "cache" / "tidemill" / "mirror" / "s3" / "b" / "k"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert mirror.place("s3://b/k").parts[-5:] == (f"tidemill-{os.getuid()}", "mirror", "s3", "b", "k")
