"""External files, on a local disk or behind a URI: listing, fingerprints, opening.

The only user of fsspec. It knows nothing of patterns, formats or artifacts.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Protocol

from tidemill.errors import ResolutionError, StorageError
from tidemill.types.source import SourceFile


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

    def fingerprint(self, path: str) -> SourceFile:
        """Size and digest of a file, read now."""
        ...


class LocalFiles:
    """Local files; digest: sha256 of the content."""

    def __init__(self, root: str) -> None:
        self.root = root

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

    def fingerprint(self, path: str) -> SourceFile:
        """Size and digest of a file, read now."""
        try:
            with Path(path).open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
                return SourceFile(uri=path, size=stream.tell(), digest=digest)
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
        self._fs = _file_system(scheme)

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

    def fingerprint(self, path: str) -> SourceFile:
        """Size and digest of a file, read now."""
        return SourceFile(uri=path, size=int(self._fs.info(path)["size"]), digest=str(self._fs.ukey(path)))


def open_remote(uri: str, *, decompress: bool = False) -> Any:
    """A readable, seekable binary file behind a URI; decompressed by the ending of its name if asked for.

    StorageError when it cannot be opened.
    """
    import fsspec  # only remote files pay for it

    try:
        return fsspec.open(uri, "rb", compression="infer" if decompress else None).open()
    except (ImportError, ValueError, OSError) as error:
        raise StorageError(f"cannot open the file: {error}", where=uri) from error


def _file_system(scheme: str) -> Any:
    import fsspec

    try:
        return fsspec.filesystem(scheme)
    except (ImportError, ValueError) as error:
        raise StorageError(f"no support for {scheme}:// files: {error}") from error
