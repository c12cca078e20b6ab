"""Executing an order on a thread of this process, for nodes without a process of their own.

A process has one stdout, and here it belongs to somebody else: a notebook, or the runner. So what the
executor's thread prints is caught by thread and written to the log; threads that it starts, and code
that writes to the descriptors itself, are not caught. Executors run one at a time: they may share
whatever the process holds. A thread cannot be killed, but it can be sent an exception, which it gets
at its next step of Python code.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from tidemill.runtime import child
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.judge import failure_of
from tidemill.runtime.measure import Usage
from tidemill.runtime.order import Answer, Order

_POLL = 0.05
_AGAIN = 1.0
"""Seconds after which a thread that swallowed the exception is sent another one."""

_turn = threading.Lock()


class _Stopped(KeyboardInterrupt):
    """Sent into the executor's thread. As an interruption it passes handlers of `Exception`."""


def execute_on_thread(
    order: Order, log: Path, *, timeout: float, cancel: CancelToken, usage: Usage | None = None
) -> Answer | Failure:
    """Run the order on this thread, once no other order runs here. Its answer may tell of a failure too."""
    while not _turn.acquire(timeout=_POLL):
        if cancel.canceled:
            return Failure(kind=FailureKind.CANCELED, message="canceled")
    try:
        watch = _Watch(timeout, cancel)
        try:
            with log.open("a", encoding="utf-8", buffering=1) as file, _Captured(file):
                answer = watch.around(lambda: child.perform(order))
        except OSError as error:
            return Failure(kind=FailureKind.STORAGE, message=f"cannot write {log}: {error}")
    finally:
        _turn.release()
    if answer is not None:
        if usage is not None:
            usage.began, usage.seconds = answer.began, answer.seconds
        return failure_of(answer) if answer.failure_kind else answer
    if watch.late:
        message = f"took longer than its timeout of {timeout:g} s"
        return Failure(kind=FailureKind.TIMEOUT, message=message, timeout="run")
    return Failure(kind=FailureKind.CANCELED, message="canceled")


def is_executing() -> bool:
    """Whether this thread is executing an order right now."""
    return threading.get_ident() in _by_thread


class _Watch:
    """Sends `_Stopped` into the thread that made it when it is late or canceled."""

    def __init__(self, timeout: float, cancel: CancelToken) -> None:
        self.timeout = timeout
        self.cancel = cancel
        self.late = False
        self._target = threading.get_ident()
        self._lock = threading.Lock()
        self._over = False
        self._read, self._write = os.pipe()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def around(self, action: Callable[[], Answer]) -> Answer | None:
        """What `action` gives; None when it was stopped."""
        answer = None
        self._thread.start()
        try:
            answer = action()
        except KeyboardInterrupt:
            self._interrupted()
        finally:
            self._end()
        return answer

    def _interrupted(self) -> None:
        """An interruption that came from elsewhere cancels the run, as Ctrl-C does."""
        if not (self.late or self.cancel.canceled):
            self.cancel.cancel()

    def _end(self) -> None:
        """Stop watching. The exception may come even now, so each step is tried until it is through."""
        while True:
            try:
                with self._lock:
                    self._over = True
                break
            except _Stopped:
                continue
        while self._thread.is_alive():
            try:
                if self._write >= 0:
                    write, self._write = self._write, -1
                    os.close(write)
                self._thread.join()
            except _Stopped:
                continue
        os.close(self._read)

    def _follow(self) -> None:
        deadline = time.monotonic() + self.timeout if self.timeout else None
        left = None if deadline is None else self.timeout
        readable, _, _ = select.select([self._read, self.cancel.fileno()], [], [], left)
        if self._read in readable:
            return
        self.late = not readable
        while True:
            with self._lock:
                if self._over:
                    return
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._target), ctypes.py_object(_Stopped)
                )
            if select.select([self._read], [], [], _AGAIN)[0]:
                return


# --- output ---------------------------------------------------------------------------------------


class _Captured:
    """While entered, what this thread prints goes to `file`."""

    _lock = threading.Lock()
    _users = 0

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def __enter__(self) -> None:
        with self._lock:
            if _Captured._users == 0:
                sys.stdout = _ByThread(sys.stdout)
                sys.stderr = _ByThread(sys.stderr)
            _Captured._users += 1
            _by_thread[threading.get_ident()] = self.file

    def __exit__(self, *_: object) -> None:
        with self._lock:
            _by_thread.pop(threading.get_ident(), None)
            _Captured._users -= 1
            if _Captured._users == 0:
                for name in ("stdout", "stderr"):
                    stream = getattr(sys, name)
                    if isinstance(stream, _ByThread):  # else somebody replaced it since: it is theirs
                        setattr(sys, name, stream.usual)


_by_thread: dict[int, IO[str]] = {}


class _ByThread:
    """A stream that is another one for some threads."""

    def __init__(self, usual: Any) -> None:
        self.usual = usual

    def __getattr__(self, name: str) -> Any:
        return getattr(_by_thread.get(threading.get_ident(), self.usual), name)

    def __iter__(self) -> Any:
        return iter(self.usual)
