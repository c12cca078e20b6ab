"""Executors in containers: which engine, which image, and one command line per executor.

The order goes in through stdin, as for any other executor process. The answer comes out through a file
in a folder of the attempt's, since a container inherits no descriptors. Nobody's secret is on the command
line: variables are passed by name and their values through the environment of the engine's client.

A container ends when its client does: the client's end closes the container's stdin, upon which the
first process inside ends all others (`entry.py`). What was stopped is also removed by its name.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.errors import ResolutionError, StorageError
from tidemill.ir.model import EnvironmentIR, ResourcesIR
from tidemill.metadata.model import PropertyValue
from tidemill.runtime import entry
from tidemill.runtime.making import MakingFailed, Place, run_tool
from tidemill.runtime.order import Order
from tidemill.runtime.support import Support, support
from tidemill.storage import mirror
from tidemill.storage.uri import is_local, local_path
from tidemill.types.json import digest
from tidemill.types.source import FileSet

CHOICE = "TIDEMILL_CONTAINER_ENGINE"
"""Environment variable that names the engine's client: `docker`, `podman`, or a path."""
_INFO = {"docker": "{{json .SecurityOptions}}", "podman": "{{json .Host.Security.Rootless}}"}
_ASK = 30.0
"""Seconds that an engine may take to answer a question."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine that answers."""

    command: str
    name: str
    rootless: bool

    def user(self) -> list[str]:
        """Arguments after which files that the container writes belong to the user of this process."""
        if not self.rootless:
            return ["--user", f"{os.getuid()}:{os.getgid()}"]
        # Inside a rootless docker, root is the user outside; podman can keep the very number.
        return ["--userns", "keep-id"] if self.name == "podman" else []


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder that a container sees at the same path."""

    folder: str
    writable: bool = False

    def words(self) -> list[str]:
        """The arguments for it."""
        fields = ["type=bind", f"source={self.folder}", f"target={self.folder}"]
        fields += [] if self.writable else ["readonly"]
        return ["--mount", ",".join(_quoted(f) for f in fields)]


def find_engine() -> Engine:
    """The first engine that answers. ResolutionError says which were asked and what they said."""
    chosen = os.environ.get(CHOICE, "")
    said = []
    for command in [chosen] if chosen else ["docker", "podman"]:
        path = shutil.which(command)
        name = "podman" if "podman" in Path(command).name else "docker"
        if path is None:
            said.append(f"{command}: not installed")
            continue
        try:
            asked = subprocess.run([path, "info", "--format", _INFO[name]], capture_output=True, text=True,
                                   timeout=_ASK, check=False, stdin=subprocess.DEVNULL)  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            said.append(f"{command}: {error}")
            continue
        if asked.returncode == 0 and asked.stdout.strip():
            return Engine(path, name, rootless=any(w in asked.stdout for w in ("name=rootless", "true")))
        last = (asked.stderr.strip() or asked.stdout.strip()).splitlines()[-1:]
        said.append(f"{command}: {last[0] if last else f'ended with {asked.returncode}'}")
    raise ResolutionError(
        f"the node runs in a container, and no container engine answers ({'; '.join(said)})",
        hint=f"install docker or podman and start it, or name a client in {CHOICE}",
    )


def identify(wanted: EnvironmentIR, place: Place) -> ContainerOfNode:
    """The image by its id, pulled if this machine does not have it."""
    engine = find_engine()
    image = _image_id(engine, wanted.image)
    if not image:
        place.say(f"pulling the image {wanted.image}")
        run_tool([engine.command, "pull", "--quiet", wanted.image], place, env=None,
                 purpose=f"pulling the image {wanted.image}",
                 hint="is the name right, and can the registry be reached? An image can also be built or "
                      "loaded here")  # fmt: skip
        image = _image_id(engine, wanted.image)
    if not image:
        raise MakingFailed(f"{engine.name} does not know the image {wanted.image} after pulling it")
    return ContainerOfNode(engine, image, wanted, place)


def _image_id(engine: Engine, image: str) -> str:
    words = [engine.command, "image", "inspect", "--format", "{{.Id}}", image]
    try:
        asked = subprocess.run(words, capture_output=True, text=True, timeout=_ASK, check=False,
                               stdin=subprocess.DEVNULL)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MakingFailed(f"{engine.name} does not answer: {error}") from error
    return asked.stdout.strip() if asked.returncode == 0 else ""


class ContainerOfNode:
    """An image that this machine has."""

    def __init__(self, engine: Engine, image: str, wanted: EnvironmentIR, place: Place) -> None:
        self.engine = engine
        self.image = image
        self.wanted = wanted
        self.place = place
        self.name = f"tidemill-{secrets.token_hex(8)}"
        self.exchange: Path | None = None
        self.python = ""

    @property
    def digest(self) -> str:
        """Covers the image by its content, whatever its name."""
        return digest({"image": self.image.removeprefix("sha256:"), "python": self.wanted.python})[:32]

    def facts(self) -> dict[str, PropertyValue]:
        """Image, its id, and the version of Python that was found inside."""
        found: dict[str, PropertyValue] = {
            "tidemill.environment": self.digest,
            "tidemill.image": f"{self.wanted.image}@{self.image}",
        }
        if self.python:
            found["tidemill.python"] = self.python
        return found

    def command(self, order: Order, resources: ResourcesIR, folder: str) -> list[str]:
        """What starts an executor in it. The folder for its answer lies in that of the attempt."""
        self.exchange = mirror.place(folder) / ".exchange"
        self.exchange.mkdir(parents=True, exist_ok=True)
        files = support(self.place)
        mounts = _mounts(order, self.place.root, files, self.wanted.mounts)
        client = [sys.executable, "-m", "tidemill.runtime.client", str(self.exchange)]
        return [*client, *_command(self, order, resources, self.exchange, files, mounts)]

    def removal(self) -> list[str]:
        """Removes the container by its name. Podman keeps it on its books when its monitor was killed."""
        return [self.engine.command, "rm", "--force", self.name]

    def ended(self, *, well: bool) -> None:
        """Remove what it leaves behind: after a good end only the folder, else perhaps the container."""
        if self.exchange is None:
            return
        with contextlib.suppress(OSError):
            self.python = (self.exchange / entry.PYTHON).read_text(encoding="utf-8").strip()
        shutil.rmtree(self.exchange, ignore_errors=True)
        if not well:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(
                    self.removal(), capture_output=True, timeout=_ASK, check=False, stdin=subprocess.DEVNULL
                )


# --- the command line -----------------------------------------------------------------------------


def _command(
    of: ContainerOfNode, order: Order, resources: ResourcesIR, exchange: Path, files: Support,
    mounts: list[Mount],
) -> list[str]:  # fmt: skip
    """The client's whole command line."""
    words = [of.engine.command, "run", "--rm", "--interactive", "--pull=never", "--name", of.name]
    words += of.engine.user()
    words += ["--cpus", f"{resources.cpu:g}"] if resources.cpu else []
    words += ["--memory", f"{resources.memory}b"] if resources.memory else []
    words += ["--gpus", str(resources.gpu)] if resources.gpu else []
    for mount in mounts:
        words += mount.words()
    words += ["--workdir", order.workdir or str(of.place.root)]
    own = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(exchange)}
    for variable, value in own.items():
        words += ["--env", f"{variable}={value}"]
    for variable in of.wanted.env:
        words += ["--env", variable]  # the client takes the value from its own environment
    words += ["--entrypoint", of.wanted.python, of.image]
    words += ["-c", entry.CONTAINER_BOOT, str(files.package), str(files.dependencies)]
    return [*words, str(exchange)]


