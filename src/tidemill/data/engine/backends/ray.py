"""Blocks done as tasks of a Ray cluster, or of a local one."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tidemill.data.engine.backends import Backend, flags, missing
from tidemill.data.engine.blocks import Block
from tidemill.data.engine.work import Work

IN_FLIGHT = 1000
"""Tasks that Ray is given at a time: it keeps a record of each."""


class Ray:
    """A connection to Ray."""

    def __init__(self, library: Any) -> None:
        self.ray = library

    def map(self, work: Work, blocks: Sequence[Block]) -> Iterator[tuple[int, bytes]]:
        """As they end."""
        task = self.ray.remote(_call)
        shared = self.ray.put(work)
        waiting: list[Any] = []
        for block in blocks:
            if len(waiting) >= IN_FLIGHT:
                (done, *_), waiting = self.ray.wait(waiting, num_returns=1)
                yield self.ray.get(done)
            waiting.append(task.remote(shared, block))
        while waiting:
            (done, *_), waiting = self.ray.wait(waiting, num_returns=1)
            yield self.ray.get(done)


@contextmanager
def ray(options: Sequence[str] = ()) -> Iterator[Backend]:
    """Opens it; option `--address=...`. A connection that the process has already is used and left open."""
    given = flags("ray", options, ["address"])
    try:
        library: Any = importlib.import_module("ray")
    except ImportError:
        raise missing("ray", "ray") from None
    ours = not library.is_initialized()
    if ours:
        library.init(address=given.get("address"), log_to_driver=False, configure_logging=False)
    try:
        yield Ray(library)
    finally:
        if ours:
            library.shutdown()


def _call(work: Work, block: Block) -> tuple[int, bytes]:
    return work(block)
