"""Manifests: what is sealed, what counts as damage, what a digest covers."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.errors import StorageError
from tidemill.storage import manifest

names = st.from_regex(r"[a-z]{1,6}(/[a-z]{1,6})?", fullmatch=True)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@given(files=st.dictionaries(names, st.binary(max_size=64), max_size=5))
def test_what_is_sealed_reads_back_and_equal_files_have_equal_digests(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = {n: d for n, d in files.items() if not any(other.startswith(n + "/") for other in files)}
    one, two = (write(tmp_path_factory.mktemp("artifact"), files) for _ in range(2))
    sealed = manifest.seal(one)
    assert manifest.read(one) == sealed
    assert {f.path for f in sealed.files} == set(files)
    assert manifest.seal(two).digest == sealed.digest
    assert manifest.seal(one) == sealed
    assert manifest.damage(one, deep=True) == ""


def test_every_kind_of_damage_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"a": b"12345", "b/c": b"x"})
    digest = manifest.seal(tmp_path).digest
    (tmp_path / "a").write_bytes(b"54321")
    assert manifest.damage(tmp_path) == ""  # equal sizes: only a deep look sees it
    assert "other bytes" in manifest.damage(tmp_path, deep=True)
    (tmp_path / "a").write_bytes(b"1")
    assert "has 1 bytes instead of 5" in manifest.damage(tmp_path)
    (tmp_path / "b/c").unlink()
    (tmp_path / "a").write_bytes(b"12345")
    assert "is gone" in manifest.damage(tmp_path)
    (tmp_path / "b/c").write_bytes(b"y")
    assert manifest.seal(tmp_path).digest != digest
    (tmp_path / manifest.NAME).write_text("{")
    assert "no manifest" in manifest.damage(tmp_path)
    assert "is gone" in manifest.damage(tmp_path / "nowhere")


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(StorageError, match="symbolic link"):
        manifest.seal(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_left_says_how_to_go_on(code: int) -> None:
    error = manifest.storage_error(OSError(code, "No space left"), Path("somewhere"))
    assert error.message == "the disk is full: somewhere"
    assert "--root" in error.hint
