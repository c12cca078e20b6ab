"""Where blocks are done: this process, a pool of processes, Apache Beam, Ray.

A backend applies a function to blocks, anywhere and in any order, and knows nothing of what it does.
Each library is loaded when its backend is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from tidemill.data.engine.blocks import Block
from tidemill.data.engine.work import Work
from tidemill.errors import DataError, did_you_mean


class Backend(Protocol):
    """An open backend."""

    def map(self, work: Work, blocks: Sequence[Block]) -> Iterator[tuple[int, bytes]]:
        """What `work` gives for each block, in any order. An exception in `work` is raised here."""
        ...


def open_backend(name: str, options: Sequence[str] = ()) -> AbstractContextManager[Backend]:
    """A backend, open until the context ends.

    name, and its options as flags:
        `inline`: this process. No options.
        `pool`: processes of this machine. `--workers=N`; as many as CPUs by default.
        `auto`: `pool` where it pays, for more than two million rows and more than one CPU; else `inline`.
        `beam`: Apache Beam; all of its pipeline options, such as `--runner=FlinkRunner`. Workers must see
            the files under the same paths. `--exchange=URI` is where they leave states, a folder that
            they and this process see; by default a local one, or `--temp_location`. There is no progress
            before the pipeline is done.
        `ray`: Ray; `--address=...`, a local one by default.

    DataError for an unknown name or option, and for a library that is not installed.
    """
    if name not in BACKENDS:
        raise DataError(f"there is no backend {name!r}", hint=did_you_mean(name, BACKENDS))
    return BACKENDS[name](options)


def flags(backend: str, options: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Options of the form `--name=value` by name. DataError for anything else."""
    found = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or name.removeprefix("--") not in known or not name.startswith("--"):
            hint = did_you_mean(name, [f"--{k}" for k in known]) if known else "leave backend_options out"
            raise DataError(f"the backend {backend!r} has no option {option!r}", hint=hint)
        found[name.removeprefix("--")] = value
    return found


def missing(backend: str, library: str) -> DataError:
    """The error for a backend whose library is not installed."""
    return DataError(
        f"the backend {backend!r} needs {library}, which is not installed here",
        hint=f"pip install 'tidemill[{backend}]', or choose another backend",
    )


def _inline(options: Sequence[str]) -> AbstractContextManager[Backend]:
    from tidemill.data.engine.backends.inline import inline

    return inline(options)


def _pool(options: Sequence[str]) -> AbstractContextManager[Backend]:
    from tidemill.data.engine.backends.pool import pool

    return pool(options)


def _auto(options: Sequence[str]) -> AbstractContextManager[Backend]:
    from tidemill.data.engine.backends.pool import auto

    return auto(options)


def _beam(options: Sequence[str]) -> AbstractContextManager[Backend]:
    from tidemill.data.engine.backends.beam import beam

    return beam(options)


def _ray(options: Sequence[str]) -> AbstractContextManager[Backend]:
    from tidemill.data.engine.backends.ray import ray

    return ray(options)


BACKENDS: dict[str, Callable[[Sequence[str]], AbstractContextManager[Backend]]] = {
    "auto": _auto,
    "inline": _inline,
    "pool": _pool,
    "beam": _beam,
    "ray": _ray,
}
"""Every backend by name, with the function that opens it for its options."""
