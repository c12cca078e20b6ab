"""External files, on a local disk or behind a URI: listing, fingerprints, opening.

Nobody else imports fsspec. It knows nothing of patterns, formats or artifacts.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tidemill.errors import ResolutionError, StorageError
from tidemill.types.source import SourceFile

KnownFiles = Callable[[], Mapping[str, SourceFile]]
"""Files as they were found before, by uri; asked for once, and only when there is much to read."""
_WORTH_ASKING = 4 << 20
"""Bytes from which on a look into the record is cheaper than hashing."""
_VERSION_HEADERS = ("ETag", "Content-MD5", "Digest", "Last-Modified")
_SETTLED = 2.0
"""Seconds after which a file's time stamps tell a later write from the last one, on any file system in use:
the rule by which git trusts its index (racy-git)."""


def nothing_known() -> Mapping[str, SourceFile]:
    """No file was found before."""
    return {}


class ExternalFiles(Protocol):
    """A file system to search. Paths are its own, opaque strings."""

    root: str

    def child(self, folder: str, name: str) -> str:
        """The path of `name` in `folder`."""
        ...

    def names(self, folder: str) -> list[str]:
        """Names in a folder, sorted; none when there is no such folder."""
        ...

    def is_folder(self, path: str) -> bool:
        """Whether the path is a folder."""
        ...

    def is_file(self, path: str) -> bool:
        """Whether the path is a file."""
        ...

    def size(self, path: str) -> int:
        """Bytes of a file, without reading it."""
        ...

    def fingerprint(self, path: str) -> SourceFile:
        """Size and digest of a file, read now."""
        ...


class LocalFiles:
    """Local files; digest: sha256 of the content, which is read unless the file is known and unchanged."""

    def __init__(self, root: str, known: KnownFiles = nothing_known) -> None:
        self.root = root
        self._known = known
        self._asked: Mapping[str, SourceFile] | None = None

    def child(self, folder: str, name: str) -> str:
        """The path of `name` in `folder`."""
        return str(Path(folder, name))

    def names(self, folder: str) -> list[str]:
        """Names in a folder, sorted; none when there is no such folder."""
        try:
            return sorted(entry.name for entry in Path(folder).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StorageError(f"cannot list the folder: {error.strerror}", where=folder) from error

    def is_folder(self, path: str) -> bool:
        """Whether the path is a folder."""
        return Path(path).is_dir()

    def is_file(self, path: str) -> bool:
        """Whether the path is a file."""
        return Path(path).is_file()

    def size(self, path: str) -> int:
        """Bytes of a file, without reading it."""
        try:
            return Path(path).stat().st_size
        except OSError as error:
            raise StorageError(f"cannot look at the file: {error.strerror}", where=path) from error

    def fingerprint(self, path: str) -> SourceFile:
        """Size and digest of a file, as it is now."""
        try:
            with Path(path).open("rb") as stream:
                before = os.fstat(stream.fileno())
                stamp = _stamp(before)
                if stamp and before.st_size >= _WORTH_ASKING:
                    self._asked = self._known() if self._asked is None else self._asked
                    known = self._asked.get(path)
                    if known is not None and (known.size, known.stamp) == (before.st_size, stamp):
                        return known
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
                unchanged = stamp == _stamp(os.fstat(stream.fileno()))
                return SourceFile(
                    uri=path, size=stream.tell(), digest=digest, stamp=stamp if unchanged else ""
                )
        except OSError as error:
            raise StorageError(f"cannot read the file: {error.strerror}", where=path) from error


class RemoteFiles:
    """Files behind a URI, through fsspec; digest: what the storage offers to tell versions apart."""

    def __init__(self, scheme: str, bucket: str) -> None:
        if "*" in bucket or "{" in bucket:
            raise ResolutionError(
                "the first name of a remote pattern must be plain", where=f"{scheme}://{bucket}"
            )
        self.root = f"{scheme}://"
        self._bucket = bucket
        self._fs = file_system(scheme)
        self._fs.invalidate_cache()  # it lives as long as the process, and files come and go

    def child(self, folder: str, name: str) -> str:
        """The path of `name` in `folder`."""
        return f"{folder}{name}" if folder.endswith("://") else f"{folder}/{name}"

    def names(self, folder: str) -> list[str]:
        """Names in a folder, sorted; none when there is no such folder."""
        if folder == self.root:
            return [self._bucket]
        try:
            return sorted(
                str(e["name"]).rstrip("/").rsplit("/", 1)[-1] for e in self._fs.ls(folder, detail=True)
            )
        except (FileNotFoundError, NotADirectoryError):
            return []

    def is_folder(self, path: str) -> bool:
        """Whether the path is a folder."""
        return bool(self._fs.isdir(path))

    def is_file(self, path: str) -> bool:
        """Whether the path is a file."""
        return bool(self._fs.isfile(path))

    def size(self, path: str) -> int:
        """Bytes of a file, without reading it."""
        try:
            return int(self._fs.size(path) or 0)
        except OSError as error:
            raise StorageError(f"cannot look at the file: {error}", where=path) from error

    def fingerprint(self, path: str) -> SourceFile:
        """Size and digest of a file, read now."""
        try:
            info: dict[str, Any] = self._fs.info(path)
            return SourceFile(uri=path, size=int(info["size"] or 0), digest=self._digest(path, info))
        except OSError as error:
            raise StorageError(f"cannot read the file: {error}", where=path) from error

    def _digest(self, path: str, info: Mapping[str, Any]) -> str:
        """What tells this version of a file from others. fsspec takes files on web servers for unchanging."""
        if not self.root.startswith("http"):
            return str(self._fs.ukey(path))
        for header in _VERSION_HEADERS:
            if info.get(header):
                return f"{header}:{info[header]}"
        with self._fs.open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def _stamp(status: os.stat_result) -> str:
    """Times, inode and size of a file that was left alone for a while; empty for one written just now."""
    if time.time() - max(status.st_mtime, status.st_ctime) < _SETTLED:
        return ""
    return f"{status.st_mtime_ns:x}-{status.st_ctime_ns:x}-{status.st_ino:x}"


def open_remote(uri: str, *, decompress: bool = False) -> Any:
    """A readable, seekable binary file behind a URI; decompressed by the ending of its name if asked for.

    StorageError when it cannot be opened.
    """
    import fsspec  # only remote files pay for it

    try:
        return fsspec.open(uri, "rb", compression="infer" if decompress else None).open()
    except (ImportError, ValueError, OSError) as error:
        raise StorageError(f"cannot open the file: {error}", where=uri) from error


def file_system(scheme: str) -> Any:
    """fsspec's file system for a scheme. StorageError when there is none."""
    import fsspec

    try:
        return fsspec.filesystem(scheme)
    except (ImportError, ValueError) as error:
        raise StorageError(f"no support for {scheme}:// files: {error}") from error
