"""Blocks done as tasks of a Ray cluster, or of a local one."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tidemill.data.engine.backends import Backend, flags, missing
from tidemill.data.engine.blocks import Block
from tidemill.data.engine.work import Work
from tidemill.errors import TransientError

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
        _start(library, given.get("address"))
    try:
        yield Ray(library)
    finally:
        if ours:
            library.shutdown()


def _start(library: Any, address: str | None) -> None:
    try:
        library.init(address=address, log_to_driver=False, configure_logging=False)
    except Exception as error:  # Ray raises plain ones, too
        raise TransientError(
            f"Ray does not start here: {' '.join(str(error).split())}"
            if address is None
            else f"no Ray cluster at {address}: {' '.join(str(error).split())}",
            hint="see whether the cluster is up, and whether this machine has memory and CPUs to spare",
        ) from error


def _call(work: Work, block: Block) -> tuple[int, bytes]:
    return work(block)
