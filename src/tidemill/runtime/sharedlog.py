"""The log of a running attempt, for other machines: what was printed is stored piece by piece.

Object stores cannot append, so what was printed since the last look goes into a piece of its own, and small
pieces are stored again, longer, until they are not small any more. That is one request every few seconds
while a node prints, none while it does not, and none at all for a node that is quicker or whose root is a
local folder.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from tidemill.errors import StorageError
from tidemill.runtime.logfile import settle
from tidemill.runtime.logreader import LogReader, kept_end
from tidemill.storage import mirror
from tidemill.storage.shelf import LocalShelf, RemoteShelf
from tidemill.storage.uri import is_local

PERIOD = "TIDEMILL_LOG_PERIOD"
"""Environment variable: seconds between two looks at the log of a running node; 0 stores it at its end."""
_PERIOD = 5.0
_LONGEST = 60.0
"""Seconds between two tries while the storage cannot be reached."""
_SMALL = 256 << 10
_AT_ONCE = 8
"""How much is stored in one go, in reads; a node that prints faster waits for nobody."""


class SharedLog:
    """The log at `uri`, of `most` bytes at most. What goes wrong here is never the node's failure."""

    def __init__(self, uri: str, most: int) -> None:
        self.uri = uri
        self._most = most
        self._pieces: dict[int, int] = {}
        """What is stored: where each piece begins, and its size."""
        self._last = bytearray()
        """The content of the last piece."""
        self._owed = False
        """Whether the last piece could not be stored."""

    @property
    def path(self) -> Path:
        """Where it is written on this machine."""
        return mirror.place(self.uri)

    @contextlib.contextmanager
    def while_running(self) -> Iterator[None]:
        """Store what is printed within, as it comes."""
        period = _period()
        if is_local(self.uri) or not period:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._share, args=(over, period), name="tidemill-log", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def keep(self) -> None:
        """Store the whole log, once the attempt is over, in the place of its pieces."""
        with contextlib.suppress(OSError):
            settle(self.path, self._most)
        with contextlib.suppress(StorageError):
            mirror.keep(self.uri)
            if self._pieces:
                RemoteShelf(self.uri).drop()

    def _share(self, over: threading.Event, period: float) -> None:
        reader = LogReader(LocalShelf(self.path), self._most)
        pause = period
        while not over.wait(pause):
            try:
                self._store_new(reader)
                pause = period
            except (StorageError, OSError):
                pause = min(_LONGEST, pause * 2)

    def _store_new(self, reader: LogReader) -> None:
        there = RemoteShelf(self.uri)
        for _ in range(_AT_ONCE):
            missed, data = reader.take()
            if reader.whole or not (data or self._owed):
                return
            if missed or not self._pieces or len(self._last) >= _SMALL:
                self._last.clear()
                self._pieces[reader.position - len(data)] = 0
            self._last += data
            offset = max(self._pieces)
            self._pieces[offset] = len(self._last)
            self._owed = True
            there.put(offset, bytes(self._last))
            self._owed = False
            for old in self._too_many():
                there.drop(old)
                del self._pieces[old]

    def _too_many(self) -> list[int]:
        """Pieces that belong neither to the beginning that is kept nor to the end."""
        if not self._most:
            return []
        found, end = [], sum(max(self._pieces.items()))
        for offset, size in sorted(self._pieces.items()):
            if offset >= self._most // 2 and end - offset - size >= kept_end(self._most):
                found.append(offset)
        return found


def _period() -> float:
    text = os.environ.get(PERIOD, "")
    try:
        period = float(text) if text else _PERIOD
    except ValueError:
        period = -1.0
    if not 0 <= period < float("inf"):
        raise StorageError(
            f"{PERIOD} is {text!r}", hint="write seconds, such as 5; 0 shares a log at its end"
        )
    return period
