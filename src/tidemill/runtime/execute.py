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

from tidemill.runtime import child
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.order import Answer, Order

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
    with log.open("a", encoding="utf-8") as file, _redirected(file.fileno()):
        answer = child.perform(order)
    return _checked(answer)


def execute_in_child(order: Order, log: Path, *, timeout: float, cancel: CancelToken) -> Answer | Failure:
    """Run the order in a child process; end it and all it started when it is over, late or canceled."""
    answer_end, child_end = os.pipe()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tidemill.runtime.child", str(child_end)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=(child_end,),
            start_new_session=True,
            env=environment,
        )
    os.close(child_end)
    try:
        ended = _converse(process, answer_end, order, timeout, cancel)
        if isinstance(ended, Failure):
            return ended
        return _judge(process.wait(), ended)
    finally:
        os.close(answer_end)
        _kill_group(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()


def _converse(
    process: subprocess.Popen[bytes], answer_end: int, order: Order, timeout: float, cancel: CancelToken
) -> bytes | Failure:
    """Hand over the order and wait for the answer, the end of the process, lateness or cancelling."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(order.to_json()).encode() + b"\n")
        process.stdin.flush()  # it stays open: its end would tell the child that we died
    deadline = time.monotonic() + timeout if timeout else None
    answer = b""
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        readable, _, _ = select.select([answer_end, cancel.fileno()], [], [], left)
        if answer_end in readable:
            piece = os.read(answer_end, 1 << 16)
            if not piece:
                return answer
            answer += piece
        elif readable:
            _stop(process)
            return Failure(kind=FailureKind.CANCELED, message="canceled")
        else:
            _stop(process)
            return Failure(kind=FailureKind.TIMEOUT, message=f"took longer than its timeout of {timeout:g} s")


def _judge(status: int, answer: bytes) -> Answer | Failure:
    """What an ended process means. It may answer and only then be killed: the answer counts."""
    if answer:
        with contextlib.suppress(ValueError):
            return _checked(Answer.from_json(json.loads(answer)))
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


def _stop(process: subprocess.Popen[bytes]) -> None:
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
