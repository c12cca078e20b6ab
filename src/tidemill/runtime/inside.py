"""The environment of a node whose image this process runs in already: no container is to be started.

An engine that starts containers itself, Kubeflow Pipelines for one, gives the node's image to the task, and
says so in INSIDE. Then the image is what the executor finds, by the name the engine pulled it under.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tidemill.errors import ResolutionError
from tidemill.ir.model import EnvironmentIR, ResourcesIR
from tidemill.metadata.model import PropertyValue
from tidemill.runtime.entry import VENV_BOOT
from tidemill.runtime.making import Place
from tidemill.runtime.order import Order
from tidemill.runtime.support import support
from tidemill.types.json import digest

INSIDE = "TIDEMILL_INSIDE_IMAGE"
"""Environment variable with the name of the image that this container was made from."""


class InsideImage:
    """The image around this process."""

    def __init__(self, wanted: EnvironmentIR, place: Place) -> None:
        self.wanted = wanted
        self.place = place

    @property
    def digest(self) -> str:
        """Covers the image by its digest, or by its name where it has none: a tag may come to mean another
        image, so it is better not used."""
        name, at, found = self.wanted.image.partition("@")
        image = found.removeprefix("sha256:") if at else name
        return digest({"image": image, "python": self.wanted.python})[:32]

    def facts(self) -> Mapping[str, PropertyValue]:
        """The image and the version of Python in it."""
        return {
            "tidemill.environment": self.digest,
            "tidemill.image": self.wanted.image,
            "tidemill.python": platform.python_version() if self._same() else self.wanted.python,
        }

    def command(self, order: Order, resources: ResourcesIR, folder: str) -> list[str]:  # noqa: ARG002 - as containers
        """Empty, for the interpreter that runs already; else what starts the one that the node names."""
        if self._same():
            return []
        found = shutil.which(self.wanted.python)
        if found is None:
            raise ResolutionError(
                f"the image {self.wanted.image} has no interpreter {self.wanted.python!r}",
                hint="name the one that it has: Container(image, python=...)",
            )
        tidemill = support(self.place)
        return [found, "-I", "-u", "-c", VENV_BOOT, str(tidemill.package), str(tidemill.dependencies)]

    def removal(self) -> list[str]:
        """Nothing: its processes are the supervisor's own."""
        return []

    def ended(self, *, well: bool) -> None:
        """Nothing is left of a process."""

    def _same(self) -> bool:
        """Whether the node wants the interpreter of this process."""
        found = shutil.which(self.wanted.python)
        mine = Path(sys.executable)
        return self.wanted.python in ("python", "python3") or (found is not None and mine.samefile(found))


def identify(wanted: EnvironmentIR, place: Place) -> InsideImage | None:
    """The image around this process, if an engine said that there is one.

    ResolutionError when it is another than the node wants: a container cannot start one beside itself.
    """
    inside = os.environ.get(INSIDE, "")
    if not inside:
        return None
    if inside != wanted.image:
        raise ResolutionError(
            f"the node wants the image {wanted.image}, and runs in {inside}",
            hint="compile the pipeline again: the engine starts each node in its own image",
        )
    return InsideImage(wanted, place)