def _mounts(order: Order, root: Path, files: Support, further: tuple[str, ...]) -> list[Mount]:
    """Everything an executor may touch: root, working directory and `further` to write, the rest to read.

    A folder inside one that is mounted already is left out, but for tidemill's own, which lies inside
    the root and must not be written.
    """
    wanted = [Mount(str(root), writable=True)]
    wanted += [Mount(folder, writable=True) for folder in (order.workdir, *further) if folder]
    wanted += [Mount(folder) for folder in (order.code_root, *sorted(_read_folders(order))) if folder]
    found: list[Mount] = []
    for mount in wanted:
        inside = any(Path(mount.folder).is_relative_to(m.folder) for m in found)
        if not inside:
            found.append(mount)
    return [*found, Mount(str(files.folder))]


def _read_folders(order: Order) -> Iterator[str]:
    """Folders of input artifacts, and of the files among the parameters."""
    for given in order.inputs.values():
        for artifact in given.artifacts:
            yield artifact.path or str(local_path(artifact.uri))
    for files in _file_sets(order.parameters):
        for file in files.files:
            if is_local(file.uri):
                with contextlib.suppress(StorageError):
                    yield str(local_path(file.uri).parent)


def _file_sets(value: Any) -> Iterator[FileSet]:
    match value:
        case {"$files": Mapping() as files}:
            yield FileSet.from_json(files)
        case {"$plain": _}:
            return
        case Mapping():
            for item in value.values():
                yield from _file_sets(item)
        case list():
            for item in value:
                yield from _file_sets(item)


def _quoted(field: str) -> str:
    """A field of a list with commas, as CSV has it."""
    return '"' + field.replace('"', '""') + '"' if any(c in field for c in ',"\n') else field
