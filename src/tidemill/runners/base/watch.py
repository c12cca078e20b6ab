"""Watching what the store asks of the runs of this process: a request to end, or another owner.

One thread asks one cheap question for all of them, several times a second. Who makes a request on the same
machine wakes it with a signal, so that it need not wait for the next time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from tidemill.errors import StoreError
from tidemill.metadata.model import CANCEL
from tidemill.metadata.store import MetadataStore
from tidemill.runtime import owner
from tidemill.runtime.execute import CancelToken

POLL_SECONDS = 0.4
"""Time between two questions."""
_SIGNAL = getattr(signal, "SIGURG", None)
"""A process that does not know of it ignores it."""

_woken = threading.Event()


class Watch:
    """Cancels the tokens of runs that are to end. Use it as a context manager."""

    def __init__(self, store: MetadataStore, poll: float = POLL_SECONDS) -> None:
        self.store = store
        self.poll = poll
        self._tokens: dict[str, CancelToken] = {}
        self._lock = threading.Lock()
        self._over = False
        self._thread = threading.Thread(target=self._follow, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        _woken.set()
        self._thread.join()

    def add(self, run_id: str, token: CancelToken) -> None:
        """Watch a run that this process owns."""
        with self._lock:
            self._tokens[run_id] = token

    def remove(self, run_id: str) -> None:
        """It is over."""
        with self._lock:
            self._tokens.pop(run_id, None)

    def look(self) -> None:
        """Ask once."""
        with self._lock:
            tokens = dict(self._tokens)
        if not tokens:
            return
        with contextlib.suppress(StoreError):  # the next time may be better; nodes meet the same trouble
            asked = self.store.driven_by(owner.myself())
            for run_id, token in tokens.items():
                if asked.get(run_id, CANCEL) == CANCEL:  # a run that is not ours any more must end here, too
                    with self._lock:
                        if self._tokens.get(run_id) is token:
                            token.cancel()

    def _follow(self) -> None:
        while not self._over:
            _woken.wait(self.poll)
            _woken.clear()
            self.look()


@contextlib.contextmanager
def waking() -> Iterator[None]:
    """A block in which the signal of `wake` is heard; for the main thread of a process."""
    if _SIGNAL is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(_SIGNAL, lambda *_: _woken.set())
    try:
        yield
    finally:
        signal.signal(_SIGNAL, before)


def wake(process: str) -> None:
    """Wake the watch of another process, if it is alive on this machine. Harmless to any process."""
    pid = owner.pid_of(process)
    if _SIGNAL is not None and pid:
        with contextlib.suppress(OSError):
            os.kill(pid, _SIGNAL)
