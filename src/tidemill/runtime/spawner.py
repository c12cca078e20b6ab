"""Starting executor processes quickly: a helper process that has the imports behind it and forks.

A fresh Python process pays for its imports every time; a fork of one that did them already does
not. The helper runs no user code and has one thread, so each fork is as clean as a new process. It
ends when the process that made it ends.

    python -m tidemill.runtime.spawner SOCKET_FD MODULE...

speaks over the socket, one request at a time: `spawn` with three descriptors (order, answer, log)
is answered with a pid, `wait PID` with its exit status, or `running`.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from tidemill.errors import ExecutorError
from tidemill.metadata.remote.token import VARIABLE

_POLL_FIRST, _POLL_LAST = 0.0005, 0.02
"""Seconds between two questions whether a process has ended: from the first to the longest."""


def executor_environment() -> dict[str, str]:
    """What executors inherit: all but the token of a metadata server, for user code gets no store."""
    inherited = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return {**inherited, "PYTHONUNBUFFERED": "1"}


class SpawnedProcess:
    """A process that the helper forked; the part of `subprocess.Popen` that executing needs."""

    def __init__(self, spawner: Spawner, pid: int) -> None:
        self.spawner = spawner
        self.pid = pid
        self.status: int | None = None

    def wait(self, timeout: float | None = None) -> int | None:
        """Exit status (a negative signal number when killed), or None when it still runs by then."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _POLL_FIRST
        while self.status is None:
            self.status = self.spawner.status(self.pid)
            if self.status is None:
                if deadline is not None and time.monotonic() >= deadline:
                    return None
                time.sleep(pause)
                pause = min(2 * pause, _POLL_LAST)
        return self.status


class Spawner:
    """The helper process, started when it is first needed. Threads may share one."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        self.preload = tuple(preload)
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._helper: subprocess.Popen[bytes] | None = None

    def start(self, order: int, answer: int, log: int) -> SpawnedProcess:
        """A new executor process with these descriptors."""
        fds = array.array("i", [order, answer, log])
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
        with self._lock:
            pid = int(self._ask(b"spawn\n", ancillary))
        return SpawnedProcess(self, pid)

    def status(self, pid: int) -> int | None:
        """Exit status of a process that was started here; None while it runs."""
        with self._lock:
            answer = self._ask(f"wait {pid}\n".encode(), [])
        return None if answer == b"running" else int(answer)

    def close(self) -> None:
        """End the helper."""
        with self._lock:
            if self._socket is not None and self._helper is not None:
                self._socket.close()
                self._helper.wait()
                self._socket = self._helper = None

    def _ask(self, request: bytes, ancillary: list[tuple[int, int, array.array[int]]]) -> bytes:
        if self._socket is None:
            self._socket = self._begin()
        try:
            self._socket.sendmsg([request], ancillary)
            answer = self._socket.recv(64)
        except OSError as error:
            raise ExecutorError(f"the process that starts executors is gone: {error}") from error
        if not answer:
            raise ExecutorError("the process that starts executors ended unexpectedly")
        return answer.strip()

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._helper = subprocess.Popen(
                [sys.executable, "-m", "tidemill.runtime.spawner", str(theirs.fileno()), *self.preload],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env=executor_environment(),
            )
        return ours


# --- the helper process ---------------------------------------------------------------------------


def _serve(connection: socket.socket) -> None:
    ended: dict[int, int] = {}
    while True:
        request, fds, _, _ = socket.recv_fds(connection, 64, 3)
        if not request:
            return
        if request.startswith(b"spawn"):
            pid = os.fork()
            if pid == 0:
                _become_child(connection, *fds)
            for fd in fds:
                os.close(fd)
            connection.sendall(f"{pid}\n".encode())
        else:
            connection.sendall(_status(int(request.split()[1]), ended))


def _status(pid: int, ended: dict[int, int]) -> bytes:
    if pid not in ended:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found == 0:
            return b"running\n"
        ended[pid] = os.waitstatus_to_exitcode(status)
    return f"{ended[pid]}\n".encode()


def _become_child(connection: socket.socket, order: int, answer: int, log: int) -> None:
    """In the forked process: take the descriptors, run the order, and never come back."""
    from tidemill.runtime import child

    status = 1
    try:
        os.setsid()
        connection.close()
        for source, target in ((order, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.close(order)
        os.close(log)
        status = child.serve(answer)
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _main(fd: int, modules: Sequence[str]) -> int:
    for module in ("tidemill.runtime.child", *modules):
        importlib.import_module(module)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=fd) as connection:
        _serve(connection)
    return 0


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1]), sys.argv[2:]))
