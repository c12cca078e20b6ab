"""URIs and paths: what is local, what is safe."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.errors import StorageError
from tidemill.storage.uri import is_local, join, local_path


def test_plain_paths_and_file_uris_are_local(tmp_path: Path) -> None:
    assert local_path(str(tmp_path)) == tmp_path
    assert local_path(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    assert local_path("relative").is_absolute()
    assert is_local("C:/x")
    assert not is_local("s3://bucket/key")
    with pytest.raises(StorageError, match="not on a local disk"):
        local_path("s3://bucket/key")
    with pytest.raises(StorageError, match="NUL"):
        local_path("a\0b")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\0"])
def test_a_segment_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(StorageError, match="cannot be part of a path"):
        join("base", name)


def test_join() -> None:
    assert join("s3://b/", "a", "c") == "s3://b/a/c"
