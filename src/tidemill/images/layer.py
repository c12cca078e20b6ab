"""One layer, whose bytes depend on its files alone: sorted, with one time, one owner, and a bare gzip header.

Format: the OCI image specification 1.1, "Image Layer Filesystem Changeset", as tar with gzip. The compressed
bytes are those of this machine's zlib; `diff_id`, of the tar itself, is the same everywhere.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

EPOCH = 315532800
"""1980-01-01 as seconds: the first moment that zip files know, which some tools read in an image."""
_LEVEL = 4
"""Of zlib: half the time of its default level, for a few percent of size."""
_ALL_MAY_READ = 0o644
_ALL_MAY_RUN = 0o755


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of an image, or without `content` a folder; `path` has no slash in front.

    The bytes are asked for when they are written: all packages of an image together may not fit in memory.
    """

    path: str
    content: Callable[[], bytes] | None = None
    mode: int = _ALL_MAY_READ


def file_mode(executable: bool) -> int:
    """The mode of a file that anybody may read, whoever they are."""
    return _ALL_MAY_RUN if executable else _ALL_MAY_READ


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that was written."""

    digest: str
    """Of the compressed bytes."""
    diff_id: str
    """Of the tar."""
    size: int
    """Compressed bytes."""
    files: int


class _Counted(io.RawIOBase):
    """Writes on, and keeps the digest and the length of what went through."""

    def __init__(self, target: IO[bytes]) -> None:
        self.target, self.sha, self.size = target, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]  # as RawIOBase has it, a readable buffer
        self.sha.update(view)
        self.size += len(view)
        self.target.write(view)
        return len(view)


def write_layer(entries: Iterable[Entry], target: IO[bytes], *, top: str) -> Layer:
    """Write a layer of files below the folder `top`; folders between are made.

    `top` itself is one of them; what is above it is left as the base has it, perhaps as a link.
    """
    given = {entry.path: entry for entry in entries}
    for path in list(given):
        for parent in PurePosixPath(path).parents:
            if str(parent).startswith(top) and str(parent) not in given:
                given[str(parent)] = Entry(str(parent), mode=_ALL_MAY_RUN)
    packed = _Counted(target)
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=packed, mtime=0) as press:
        loose = _Counted(press)  # type: ignore[arg-type]  # a GzipFile writes as any binary file does
        with tarfile.open(fileobj=loose, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(given):
                _add(tar, given[path])
    files = sum(entry.content is not None for entry in given.values())
    return Layer(f"sha256:{packed.sha.hexdigest()}", f"sha256:{loose.sha.hexdigest()}", packed.size, files)


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path)
    info.mtime, info.mode = EPOCH, entry.mode
    if entry.content is None:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
        return
    data = entry.content()
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
