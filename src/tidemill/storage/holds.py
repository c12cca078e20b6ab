"""Holds: what processes of this machine use in the mirror, so that nothing of it is removed under them.

A hold is a file with a line for each path, locked as long as its process lives: the system lets go of the
lock of a process that was killed, so nothing has to be given back. Whoever removes has the mirror's own
lock meanwhile; whoever adds a path shares it for that moment, and then looks whether the files are there.
This knows paths only: neither URIs nor what is made there.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from tidemill.storage.manifest import storage_error

FOLDER = "TIDEMILL_MIRROR"
"""Environment variable that names the mirror's folder."""
HOLDS, LOCK, FETCHING = ".holds", ".lock", ".fetching"
"""What a mirror has besides what it mirrors; files that are being fetched lie in the last."""


def folder() -> Path:
    """The mirror's folder. Asked each time: tests and containers name their own."""
    if chosen := os.environ.get(FOLDER, ""):
        return Path(chosen).expanduser().absolute()
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    usable = next((p for p in (home, *home.parents) if p.exists()), home)
    if os.access(usable, os.W_OK):
        return home / "tidemill" / "mirror"
    return Path(tempfile.gettempdir()) / f"tidemill-{os.getuid()}" / "mirror"


class Hold:
    """The paths of one mirror that one task of this process uses."""

    def __init__(self, mirror: Path) -> None:
        self.mirror = mirror
        self.made: list[Path] = []
        self._held: set[str] = set()
        (mirror / HOLDS).mkdir(parents=True, exist_ok=True)
        self._file = mirror / HOLDS / uuid.uuid4().hex
        self._guard = threading.Lock()
        with locked(mirror, shared=True):
            self._fd = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        _open.add(self)

    def add(self, path: Path, *, made: bool = False) -> None:
        """Use a path, and all below it, from now on. `made`: what is there was begun by this task."""
        line = json.dumps([str(path), made]) + "\n"
        with self._guard:
            if line in self._held:
                return
            with locked(self.mirror, shared=True):
                os.write(self._fd, line.encode())
            self._held.add(line)
            if made:
                self.made.append(path)

    def end(self, *, forget: bool = True) -> None:
        """Use nothing any more. Without `forget` the file stays: the next removal tidies up what was made."""
        if self not in _open:
            return
        _open.discard(self)
        if forget:
            self._file.unlink(missing_ok=True)
        os.close(self._fd)

    def leave(self) -> None:
        """In a forked child: the lock is the parent's, and ends with the parent alone."""
        os.close(self._fd)


_open: set[Hold] = set()
_current: ContextVar[dict[Path, Hold] | None] = ContextVar("tidemill_holds", default=None)
_of_process: dict[Path, Hold] = {}
_guard = threading.Lock()


def _forked() -> None:
    global _guard
    _guard = threading.Lock()
    for hold in _open:
        hold.leave()
    _open.clear()
    _of_process.clear()
    _current.set(None)


def _end_all() -> None:
    for hold in list(_of_process.values()):
        hold.end()


os.register_at_fork(after_in_child=_forked)
atexit.register(_end_all)


def hold(path: Path, *, made: bool = False) -> None:
    """Keep a path of the mirror from being removed until the `using` around this ends, or the process."""
    mirror = folder()
    if not path.is_relative_to(mirror):
        return
    holds = _current.get()
    try:
        with _guard:
            chosen = _of_process if holds is None else holds
            if mirror not in chosen:
                chosen[mirror] = Hold(mirror)
        chosen[mirror].add(path, made=made)
    except OSError as error:
        raise storage_error(error, mirror) from error


@contextlib.contextmanager
def using() -> Iterator[dict[Path, Hold]]:
    """What is held within is let go at the end; the holds by their mirrors, none before something is held."""
    holds: dict[Path, Hold] = {}
    token = _current.set(holds)
    try:
        yield holds
    finally:
        _current.reset(token)
        for one in holds.values():
            one.end(forget=not one.made)


@contextlib.contextmanager
def locked(mirror: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the mirror's lock: shared to add to a hold, alone to remove."""
    mirror.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(mirror / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def in_use(mirror: Path) -> tuple[set[Path], dict[Path, list[Path]]]:
    """What living tasks hold, and what ended ones began, by the file of their hold. With the lock alone."""
    used: set[Path] = set()
    begun: dict[Path, list[Path]] = {}
    for file in sorted((mirror / HOLDS).glob("*")):
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            text = os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()
            paths = [json.loads(line) for line in text.splitlines()]
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                used.update(Path(path) for path, _ in paths)
            else:
                begun[file] = [Path(path) for path, made in paths if made]
        finally:
            os.close(descriptor)
    return used, begun
