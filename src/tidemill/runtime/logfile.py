"""The log file of one attempt: written by its supervisor, and never larger than allowed.

Of a log that grows too large the beginning and the end are kept. The end is written round and round in
the second half of the file and put straight when the attempt is over, so that neither memory nor disk
grows with what a node prints.
"""

from __future__ import annotations

import os
from pathlib import Path

_CHUNK = 1 << 20


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
            # Not in append mode: Linux then ignores where to write.
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._start = os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            self.error = error
        self._most = most
        self._head = most // 2
        self._ring = max(1, most - self._head)

    def fileno(self) -> int:
        """The descriptor that is written to; -1 when it could not be opened."""
        return self._fd

    def write(self, data: bytes) -> None:
        """Take note of what was printed. Never raises; see `error`."""
        view = memoryview(data)
        while view:
            place, room = self._place()
            piece = view[: min(len(view), room)]
            try:
                count = os.pwrite(self._fd, piece, place) if self.error is None else len(piece)
            except OSError as error:
                self.error = error
                count = len(piece)
            self.written += count
            view = view[count:]

    def close(self) -> None:
        """Put the kept end behind the beginning, with a line between that says what is left out."""
        left_out = self.written - self._head - self._ring
        if self._fd < 0:
            return
        try:
            if self._most and left_out > 0:
                self._straighten(left_out)
        except OSError as error:
            self.error = self.error or error
        finally:
            os.close(self._fd)

    def _place(self) -> tuple[int, int]:
        """Where the next byte goes, and how many fit there in one go."""
        if not self._most:
            return self._start + self.written, _CHUNK
        if self.written < self._head:
            return self._start + self.written, self._head - self.written
        at = (self.written - self._head) % self._ring
        return self._start + self._head + at, self._ring - at

    def _straighten(self, left_out: int) -> None:
        first = self._start + self._head
        oldest = first + (self.written - self._head) % self._ring
        fresh = self.path.with_name(self.path.name + ".part")
        try:
            with fresh.open("wb") as file:
                self._copy(file.fileno(), 0, first)
                os.write(file.fileno(), f"\n[tidemill: {left_out} bytes are left out here]\n".encode())
                self._copy(file.fileno(), oldest, first + self._ring)
                self._copy(file.fileno(), first, oldest)
            fresh.replace(self.path)
        finally:
            fresh.unlink(missing_ok=True)

    def _copy(self, target: int, start: int, end: int) -> None:
        while start < end:
            data = os.pread(self._fd, min(_CHUNK, end - start), start)
            if not data:
                return
            start += os.write(target, data)
