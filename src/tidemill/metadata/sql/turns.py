"""Turns: the writers of one SQLite file, one after another in the order they came.

SQLite lets one transaction write and has the others ask again after pauses that grow, so that whoever
just wrote is first again and somebody else waits for seconds. Here writers stand in line: threads of a
process in a queue of its own, processes at two locks on a small file beside the database. The locks are
the kernel's and end with their process, however it ends.

It is only courtesy. Who gets no turn in time, or cannot have the file, goes on without one, and writers
that know nothing of turns, such as ml-metadata, are kept apart by SQLite's own lock as ever.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakValueDictionary

if sys.platform != "win32":
    import fcntl

PATIENCE_SECONDS = 5.0
"""How long to wait for a turn before going on without one."""
DISTRUST_SECONDS = 60.0
"""How long processes are left alone after that: somebody may be stopped in the line."""
SUFFIX = "-turns"
"""What the name of the file with the locks adds to the database's."""

_NEXT, _WRITING = 0, 1
"""Bytes of the file. Whoever holds the first waits for the second, and those behind it for the first: so a
writer that has just ended cannot be ahead of one that waits."""
_SOON, _LATER = 0.0003, 0.001
"""Seconds between two looks at a lock: by who is next, and by the others."""


_lines: WeakValueDictionary[tuple[int, Path], Turns] = WeakValueDictionary()


class Turns:
    """The line of one process before one file. Get it with `turns_of`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()
        self._file = -1
        self._alone_until = 0.0
        """Until when other processes are none of our business, by the monotonic clock."""

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A block in which no other writer that stands in line writes."""
        until = time.monotonic() + PATIENCE_SECONDS
        if not self._enter(until):
            yield
            return
        try:
            locked = self._lock_file(until)
            try:
                yield
            finally:
                if locked:
                    self._unlock(_WRITING)
        finally:
            self._leave()

    # --- threads -----------------------------------------------------------------------------------

    def _enter(self, until: float) -> bool:
        with self._lock:
            if not self._taken:
                self._taken = True
                return True
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=max(until - time.monotonic(), 0)):
            return True
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return False
        return True  # it was handed over just now

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()  # it stays taken, by that one
            else:
                self._taken = False

    # --- processes ---------------------------------------------------------------------------------

    def _lock_file(self, until: float) -> bool:
        """Whether this process has the turn among processes."""
        if sys.platform == "win32" or time.monotonic() < self._alone_until:
            return False
        try:
            if self._file < 0:
                self._file = self._open()
            if not self._wait(_NEXT, _LATER, until):
                return False
            try:
                return self._wait(_WRITING, _SOON, until)
            finally:
                self._unlock(_NEXT)
        except OSError:  # a folder that we may not write in, or a file system without locks
            self._alone_until = float("inf")
            return False

    def _wait(self, place: int, pause: float, until: float) -> bool:
        while not self._try(place):
            if time.monotonic() > until:
                self._alone_until = until + DISTRUST_SECONDS
                return False
            time.sleep(pause)
        return True

    def _try(self, place: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True

    def _unlock(self, place: int) -> None:
        with suppress(OSError):
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def _open(self) -> int:
        """Open the file with the locks. It is never removed: others may be waiting at it."""
        mode = self._path.stat().st_mode & 0o666  # whoever may write the database may stand in line
        file = os.open(f"{self._path}{SUFFIX}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        with suppress(OSError):  # another user's
            os.fchmod(file, mode)
        return file


def turns_of(path: Path) -> Turns:
    """The line before a database file: one for all of this process that write to it."""
    # A child made by fork inherits its parent's line, and must not stand in it.
    return _lines.setdefault((os.getpid(), path.absolute()), Turns(path))
