"""The image without any engine: layers more on a base in a registry, pushed beside it.

The layers of the base are not read where both lie in one registry: it is told to have them in both places.
The same recipe, wheels and base give the same digest, wherever and however often this is done.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tidemill.errors import ImageError, RegistryError
from tidemill.images import manifest, recipe
from tidemill.images.layer import Entry, Layer, file_mode, write_layer
from tidemill.images.manifest import Image, Platform, Settings
from tidemill.images.recipe import Recipe
from tidemill.images.reference import Reference
from tidemill.images.registry import Registry, opener

_NOTE = "tidemill image --append"


@dataclass(frozen=True, slots=True)
class Base:
    """A base as its registry has it, for one platform."""

    name: Reference
    """With the digest of the image for that platform."""
    image: Image
    registry: Registry

    @property
    def python(self) -> str:
        """Minor version of its Python, where it says so as the usual images do; else empty."""
        version = self.image.environment.get("PYTHON_VERSION", "")
        return ".".join(version.split(".")[:2]) if version.count(".") else ""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was pushed."""

    name: Reference
    """By its digest."""
    layers: tuple[Layer, ...]
    """Ours."""
    sent: int
    """Compressed bytes of those that the registry did not have."""
    base: Mapping[str, int]
    """How many layers of the base were `there`, `mounted` or `copied`."""


def read_base(
    name: Reference, platform: Platform, *, open_registry: Callable[[str], Registry] = Registry
) -> Base:
    """The base; ImageError when it has no image for the platform, RegistryError when it cannot be had."""
    registry = open_registry(name.registry)
    document = registry.manifest(name.repository, name.version)
    if digest := manifest.chosen(document, platform):
        document = registry.manifest(name.repository, digest)
        if manifest.chosen(document, platform):
            raise RegistryError(f"{name} is an index of indexes")
    about = manifest.descriptor(document)
    body = registry.blob(name.repository, str(about["digest"]), int(about["size"]))
    try:
        config = json.loads(body)
        found = manifest.read(document, config)
    except (ValueError, AttributeError):
        raise RegistryError(f"{name} has a configuration that is not one of an image") from None
    if (found.platform.system, found.platform.machine) != (platform.system, platform.machine):
        raise ImageError(f"the base {name} is for {found.platform}, not for {platform}",
                         hint=f"choose another base, or --platform {found.platform}")  # fmt: skip
    return Base(name.pinned(document.digest), found, registry)


def parts(made: Recipe, packages: Iterable[Entry], own: Iterable[Entry]) -> list[list[Entry]]:
    """The files and folders of each layer: the packages, which seldom change, then tidemill and the code.

    `packages` and `own` have paths below the folder of packages.
    """
    code = [
        Entry(_inside(f"{recipe.CODE}/{f.path}"), f.place.read_bytes, file_mode(f.executable))
        for f in made.code
    ]
    folders = [Entry(_inside(path), mode=recipe.OPEN_MODE) for path in (recipe.USER_HOME, recipe.WORK)]
    last = [*own, *code, *folders, Entry(_inside(recipe.CODE), mode=file_mode(True))]
    return [part for part in (list(packages), last) if part]


def _inside(path: str) -> str:
    return path.lstrip("/")


SITE_BELOW = _inside(recipe.SITE)
"""Where packages lie in a layer."""


def append(
    made: Recipe, base: Base, files: Iterable[Iterable[Entry]], target: Reference, *,
    open_registry: Callable[[str], Registry] = Registry,
) -> Pushed:  # fmt: skip
    """Push the base with a layer more for each of `files` as `target`, under its tag when it has one."""
    settings = Settings(
        environment=recipe.with_path(made.environment, base.image.environment),
        labels={**made.labels, "org.opencontainers.image.base.digest": base.name.digest},
        user=recipe.USER, folder=recipe.WORK, command=recipe.COMMAND, note=_NOTE,
    )  # fmt: skip
    same = target.registry == base.name.registry
    registry = base.registry if same else open_registry(target.registry)
    how = _bring_base(base, registry, target)
    layers, sent = [], 0
    for part in files:
        with tempfile.NamedTemporaryFile(prefix="tidemill-layer-") as file:
            layer = write_layer(part, file.file, top=_inside(recipe.HOME))
            file.flush()
            if not registry.has_blob(target.repository, layer.digest):
                registry.push_blob(target.repository, layer.digest, layer.size, opener(file.name))
                sent += layer.size
        layers.append(layer)
    config, document = manifest.extended(base.image, layers, settings)
    about = manifest.descriptor(document)
    if not registry.has_blob(target.repository, str(about["digest"])):
        registry.push_blob(target.repository, str(about["digest"]), len(config), lambda: io.BytesIO(config))
    registry.push_manifest(target.repository, target.tag or document.digest, document)
    return Pushed(target.pinned(document.digest), tuple(layers), sent, how)


def _bring_base(base: Base, registry: Registry, target: Reference) -> dict[str, int]:
    """See that the target has the base's layers; how many were there, mounted, or copied."""
    how: dict[str, int] = {}
    for layer in {str(item["digest"]): item for item in base.image.layers}.values():
        if layer.get("urls"):
            continue  # a layer that registries do not carry
        done = registry.bring(
            target.repository, str(layer["digest"]), int(layer["size"]), base.registry, base.name.repository
        )
        how[done] = how.get(done, 0) + 1
    return how
