"""Where a log lies while it is written and when it is whole: a file, and a folder with pieces beside it.

A piece is named by the number of bytes that were printed before it. On a disk the file holds the beginning
and pieces hold what came after it; in the storage of a remote root pieces are all there is until the log is
whole. Nothing here knows who writes or reads.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Protocol

from tidemill.errors import StorageError
from tidemill.storage.external import file_system
from tidemill.storage.uri import is_local, local_path

_PIECES = ".pieces"
_DIGITS = 20


class Shelf(Protocol):
    """What can be read of a log. What is not there yet is empty; StorageError when nobody can say."""

    def size(self) -> int:
        """Bytes of the file; 0 when there is none."""
        ...

    def pieces(self) -> list[int]:
        """The pieces that there are, sorted."""
        ...

    def read(self, piece: int | None, start: int, most: int) -> bytes:
        """Some bytes of a piece, or of the file; none when there is no more, or it was removed."""
        ...


def shelf(uri: str, mirrored: Path | None = None) -> Shelf:
    """The shelf of a log. What is on this machine, at `mirrored`, is newer than what was stored elsewhere."""
    if is_local(uri):
        return LocalShelf(local_path(uri))
    if mirrored is not None and mirrored.is_file():
        return LocalShelf(mirrored)
    return RemoteShelf(uri)


def pieces_folder(path: Path) -> Path:
    """The folder of a log's pieces on a disk."""
    return path.with_name(path.name + _PIECES)


def piece_path(path: Path, offset: int) -> Path:
    """The file of one piece on a disk."""
    return pieces_folder(path) / f"{offset:0{_DIGITS}d}"


class LocalShelf:
    """A log on a disk of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self) -> int:
        """Bytes of the file."""
        with contextlib.suppress(FileNotFoundError):
            return self.path.stat().st_size
        return 0

    def pieces(self) -> list[int]:
        """The pieces that there are."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(int(p.name) for p in pieces_folder(self.path).iterdir() if p.name.isdigit())
        return []

    def read(self, piece: int | None, start: int, most: int) -> bytes:
        """Some bytes, from `start` on."""
        path = self.path if piece is None else piece_path(self.path, piece)
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            file.seek(start)
            return file.read(most)
        return b""


class RemoteShelf:
    """A log in the storage of a remote root; `put` and `drop` are for whoever publishes it."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._there = file_system(uri.partition("://")[0])

    def size(self) -> int:
        """Bytes of the file."""
        self._there.invalidate_cache()  # it lives as long as the process, and others write
        with _asked("look for", self.uri), contextlib.suppress(FileNotFoundError):
            return int(self._there.size(self.uri) or 0)
        return 0

    def pieces(self) -> list[int]:
        """The pieces that there are."""
        self._there.invalidate_cache()
        with _asked("look for", self.uri), contextlib.suppress(FileNotFoundError):
            found = self._there.ls(self.uri + _PIECES, detail=False)
            names = [str(name).rstrip("/").rpartition("/")[2] for name in found]
            return sorted(int(name) for name in names if name.isdigit())
        return []

    def read(self, piece: int | None, start: int, most: int) -> bytes:
        """Some bytes, from `start` on."""
        uri = self.uri if piece is None else self._piece(piece)
        with _asked("read", uri), contextlib.suppress(FileNotFoundError):
            size = int(self._there.size(uri) or 0)
            # Object stores refuse a range that begins at the end.
            return (
                bytes(self._there.cat_file(uri, start=start, end=min(size, start + most)))
                if start < size
                else b""
            )
        return b""

    def put(self, piece: int, data: bytes) -> None:
        """Add a piece."""
        with _asked("write", self.uri):
            self._there.makedirs(self.uri + _PIECES, exist_ok=True)
            self._there.pipe_file(self._piece(piece), data)

    def drop(self, piece: int | None = None) -> None:
        """Remove a piece, or all of them. Absent is fine."""
        what = self.uri + _PIECES if piece is None else self._piece(piece)
        with _asked("remove", what), contextlib.suppress(FileNotFoundError):
            self._there.rm(what, recursive=piece is None)

    def _piece(self, piece: int) -> str:
        return f"{self.uri}{_PIECES}/{piece:0{_DIGITS}d}"


@contextlib.contextmanager
def _asked(what: str, uri: str) -> Any:
    """Whatever the library behind a scheme raises becomes a StorageError, except that a file is not there."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        raise StorageError(f"cannot {what} it: {type(error).__name__}: {error}", where=uri) from error
