"""Starting supervisors quickly: a helper process that has the imports behind it and forks.

A fresh Python process pays for its imports every time; a fork of one that did them already does
not. The helper runs no user code and starts no thread of its own, so each fork is as clean as a new
process. It ends when the process that made it ends.

Executors of a family that all load the same heavy libraries fork from a helper of their own, which has
those loaded; see `Spawner.of`.

    python -m tidemill.runtime.spawner SOCKET_FD MODULE...

speaks over the socket, one request at a time: `spawn` with two descriptors (control, report) is
answered with the pid of a supervisor, `wait PID` with its exit status (0 also when it ended well long
ago) or `running`. A supervisor forks again, for each executor; see supervise.py.
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
import warnings
from collections.abc import Sequence

from tidemill.errors import ExecutorError
from tidemill.metadata.remote.token import VARIABLE
from tidemill.runtime import processes

PRELOAD = ("tidemill.dsl.pipeline", "tidemill.dsl.component", "tidemill.dsl.resolver")
"""What the module of a pipeline imports of tidemill anyway, loaded once for all executor processes."""
_POLL_FIRST, _POLL_LAST = 0.0005, 0.02
"""Seconds between two questions whether a process has ended: from the first to the longest."""


def executor_environment() -> dict[str, str]:
    """What executors inherit: all but the token of a metadata server, for user code gets no store."""
    inherited = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return {**inherited, "PYTHONUNBUFFERED": "1"}


class SpawnedProcess:
    """A supervisor that the helper forked."""

    def __init__(self, spawner: Spawner, pid: int, control: int, report: int) -> None:
        self.spawner = spawner
        self.pid = pid
        self.control = control
        """Requests are written there; its end makes the supervisor end everything."""
        self.report = report
        """Reports are read from there."""

    def wait(self, timeout: float) -> int | None:
        """Exit status (a negative signal number when killed), or None when it still runs by then."""
        deadline = time.monotonic() + timeout
        pause = _POLL_FIRST
        while (status := self.spawner.status(self.pid)) is None and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(2 * pause, _POLL_LAST)
        return status

    def release(self, *, usable: bool) -> None:
        """It is not needed any more; a `usable` one waits for the next attempt."""
        if usable:
            self.spawner.idle.append(self)
        else:
            self.close()

    def close(self) -> None:
        """Let it end."""
        os.close(self.control)
        os.close(self.report)


class Spawner:
    """The helper process, started when it is first needed. Threads may share one."""

    def __init__(
        self, preload: Sequence[str] = (), *, family: str = "", libraries: Sequence[str] = ()
    ) -> None:
        self.preload = tuple(preload)
        self._family = family
        self._with_libraries = Spawner((*preload, *libraries)) if family else None
        self.idle: list[SpawnedProcess] = []
        """Supervisors without an attempt, the last used ones at the end."""
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._helper: subprocess.Popen[bytes] | None = None
        self._asked = False
        """Whether the helper was ever asked for anything."""

    def of(self, executor: str) -> Spawner:
        """The one whose helper has what an executor (`module:name`) of the family needs; else this one."""
        heavy = self._with_libraries
        return heavy if heavy is not None and executor.startswith(self._family) else self

    def warm(self) -> None:
        """Let the helper begin, without waiting for it: whoever starts something soon finds it ready."""
        with self._lock:
            if self._socket is None:
                self._socket = self._begin()

    def start(self) -> SpawnedProcess:
        """A supervisor for one attempt: an idle one, or a new one."""
        with contextlib.suppress(IndexError):
            return self.idle.pop()
        control_end, control = os.pipe()
        report, report_end = os.pipe()
        try:
            fds = array.array("i", [control_end, report_end])
            with self._lock:
                pid = int(self._ask(b"spawn\n", [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]))
        except BaseException:
            os.close(control)
            os.close(report)
            raise
        finally:
            os.close(control_end)
            os.close(report_end)
        return SpawnedProcess(self, pid, control, report)

    def status(self, pid: int) -> int | None:
        """Exit status of a process that was started here; None while it runs."""
        with self._lock:
            answer = self._ask(f"wait {pid}\n".encode(), [])
        return None if answer == b"running" else int(answer)

    def close(self) -> None:
        """End the supervisors and the helpers."""
        if self._with_libraries is not None:
            self._with_libraries.close()
        while self.idle:
            self.idle.pop().close()
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        """The helper ends when its socket closes, if it has not ended; the next order starts another."""
        if self._socket is not None and self._helper is not None:
            if not self._asked:  # it has no processes, and may still be busy with its imports
                self._helper.kill()
            self._socket.close()
            self._helper.wait()
            self._socket = self._helper = None
            self._asked = False

    def _ask(self, request: bytes, ancillary: list[tuple[int, int, array.array[int]]]) -> bytes:
        if self._socket is None:
            self._socket = self._begin()
        self._asked = True
        try:
            self._socket.sendmsg([request], ancillary)
            answer = self._socket.recv(64)
        except OSError as error:
            self._forget()
            raise ExecutorError(f"the process that starts executors is gone: {error}") from error
        if not answer:
            self._forget()
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
    supervisors: dict[int, int | None] = {}
    # A supervisor that was killed leaves its processes to us; nobody else would end them.
    processes.become_subreaper()
    while True:
        request, fds, _, _ = socket.recv_fds(connection, 64, 2)
        _reap(supervisors)
        if not request:
            # The supervisors end as well: whoever asked for them closed their requests, or is dead.
            with contextlib.suppress(ChildProcessError):
                while True:
                    os.wait()
            return
        if request.startswith(b"spawn"):
            pid = os.fork()
            if pid == 0:
                _become_supervisor(connection, *fds)
            supervisors[pid] = None
            for fd in fds:
                os.close(fd)
            connection.sendall(f"{pid}\n".encode())
        else:
            connection.sendall(_status(int(request.split()[1]), supervisors))


def _reap(supervisors: dict[int, int | None]) -> None:
    """Note who ended, and end the orphans of supervisors that were killed."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            if pid in supervisors:
                code = os.waitstatus_to_exitcode(status)
                if code == 0:  # it has reported; nobody asks for it
                    del supervisors[pid]
                else:
                    supervisors[pid] = code
                    _end_orphans(supervisors)


def _end_orphans(supervisors: dict[int, int | None]) -> None:
    mine = processes.children(os.getpid())
    orphans = [pid for pid in mine if pid not in supervisors]
    processes.signal_all([d for o in orphans for d in (o, *processes.descendants(o))], signal.SIGKILL)


def _status(pid: int, supervisors: dict[int, int | None]) -> bytes:
    if pid not in supervisors:
        return b"0\n"
    code = supervisors[pid]
    return b"running\n" if code is None else f"{code}\n".encode()


def _become_supervisor(connection: socket.socket, control: int, report: int) -> None:
    """In the forked process: supervise what is asked for, and never come back."""
    from tidemill.runtime import supervise

    status = 1
    try:
        os.setsid()
        connection.close()
        status = supervise.serve(report, control)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _main(fd: int, modules: Sequence[str]) -> int:
    # Allocators and numpy's BLAS have threads of their own, and handlers for forks that renew them.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    importlib.import_module("tidemill.runtime.supervise")
    for module in modules:
        with contextlib.suppress(ImportError):  # whoever needs it says better that it is missing
            importlib.import_module(module)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=fd) as connection:
        _serve(connection)
    return 0


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1]), sys.argv[2:]))
