"""Manifests: the list of an artifact's files with sizes and hashes, written last and durably.

Files are never renamed or moved into place: what no manifest lists, and no published artifact
refers to, does not exist. That holds on object stores too.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.errors import StorageError
from tidemill.types.json import digest

NAME = ".manifest.json"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of an artifact."""

    path: str
    """Relative to the artifact's folder, with `/`."""
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All files of an artifact, sorted by path."""

    files: tuple[FileEntry, ...]

    @property
    def digest(self) -> str:
        """Content digest of the artifact: equal for equal files, wherever they lie."""
        return digest([[f.path, f.size, f.sha256] for f in self.files])

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(f.size for f in self.files)


def seal(folder: Path) -> Manifest:
    """Hash and fsync every file below `folder`, then write its manifest and fsync that.

    A folder whose manifest is right already, such as one that an executor wrote elsewhere before, is
    left as it is. StorageError for a symbolic link or special file, and when the disk is full.
    """
    try:
        manifest = Manifest(files=tuple(_entry(folder, path) for path in _files(folder)))
        if read(folder) == manifest:
            return manifest
        data = {"files": [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in manifest.files]}
        target = folder / NAME
        with target.open("w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        _sync_folders(folder)
    except OSError as error:
        raise storage_error(error, folder) from error
    return manifest


def survey(place: Path) -> Manifest:
    """What a manifest of a file or folder that somebody else keeps would list. Nothing is written."""
    try:
        if place.is_file():
            return Manifest(
                files=(FileEntry(path=place.name, size=place.stat().st_size, sha256=_hash(place)),)
            )
        return Manifest(
            files=tuple(
                FileEntry(
                    path=path.relative_to(place).as_posix(), size=path.stat().st_size, sha256=_hash(path)
                )
                for path in _files(place)
            )
        )
    except OSError as error:
        raise StorageError(f"cannot read {place}: {error.strerror or error}") from error


def read(folder: Path) -> Manifest | None:
    """The manifest of an artifact's folder; None when there is none or it cannot be read."""
    try:
        return parse(json.loads((folder / NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def parse(data: Mapping[str, Any]) -> Manifest:
    """The manifest that a file holds as JSON. KeyError or TypeError for anything else."""
    return Manifest(files=tuple(FileEntry(**entry) for entry in data["files"]))


def damage(folder: Path, *, deep: bool = False) -> str:
    """What is wrong with a sealed folder: missing or resized files; with `deep`, changed bytes too.

    Empty when nothing is.
    """
    manifest = read(folder)
    if manifest is None:
        return f"{folder} is gone" if not folder.is_dir() else f"{folder} has no manifest"
    for entry in manifest.files:
        path = folder / entry.path
        try:
            size = path.stat().st_size
        except OSError:
            return f"{path} is gone"
        if size != entry.size:
            return f"{path} has {size} bytes instead of {entry.size}"
        if deep and _hash(path) != entry.sha256:
            return f"{path} has other bytes than when it was published"
    return ""


def storage_error(error: OSError, place: Path) -> StorageError:
    """A StorageError that says what to do about an OSError."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"the disk is full: {place}", hint="free space there, or choose another --root; then run again"
        )
    return StorageError(f"cannot write {place}: {error.strerror or error}")


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            if (Path(root) / name).is_symlink():
                raise StorageError(
                    f"{Path(root) / name} is a symbolic link", hint="write a real file instead"
                )
        found.extend(Path(root) / name for name in names if name != NAME)
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _entry(folder: Path, path: Path) -> FileEntry:
    with path.open("rb") as file:
        sha = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            sha.update(chunk)
        os.fsync(file.fileno())
        size = file.tell()
    return FileEntry(path=path.relative_to(folder).as_posix(), size=size, sha256=sha.hexdigest())


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folders(folder: Path) -> None:
    for root, _, _ in os.walk(folder):
        descriptor = os.open(root, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
