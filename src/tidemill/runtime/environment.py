"""The environment of a node: what identifies it for the cache, and how an executor is started in it.

Two steps, because a node that is reused must not pay for an environment: `identify` finds out exactly
what is wanted (versions resolved, image found), `command` makes it and says what starts an executor in it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from tidemill.ir.model import EnvironmentIR, ResourcesIR
from tidemill.metadata.model import PropertyValue
from tidemill.runtime import container, inside, venv
from tidemill.runtime.making import Place
from tidemill.runtime.order import Order
from tidemill.storage.manifest import storage_error

DIGEST = "tidemill.environment"
"""Custom property of an execution: what identifies its environment. With it go `tidemill.python`,
`tidemill.packages` or `tidemill.image`, and `tidemill.environment_seconds` when it was made for this one."""


class Identified(Protocol):
    """An environment that is known exactly, but perhaps not made yet."""

    @property
    def digest(self) -> str:
        """Equal for environments that are the same."""

    def facts(self) -> Mapping[str, PropertyValue]:
        """What to record of it on the execution; complete once an executor ended."""

    def command(self, order: Order, resources: ResourcesIR, folder: str) -> list[str]:
        """What starts an executor in it, which is made if need be. `folder` is the attempt's own.

        The command gets the order on stdin and a descriptor for the answer as its last argument.
        """

    def removal(self) -> list[str]:
        """What removes the started process for good when the launcher died and cannot; or nothing."""

    def ended(self, *, well: bool) -> None:
        """The command's process is gone; `well` when it answered. Nothing of it may be left."""


def identify(wanted: EnvironmentIR, place: Place) -> Identified:
    """Resolve versions, or find the image.

    ResolutionError when a tool is missing or the wish cannot be understood, MakingFailed when a
    tool failed, MakingCanceled when canceled, StorageError when the root cannot be written.
    """
    with _storage_errors(place.folder):
        if not wanted.image:
            return venv.identify(wanted, place)
        return inside.identify(wanted, place) or container.identify(wanted, place)


def command_of(identified: Identified, order: Order, resources: ResourcesIR, folder: str) -> list[str]:
    """`identified.command(...)`, with the errors of `identify`."""
    with _storage_errors(Path(folder)):
        return identified.command(order, resources, folder)


@contextlib.contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    """A full disk or a folder that cannot be written, by its name."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, folder) from error
