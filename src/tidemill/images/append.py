"""The image without any engine: one layer more on a base in a registry, pushed beside it.

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
    layer: Layer
    layers: Mapping[str, int]
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


def entries(made: Recipe, site: Iterable[Entry]) -> list[Entry]:
    """The files and folders of the layer; `site` has paths below the folder of packages."""
    code = [
        Entry(_inside(f"{recipe.CODE}/{f.path}"), f.place.read_bytes, file_mode(f.executable))
        for f in made.code
    ]
    folders = [Entry(_inside(path), mode=recipe.OPEN_MODE) for path in (recipe.USER_HOME, recipe.WORK)]
    return [*code, *folders, Entry(_inside(recipe.CODE), mode=file_mode(True)), *site]


def _inside(path: str) -> str:
    return path.lstrip("/")


SITE_BELOW = _inside(recipe.SITE)
"""Where `site` lies in a layer."""


def append(
    made: Recipe, base: Base, site: Iterable[Entry], target: Reference, *,
    open_registry: Callable[[str], Registry] = Registry,
) -> Pushed:  # fmt: skip
    """Push the base with a layer more as `target`, under its tag when it has one, and give its digest."""
    settings = Settings(
        environment=recipe.with_path(made.environment, base.image.environment),
        labels={**made.labels, "org.opencontainers.image.base.digest": base.name.digest},
        user=recipe.USER, folder=recipe.WORK, command=recipe.COMMAND, note=_NOTE,
    )  # fmt: skip
    registry = base.registry if target.registry == base.name.registry else open_registry(target.registry)
    with tempfile.NamedTemporaryFile(prefix="tidemill-layer-") as file:
        layer = write_layer(entries(made, site), file.file, top=_inside(recipe.HOME))
        file.flush()
        config, document = manifest.extended(base.image, layer, settings)
        how: dict[str, int] = {}
        for below in {str(item["digest"]): item for item in base.image.layers}.values():
            if below.get("urls"):
                continue  # a layer that registries do not carry
            done = registry.bring(target.repository, str(below["digest"]), int(below["size"]), base.registry,
                                  base.name.repository)  # fmt: skip
            how[done] = how.get(done, 0) + 1
        if not registry.has_blob(target.repository, layer.digest):
            registry.push_blob(target.repository, layer.digest, layer.size, opener(file.name))
    about = manifest.descriptor(document)
    if not registry.has_blob(target.repository, str(about["digest"])):
        registry.push_blob(target.repository, str(about["digest"]), len(config), lambda: io.BytesIO(config))
    registry.push_manifest(target.repository, target.tag or document.digest, document)
    return Pushed(target.pinned(document.digest), layer, how)
