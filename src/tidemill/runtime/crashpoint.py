"""Named points at which a test can kill the process, to prove that nothing is lost there.

`TIDEMILL_CRASHPOINT=publish.before:3` kills the process (SIGKILL) when it gets to that point for
the third time. Unset, a point costs two comparisons.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

POINTS = (
    "run.created", "claim.before", "claim.after", "resolve.after", "execute.before", "child.started",
    "child.executed", "child.sealed", "execute.after", "publish.before", "publish.after", "run.end.before",
    "run.end.after",
)  # fmt: skip
"""Every point that each run gets to, in the order in which it does."""
OTHERS = ("base.taken", "queue.taken", "cancel.requested", "cancel.taken")
"""Points of partial runs, of workers, and of whoever cancels."""

_name, _, _count = os.environ.get("TIDEMILL_CRASHPOINT", "").partition(":")
_left = int(_count or 1)
_lock = threading.Lock()
hook: Callable[[str], None] | None = None
"""Told of every point: for a simulation, in which the process must not really die."""


def reach(point: str) -> None:
    """Die here when the environment says so."""
    global _left
    if hook is not None:
        hook(point)
    if point != _name:
        return
    with _lock:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
