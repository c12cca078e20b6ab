"""Executing an order: in a process of its own under a supervisor, or here.

The supervisor (supervise.py) watches the executor and ends whatever it started; this module starts the
supervisor, tells it when to cancel, and reads its report. When this process dies, it ends by itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from tidemill.errors import ExecutorError
from tidemill.runtime import child
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.judge import failure_of, judge
from tidemill.runtime.limits import Limits
from tidemill.runtime.measure import Usage, of_this_process
from tidemill.runtime.order import Answer, Order
from tidemill.runtime.report import Report
from tidemill.runtime.spawner import Spawner, executor_environment

GRACE = 3.0
"""Seconds between asking processes to end and killing them."""
_REPORTING = 5.0
"""Seconds that a supervisor may take, after the grace, to end everything and report."""


class CancelToken:
    """Cancels every execution that was given it, at once and for good."""

    def __init__(self) -> None:
        self.canceled = False
        self._lock = threading.RLock()  # a signal may come while its own thread cancels
        self._pipe: tuple[int, int] | None = None
        self._closed = False
        self._is_sure = False
        self._is_wanted: Callable[[], bool] | None = None

    def cancel(self, is_wanted: Callable[[], bool] | None = None) -> None:
        """Ask all executions to end. Without `is_wanted` somebody wants that; with it, see `lost`."""
        with self._lock:
            self._is_sure = self._is_sure or is_wanted is None
            self._is_wanted = is_wanted or self._is_wanted
            if not self.canceled:
                self.canceled = True
                if self._pipe is not None and not self._closed:
                    os.close(self._pipe[1])

    @property
    def lost(self) -> bool:
        """Canceled though nobody wants the node to end: its machine goes away, and another try is to do it.

        To be asked once all has ended, for finding out may take as long as `is_wanted` does.
        """
        return self.canceled and not self._is_sure and self._is_wanted is not None and not self._is_wanted()

    def __del__(self) -> None:
        """A process that drives many runs must not run out of descriptors."""
        self.close()

    def fileno(self) -> int:
        """Becomes readable when canceled. Made when first asked for: most tokens are never waited on."""
        with self._lock:
            if self._pipe is None:
                self._pipe = os.pipe()
                if self.canceled:
                    os.close(self._pipe[1])
            return self._pipe[0]

    def close(self) -> None:
        """Give the descriptors back; nothing that was given the token may run any more."""
        with self._lock:
            if self._pipe is not None and not self._closed:
                self._closed = True
                for descriptor in self._pipe[: 1 if self.canceled else 2]:
                    os.close(descriptor)


def execute_here(order: Order, log: Path, usage: Usage | None = None) -> Answer | Failure:
    """Run the order in this process, with stdout and stderr going to the log. One at a time.

    No limit is enforced here: a process cannot be stopped from within.
    """
    before = of_this_process()
    with (
        log.open("a", encoding="utf-8", buffering=1) as file,
        _redirected(file.fileno()),
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        answer = child.perform(order)
    if usage is not None:
        usage.cpu = of_this_process() - before
        usage.began, usage.seconds = answer.began, answer.seconds
    return failure_of(answer) if answer.failure_kind else answer


class Process(Protocol):
    """What executing needs of a supervisor, however it was started."""

    pid: int

    @property
    def control(self) -> int:
        """Where requests are written."""

    @property
    def report(self) -> int:
        """Where reports are read."""

    def wait(self, timeout: float) -> int | None:
        """Exit status, negative for a signal; None when it still runs by then."""

    def release(self, *, usable: bool) -> None:
        """It is not needed any more; a `usable` one can take another attempt."""


class _FreshProcess(subprocess.Popen[bytes]):
    """A supervisor that was started as a program, for one attempt."""

    def __init__(self) -> None:
        control, self.control = os.pipe()
        self.report, report = os.pipe()
        try:
            super().__init__(
                [sys.executable, "-m", "tidemill.runtime.supervise", str(report)],
                stdin=control,
                pass_fds=(report,),
                start_new_session=True,
                env=executor_environment(),
            )
        finally:
            os.close(control)
            os.close(report)

    def release(self, *, usable: bool) -> None:  # noqa: ARG002 - the protocol's
        """The end of its requests is the end of everything it started."""
        os.close(self.control)
        os.close(self.report)
        self.wait()


def execute_in_child(
    order: Order, log: Path, *, cancel: CancelToken, timeout: float = 0.0, limits: Limits | None = None,
    spawner: Spawner | None = None, command: Sequence[str] = (), removal: Sequence[str] = (),
    usage: Usage | None = None,
) -> Answer | Failure:  # fmt: skip
    """Run the order under a supervisor, which ends it and all it started when it is over, late or canceled.

    `command` starts another interpreter that reads the order, and `removal` removes what it left if this
    process dies; see supervise.py. What was used is noted in `usage`.
    """
    limits = dataclasses.replace(limits or Limits(run=timeout), grace=GRACE)
    request = {"order": order.to_json(), "limits": limits.to_json(), "log": str(log)}
    request |= {"command": [*command], "removal": [*removal]}
    if usage is not None:
        usage.memory_limit = limits.memory
    process = _start(spawner)
    report: Report | None = None
    try:
        report = _converse(process, json.dumps(request).encode() + b"\n", limits, cancel)
        if report is None:
            return _lost(process, cancel)
        if usage is not None:
            usage.take(report)
        return judge(report, limits)
    finally:
        process.release(usable=report is not None and not report.left)


def _start(spawner: Spawner | None) -> Process:
    return _FreshProcess() if spawner is None else spawner.start()


def _converse(process: Process, request: bytes, limits: Limits, cancel: CancelToken) -> Report | None:
    """Hand over the request and wait for the report; None when the supervisor ended without one."""
    control, report = process.control, process.report
    # The pipe stays open after this: its end would tell the supervisor that we died.
    with contextlib.suppress(BrokenPipeError):
        _write_all(control, request)
    said = b""
    waiting = [report, cancel.fileno()]
    deadline: float | None = None
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        readable, _, _ = select.select(waiting, [], [], left)
        if report in readable:
            piece = os.read(report, 1 << 16)
            if not piece or piece.endswith(b"\n"):
                return _read_report(said + piece)
            said += piece
        elif readable:
            waiting.remove(cancel.fileno())
            deadline = time.monotonic() + limits.grace + _REPORTING
            with contextlib.suppress(BrokenPipeError):
                _write_all(control, b"cancel\n")
        else:
            return None


def _read_report(said: bytes) -> Report | None:
    try:
        return Report.from_json(json.loads(said))
    except ValueError:
        return None


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _lost(process: Process, cancel: CancelToken) -> Failure:
    """The supervisor gave no report: it died, or does not answer any more."""
    if cancel.canceled:
        _kill(process.pid)
        return Failure(kind=FailureKind.CANCELED, message="canceled")
    status = None
    with contextlib.suppress(subprocess.TimeoutExpired, ExecutorError):
        status = process.wait(GRACE)
    _kill(process.pid)
    how = "" if status is None else f" with status {status}"
    return Failure(kind=FailureKind.LOST, message=f"the process that watched the executor vanished{how}")


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def _redirected(target: int) -> Iterator[None]:
    """Point file descriptors 1 and 2 at `target`, so that output of C code is caught too."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, number)
            os.close(copy)
