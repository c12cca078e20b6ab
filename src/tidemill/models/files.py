"""The files of a model folder: their sha256, whether they are as they were, and which are pickles."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from tidemill.errors import DataError

MANIFEST = "model.json"
PICKLE_SUFFIXES = {".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle"}


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(folder: Path) -> dict[str, str]:
    """sha256 by path relative to `folder`, sorted, of every file but the manifest itself."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST:
            found[name] = sha256_of(path)
    return found


def verify_files(folder: Path, expected: Mapping[str, str]) -> None:
    """DataError unless every file is there with these bytes. What nobody listed is never read."""
    for name, digest in expected.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"the model names a file outside of its folder: {name!r}", where=str(folder))
        if not path.is_file():
            raise DataError(f"the model lacks its file {name!r}", where=str(folder), hint="copy it anew")
        if sha256_of(path) != digest:
            raise DataError(
                f"the model's file {name!r} is not the one that was saved: its sha256 differs",
                where=str(path),
                hint="the copy is damaged or was changed: take the model from where it was made",
            )


def pickles_in(folder: Path) -> list[Path]:
    """Files that are pickles by name or by content (protocol 2 and up): loading them runs code."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_pickle(path)]


def _is_pickle(path: Path) -> bool:
    if path.suffix.lower() in PICKLE_SUFFIXES:
        return True
    size = path.stat().st_size
    if size < 3:
        return False
    with path.open("rb") as file:
        start = file.read(2)
        file.seek(-1, 2)
        return start[:1] == b"\x80" and 2 <= start[1] <= 5 and file.read(1) == b"."
