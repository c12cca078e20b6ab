"""Blocks done by processes of this machine.

They fork from a clean helper process that has the libraries loaded and no threads running, never from
this one, whose threads (polars, Arrow) would not survive a fork. So a worker is ready in milliseconds,
and the first one after half a second of imports.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from tidemill.data.engine.backends import Backend, flags
from tidemill.data.engine.backends.inline import Inline
from tidemill.data.engine.blocks import Block
from tidemill.data.engine.work import Work
from tidemill.errors import DataError, TransientError

WORTH_A_POOL = 2_000_000
"""Rows from which on the start of a pool is repaid: half a second, in which a worker does a million."""


class Pool:
    """Worker processes, started with the first blocks."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def map(self, work: Work, blocks: Sequence[Block]) -> Iterator[tuple[int, bytes]]:
        """As they end. TransientError when a worker is killed, which mostly means: out of memory."""
        if not blocks:
            return
        if self._executor is None:
            self._executor = _executor(self.workers)
        futures: list[Future[tuple[int, bytes]]] = [self._executor.submit(work, block) for block in blocks]
        try:
            for future in as_completed(futures):
                futures.remove(future)  # its result is not needed any longer than that
                yield future.result()
        except BrokenProcessPool:
            self._executor = None
            raise TransientError(
                f"a worker of the pool was killed while {self.workers} worked",
                hint="most often memory ran out: use fewer workers, as in --workers=1",
            ) from None
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """End the workers; blocks that nobody waits for are not begun."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None


class Auto:
    """A pool where there is enough to do, this process where there is not."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def map(self, work: Work, blocks: Sequence[Block]) -> Iterator[tuple[int, bytes]]:
        """By the pool or here."""
        many = sum(block.rows for block in blocks) > WORTH_A_POOL and len(blocks) > 1
        return self.pool.map(work, blocks) if many and self.pool.workers > 1 else Inline().map(work, blocks)


@contextmanager
def pool(options: Sequence[str] = ()) -> Iterator[Backend]:
    """Opens it; option `--workers=N`."""
    opened = Pool(_workers(options))
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def auto(options: Sequence[str] = ()) -> Iterator[Backend]:
    """Opens it; the options are the pool's."""
    opened = Pool(_workers(options))
    try:
        yield Auto(opened)
    finally:
        opened.close()


def _workers(options: Sequence[str]) -> int:
    text = flags("pool", options, ["workers"]).get("workers")
    if text is None:
        return available_cpus()
    if not text.isdecimal() or int(text) < 1:
        raise DataError(f"--workers={text} is not a number of processes", hint="such as --workers=2")
    return int(text)


def available_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _executor(workers: int) -> ProcessPoolExecutor:
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload(["polars", "tidemill.data.engine.work"])
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare)


def _prepare() -> None:
    """In a worker: the workers share the CPUs, so each uses one; an interrupt is the parent's to handle."""
    import pyarrow as pa

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["POLARS_MAX_THREADS"] = "1"  # read when polars first works, not when it is loaded
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed ends nothing by itself, and its workers would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
