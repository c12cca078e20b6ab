"""The log of a node, copied to this process's own output while it grows.

Where a container's output is what its engine shows, people want to see there what the node prints. The log
itself stays where it is on every runner.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

_LOOK = 0.5
"""Seconds between two looks."""


@contextlib.contextmanager
def shown(log: Path, most: int = 0) -> Iterator[None]:
    """Within this block what is written to the log appears on stdout: the first `most` bytes, 0 being all.

    What there is when the block ends is shown to its end.
    """
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=(log, most, over), name="log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _follow(log: Path, most: int, over: threading.Event) -> None:
    told, last = 0, b"\n"
    while True:
        ended = over.wait(_LOOK)
        with contextlib.suppress(OSError), log.open("rb") as stream:
            stream.seek(told)
            data = stream.read(most - told if most else -1)
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
            told, last = told + len(data), data[-1:] or last
        if ended:
            if last != b"\n":
                sys.stdout.write("\n")
            if most and told >= most:
                sys.stdout.write("[the rest is in the log alone]\n")
            sys.stdout.flush()
            return
