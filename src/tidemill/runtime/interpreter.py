"""An interpreter that is there already, in place of the one that runs tidemill; whoever launches names it.

It is to the cache what the runner's own environment is: nothing. For an environment that counts, a node says
`VirtualEnv` or `Container`. tidemill and what its core needs are lent to it, as to those.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from tidemill.errors import ResolutionError
from tidemill.ir.model import ResourcesIR
from tidemill.metadata.model import PropertyValue
from tidemill.runtime.entry import VENV_BOOT
from tidemill.runtime.making import Place
from tidemill.runtime.order import Order
from tidemill.runtime.support import support

INTERPRETER = "tidemill.interpreter"
"""Custom property of an execution: the interpreter that executed it, where one was named."""


def identify(python: str, place: Place) -> GivenInterpreter:
    """The interpreter at a path. ResolutionError when there is none."""
    if not os.access(python, os.X_OK):
        raise ResolutionError(
            f"the interpreter {python} is not there, or cannot be run",
            hint="make it on every machine that launches nodes, or name another one (option python)",
        )
    return GivenInterpreter(python, place)


@dataclass(frozen=True, slots=True)
class GivenInterpreter:
    """See tidemill.runtime.environment.Identified."""

    python: str
    place: Place

    @property
    def digest(self) -> str:
        """Nothing: for the cache it is as good as the runner's own interpreter."""
        return ""

    def facts(self) -> Mapping[str, PropertyValue]:
        """Which interpreter it was."""
        return {INTERPRETER: self.python}

    def command(self, order: Order, resources: ResourcesIR, folder: str) -> list[str]:  # noqa: ARG002 - as containers
        """What starts an executor in it. Isolated: nothing that the launcher's environment names gets in."""
        lent = support(self.place)
        return [self.python, "-I", "-u", "-c", VENV_BOOT, str(lent.package), str(lent.dependencies)]

    def removal(self) -> list[str]:
        """Nothing: its processes are the supervisor's own."""
        return []

    def ended(self, *, well: bool) -> None:
        """Nothing is left of a process."""
