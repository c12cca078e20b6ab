"""The sign of life that a node can give while it works silently."""

from __future__ import annotations

import contextlib
import os

VARIABLE = "TIDEMILL_HEARTBEAT"
"""Names the file whose time of change is the sign. Inherited, so programs that a node starts can give
it as well: `touch "$TIDEMILL_HEARTBEAT"`."""


def heartbeat() -> None:
    """Say that the node is alive, as `NodeOptions(heartbeat=...)` asks for. Cheap; does nothing elsewhere.

    Whatever a node prints is a sign of life too.
    """
    if path := os.environ.get(VARIABLE):
        with contextlib.suppress(OSError):  # a sign that cannot be given must not fail the node
            os.utime(path)
