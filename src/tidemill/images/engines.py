"""Building a context with what this machine has: docker with or without buildx, podman, buildah.

Each gives the digest that the registry knows the image by, or without a push the id that this machine knows
it by. What an engine prints goes to stderr as it comes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tidemill.errors import ImageError, RegistryError, did_you_mean
from tidemill.images import layer
from tidemill.images.context import BAKE, DOCKERFILE
from tidemill.images.manifest import Platform
from tidemill.images.reference import DIGEST, Reference
from tidemill.images.transport import is_loopback

_ASK = 30.0
"""Seconds that an engine may take to answer a question."""
_STDERR = 2
_QUESTIONS = {
    "buildx": ["docker", "buildx", "version"],
    "docker": ["docker", "info", "--format", "{{.ID}}"],
    "podman": ["podman", "info", "--format", "{{.Host.Arch}}"],
    "buildah": ["buildah", "info"],
}
"""Engine -> what it is asked to see whether it is there, the preferred one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to build. `base` and `name` say which registries are on this machine, and so without TLS."""

    folder: Path
    name: Reference
    base: Reference
    platform: Platform
    push: bool


def find_engine(chosen: str = "") -> str:
    """The first engine that answers, or the chosen one; ImageError says what each said."""
    if chosen and chosen not in _QUESTIONS:
        raise ImageError(f"there is no engine {chosen!r}", hint=did_you_mean(chosen, _QUESTIONS))
    said = []
    for engine in [chosen] if chosen else _QUESTIONS:
        why = _silent(engine)
        if not why:
            return engine
        said.append(f"{engine}: {why}")
    raise ImageError(
        f"no engine that builds images answers ({'; '.join(said)})",
        hint="install one of them and start it; or use --append BASE, which needs none",
    )


def _silent(engine: str) -> str:
    """Why an engine cannot be used; empty when it can."""
    words = _QUESTIONS[engine]
    if shutil.which(words[0]) is None:
        return "not installed"
    for question in [words, _QUESTIONS["docker"]] if engine == "buildx" else [words]:
        try:
            asked = subprocess.run(question, capture_output=True, text=True, timeout=_ASK, check=False,
                                   stdin=subprocess.DEVNULL)  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if asked.returncode or not asked.stdout.strip():
            last = (asked.stderr.strip() or asked.stdout.strip()).splitlines()[:1]
            return last[0] if last else f"ended with {asked.returncode}"
    return ""


def build(engine: str, order: Order) -> str:
    """Build, and push when asked; the digest in the registry, or without a push the image's id.

    RegistryError when the engine fails; what it said stands on stderr.
    """
    with tempfile.TemporaryDirectory(prefix="tidemill-build-") as notes:
        return _BUILDERS[engine](order, Path(notes))


def _buildx(order: Order, notes: Path) -> str:
    told = notes / "metadata.json"
    _run(["docker", "buildx", "bake", "--file", BAKE, "--set", f"pipeline.tags={order.name}",
          "--metadata-file", str(told), "--push" if order.push else "--load"], order)  # fmt: skip
    if not order.push:
        return _id(["docker", "image", "inspect", "--format", "{{.Id}}", str(order.name)])
    found = json.loads(told.read_text(encoding="utf-8"))
    return _digest(str(found.get("pipeline", {}).get("containerimage.digest", "")), "buildx")


def _docker(order: Order, notes: Path) -> str:
    told = notes / "id"
    _run(
        ["docker", "build", "--tag", str(order.name), "--iidfile", str(told), "--file", DOCKERFILE, "."],
        order,
    )
    if not order.push:
        return _digest(told.read_text(encoding="utf-8").strip(), "docker")
    _run(["docker", "push", str(order.name)], order)
    names = json.loads(
        _id(["docker", "image", "inspect", "--format", "{{json .RepoDigests}}", str(order.name)])
    )
    start = f"{order.name.registry}/{order.name.repository}@"
    return _digest(next((n.removeprefix(start) for n in names if n.startswith(start)), ""), "docker")


def _podman(order: Order, notes: Path) -> str:
    return _of_files(["podman", "build"], ["podman", "push"], order, notes)


def _buildah(order: Order, notes: Path) -> str:
    return _of_files(["buildah", "build"], ["buildah", "push"], order, notes)


def _of_files(building: list[str], pushing: list[str], order: Order, notes: Path) -> str:
    """podman and buildah: one time for all files, so equal contexts on equal bases give equal images."""
    told, digest = notes / "id", notes / "digest"
    near = ["--tls-verify=false"] if is_loopback(order.base.registry) else []
    how = ["--platform", str(order.platform), "--timestamp", str(layer.EPOCH), "--file", DOCKERFILE]
    _run([*building, *near, "--tag", str(order.name), "--iidfile", str(told), *how, "."], order)
    if not order.push:
        return _digest(told.read_text(encoding="utf-8").strip(), building[0])
    near = ["--tls-verify=false"] if is_loopback(order.name.registry) else []
    _run([*pushing, *near, "--digestfile", str(digest), str(order.name)], order)
    return _digest(digest.read_text(encoding="utf-8").strip(), building[0])


_BUILDERS: dict[str, Callable[[Order, Path], str]] = {
    "buildx": _buildx, "docker": _docker, "podman": _podman, "buildah": _buildah,
}  # fmt: skip


def _run(words: list[str], order: Order) -> None:
    done = subprocess.run(words, cwd=order.folder, stdout=_STDERR, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        what = "push" if "push" in words[:2] else "build"
        hint = f"docker login {order.name.registry}?" if what == "push" else "it says why above"
        raise RegistryError(
            f"{words[0]} could not {what} {order.name} (exit code {done.returncode})", hint=hint
        )


def _id(words: list[str]) -> str:
    asked = subprocess.run(words, capture_output=True, text=True, timeout=_ASK, check=False,
                           stdin=subprocess.DEVNULL)  # fmt: skip
    if asked.returncode:
        raise RegistryError(f"{words[0]} does not know the image it made: {asked.stderr.strip()}")
    return asked.stdout.strip()


def _digest(text: str, engine: str) -> str:
    if not DIGEST.fullmatch(text):
        raise RegistryError(f"{engine} says no digest of what it made, but {text!r}")
    return text
