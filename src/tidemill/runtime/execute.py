"""Executing an order: in a child process of its own, or here.

The child leads a process group, so that whatever it started can be ended with it. Its output goes
straight into the log file: it is kept even if this process dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tidemill.runtime import child
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.order import Answer, Order
from tidemill.runtime.spawner import Spawner, executor_environment

GRACE = 5.0
"""Seconds between asking a process group to end and killing it."""


class CancelToken:
    """Cancels every execution that was given it, at once and for good."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self.canceled = False

    def cancel(self) -> None:
        """Ask all executions to end."""
        if not self.canceled:
            self.canceled = True
            os.close(self._write)

    def fileno(self) -> int:
        """Becomes readable when canceled."""
        return self._read


def execute_here(order: Order, log: Path) -> Answer | Failure:
    """Run the order in this process, with stdout and stderr going to the log. One at a time."""
    with (
        log.open("a", encoding="utf-8", buffering=1) as file,
        _redirected(file.fileno()),
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        answer = child.perform(order)
    return _checked(answer)


class Process(Protocol):
    """What executing needs of a process: `subprocess.Popen` and `SpawnedProcess` have it."""

    @property
    def pid(self) -> int:
        """Process id, and id of its group."""

    def wait(self, timeout: float | None = None) -> int | None:
        """Exit status, negative for a signal."""


def execute_in_child(
    order: Order, log: Path, *, timeout: float, cancel: CancelToken, spawner: Spawner | None = None
) -> Answer | Failure:
    """Run the order in a child process; end it and all it started when it is over, late or canceled."""
    order_end, order_write = os.pipe()
    answer_read, answer_end = os.pipe()
    try:
        with log.open("ab") as output:
            process = _start(order_end, answer_end, output.fileno(), spawner)
    finally:
        os.close(order_end)
        os.close(answer_end)
    try:
        ended = _converse(process, order_write, answer_read, order, timeout, cancel)
        return ended if isinstance(ended, Failure) else _judge(process, ended)
    finally:
        os.close(answer_read)
        _kill_group(process.pid, signal.SIGKILL)
        process.wait()
        os.close(order_write)


def _start(order: int, answer: int, log: int, spawner: Spawner | None) -> Process:
    if spawner is not None:
        return spawner.start(order, answer, log)
    return subprocess.Popen(
        [sys.executable, "-m", "tidemill.runtime.child", str(answer)],
        stdin=order,
        stdout=log,
        stderr=log,
        pass_fds=(answer,),
        start_new_session=True,
        env=executor_environment(),
    )


def _converse(
    process: Process, order_write: int, answer_read: int, order: Order, timeout: float, cancel: CancelToken
) -> bytes | Failure:
    """Hand over the order and wait for the answer, the end of the process, lateness or cancelling."""
    # The pipe stays open after this: its end would tell the child that we died.
    with contextlib.suppress(BrokenPipeError):
        _write_all(order_write, json.dumps(order.to_json()).encode() + b"\n")
    deadline = time.monotonic() + timeout if timeout else None
    answer = b""
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        readable, _, _ = select.select([answer_read, cancel.fileno()], [], [], left)
        if answer_read in readable:
            piece = os.read(answer_read, 1 << 16)
            if not piece:
                return answer
            answer += piece
        elif readable:
            _stop(process)
            return Failure(kind=FailureKind.CANCELED, message="canceled")
        else:
            _stop(process)
            return Failure(kind=FailureKind.TIMEOUT, message=f"took longer than its timeout of {timeout:g} s")


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _judge(process: Process, answer: bytes) -> Answer | Failure:
    """What the end of the answer means. Who answered and was killed only then has still answered."""
    if answer:
        with contextlib.suppress(ValueError):
            return _checked(Answer.from_json(json.loads(answer)))
    status = 0
    with contextlib.suppress(subprocess.TimeoutExpired):
        status = process.wait(GRACE) or 0
    if status < 0:
        name = signal.Signals(-status).name
        hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
        return Failure(kind=FailureKind.KILLED, message=f"the process was killed by {name}{hint}")
    return Failure(
        kind=FailureKind.EXCEPTION, message=f"the process ended with status {status} before it answered"
    )


def _checked(answer: Answer) -> Answer | Failure:
    if not answer.failure_kind:
        return answer
    return Failure(kind=FailureKind(answer.failure_kind), message=answer.message, exception=answer.exception)


def _stop(process: Process) -> None:
    """TERM to the group, then KILL what is left after the grace period."""
    _kill_group(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    _kill_group(process.pid, signal.SIGKILL)


def _kill_group(group: int, signal_number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal_number)


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
