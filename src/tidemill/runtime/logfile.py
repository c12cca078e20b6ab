"""The log file of one attempt: written by its supervisor, and never much larger than allowed.

Of a log that grows too large the beginning and the end are kept. While the attempt runs, the file holds the
beginning, and pieces beside it what was printed after that; the oldest piece goes when the others suffice. So
neither memory nor disk grows with what a node prints, and whoever follows sees all of it. When the attempt
is over the log is one file again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import IO

from tidemill.runtime.logreader import find_note, kept_end, note
from tidemill.storage.shelf import LocalShelf, piece_path, pieces_folder

_CHUNK = 1 << 20
_PARTS = 8
"""Pieces that the kept end is made of: one more is on the disk while the attempt runs."""


class LogFile:
    """Appends to the file at `path`. `most` bytes are kept; 0 keeps everything."""

    def __init__(self, path: Path, most: int) -> None:
        self.path = path
        self.error: OSError | None = None
        """Why nothing is written any more, such as a full disk."""
        self.written = 0
        """Bytes that were given, kept or not."""
        self._fd, self._start = -1, 0
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._start = os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            self.error = error
        self._most = most
        self._head = most // 2
        self._end = kept_end(most)
        self._piece = max(1, self._end // _PARTS)
        self._pieces: list[int] = []
        self._piece_fd = -1

    def fileno(self) -> int:
        """The descriptor of the file; -1 when it could not be opened."""
        return self._fd

    def write(self, data: bytes) -> None:
        """Take note of what was printed. Never raises; see `error`."""
        view = memoryview(data)
        while view:
            count = min(len(view), self._room())
            if self.error is None:
                try:
                    count = self._put(view[:count])
                except OSError as error:
                    self.error = error
            self.written += count
            view = view[count:]

    def close(self) -> None:
        """Make one file of it: the beginning, how much is left out, the end."""
        if self._fd < 0:
            return
        for descriptor in (self._fd, self._piece_fd):
            if descriptor >= 0:
                os.close(descriptor)
        try:
            settle(self.path, self._most)
        except OSError as error:
            self.error = self.error or error

    def _room(self) -> int:
        """Bytes that fit where the next one goes."""
        if not self._most:
            return _CHUNK
        past = self.written - self._head
        return -past if past < 0 else self._piece - past % self._piece

    def _put(self, data: memoryview) -> int:
        if not self._most or self.written < self._head:
            return os.pwrite(self._fd, data, self._start + self.written)
        offset = self._start + self.written - (self.written - self._head) % self._piece
        if not self._pieces or self._pieces[-1] != offset:
            self._begin_piece(offset)
        return os.pwrite(self._piece_fd, data, self._start + self.written - offset)

    def _begin_piece(self, offset: int) -> None:
        if self._piece_fd >= 0:
            os.close(self._piece_fd)
            self._piece_fd = -1
        pieces_folder(self.path).mkdir(exist_ok=True)
        while self._pieces and offset - self._pieces[0] - self._piece >= self._end:
            piece_path(self.path, self._pieces.pop(0)).unlink(missing_ok=True)
        self._piece_fd = os.open(
            piece_path(self.path, offset), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666
        )
        self._pieces.append(offset)


def settle(path: Path, most: int) -> None:
    """Make one file of a log with pieces, also of one whose supervisor was killed. OSError as it comes.

    When this is killed in between, calling it again goes on.
    """
    shelf = LocalShelf(path)
    pieces = shelf.pieces()
    if not pieces:
        return
    size = shelf.size()
    if find_note(shelf, size, most) is None:
        end = pieces[-1] + piece_path(path, pieces[-1]).stat().st_size
        first = min(size, pieces[0])
        left_out = end - first - kept_end(most)
        if left_out > 0:
            _replace(path, first, note(left_out), pieces, end - kept_end(most))
        else:
            # Whoever follows goes on in the file: nothing has moved.
            with path.open("ab") as file:
                _copy_pieces(path, pieces, size, file)
    shutil.rmtree(pieces_folder(path))


def _replace(path: Path, first: int, between: bytes, pieces: list[int], start: int) -> None:
    fresh = path.with_name(path.name + ".part")
    try:
        with fresh.open("wb") as file:
            with path.open("rb") as beginning:
                while file.tell() < first and (data := beginning.read(min(_CHUNK, first - file.tell()))):
                    file.write(data)
            file.write(between)
            _copy_pieces(path, pieces, start, file)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _copy_pieces(path: Path, pieces: list[int], start: int, file: IO[bytes]) -> None:
    """What pieces hold from `start` on, counted in bytes that were printed."""
    for offset in pieces:
        with piece_path(path, offset).open("rb") as piece:
            piece.seek(max(0, start - offset))
            shutil.copyfileobj(piece, file, _CHUNK)
