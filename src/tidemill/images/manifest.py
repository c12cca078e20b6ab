"""Manifests and configurations of images: which platform is meant, and the same image with layers more.

Formats: the OCI image specification 1.1 (index, manifest, config) and Docker's image manifest version 2,
schema 2, which differ in their media types alone. What is not ours is carried over as it stands.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.errors import ImageError, RegistryError
from tidemill.images.layer import Layer
from tidemill.images.registry import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Document
from tidemill.types.json import canonical

_LAYER_OF = {
    OCI_MANIFEST: "application/vnd.oci.image.layer.v1.tar+gzip",
    DOCKER_MANIFEST: "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
_LAYERS_MOST = 127
"""What overlay file systems stack."""


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and a processor, as registries name them."""

    system: str
    machine: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(p for p in (self.system, self.machine, self.variant) if p)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """`linux/amd64` or `linux/arm/v7`; ImageError for anything else."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(p and p.isalnum() for p in parts):
            raise ImageError(f"{text!r} is no platform", hint="write it as linux/amd64 or linux/arm64")
        return cls(parts[0], parts[1], parts[2] if len(parts) == 3 else "")


@dataclass(frozen=True, slots=True)
class Image:
    """An image as data: its manifest, taken apart, and its configuration."""

    media_type: str
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def platform(self) -> Platform:
        """What it is for."""
        c = self.config
        return Platform(str(c.get("os", "")), str(c.get("architecture", "")), str(c.get("variant", "")))

    @property
    def layers(self) -> list[Mapping[str, Any]]:
        """Descriptors of its layers, the lowest first."""
        return list(self.manifest["layers"])

    @property
    def environment(self) -> dict[str, str]:
        """Its variables."""
        settings = self.config.get("config") or {}
        return dict(word.partition("=")[::2] for word in settings.get("Env") or [])


@dataclass(frozen=True, slots=True)
class Settings:
    """What an image with layers more says of itself; the rest is that of its base."""

    environment: Mapping[str, str]
    labels: Mapping[str, str]
    user: str
    folder: str
    command: tuple[str, ...]
    note: str


def chosen(document: Document, platform: Platform) -> str:
    """Digest of the manifest for a platform when the document is an index, else empty: it is a manifest.

    ImageError names the platforms there are. RegistryError for a document of neither kind.
    """
    content = _parsed(document)
    kind = document.media_type or str(content.get("mediaType", ""))
    if kind in _LAYER_OF:
        return ""
    if kind not in (OCI_INDEX, DOCKER_INDEX):
        hint = "push it again with an engine of this decade" if content.get("schemaVersion") == 1 else ""
        raise RegistryError(
            f"the base is a {kind or 'document without a media type'}, not an image", hint=hint
        )
    there: dict[str, str] = {}
    for item in content.get("manifests", ()):
        on = item.get("platform") or {}
        found = Platform(str(on.get("os", "")), str(on.get("architecture", "")), str(on.get("variant", "")))
        if found.system and found.system != "unknown":  # attestations say unknown
            there.setdefault(str(found), str(item["digest"]))
            if found.variant and not platform.variant:
                there.setdefault(str(Platform(found.system, found.machine)), str(item["digest"]))
    if str(platform) not in there:
        raise ImageError(
            f"the base has no image for {platform}", hint=f"there are: {', '.join(sorted(there))}"
        )
    return there[str(platform)]


def read(document: Document, config: Mapping[str, Any]) -> Image:
    """An image of its manifest and configuration; RegistryError where they do not belong together."""
    content = _parsed(document)
    layers, diffs = content.get("layers"), (config.get("rootfs") or {}).get("diff_ids")
    if not isinstance(layers, list) or not isinstance(diffs, list) or len(layers) != len(diffs):
        raise RegistryError("the base has a manifest and a configuration with different layers")
    return Image(document.media_type or str(content["mediaType"]), content, config)


def descriptor(document: Document) -> Mapping[str, Any]:
    """The descriptor of a manifest's configuration."""
    found = _parsed(document).get("config")
    if not isinstance(found, dict) or not {"digest", "size", "mediaType"} <= found.keys():
        raise RegistryError("the base is no image: its manifest names no configuration")
    return found


def extended(base: Image, layers: Sequence[Layer], settings: Settings) -> tuple[bytes, Document]:
    """Configuration and manifest of the base with some layers more.

    They depend on their arguments alone: the time in them is the base's.
    """
    if len(base.layers) + len(layers) > _LAYERS_MOST:
        raise ImageError(f"the base has {len(base.layers)} layers, and {_LAYERS_MOST} are the most")
    own = dict(base.config.get("config") or {})
    variables = {**base.environment, **settings.environment}
    own |= {
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": {**(own.get("Labels") or {}), **settings.labels},
        "User": settings.user,
        "WorkingDir": settings.folder,
        "Cmd": list(settings.command),
    }
    own.pop("Entrypoint", None)  # whoever runs tasks says what runs; a base's own would stand before it
    created = base.config.get("created")
    step = {"created_by": settings.note, **({"created": created} if created else {})}
    config = {
        **base.config,
        "config": own,
        "rootfs": {
            "type": "layers",
            "diff_ids": [*base.config["rootfs"]["diff_ids"], *(layer.diff_id for layer in layers)],
        },
        "history": [*_history(base), *([step] * len(layers))],
    }
    body = canonical(config)
    kind = _LAYER_OF[base.media_type]
    ours = [{"mediaType": kind, "digest": layer.digest, "size": layer.size} for layer in layers]
    manifest = {
        **{k: v for k, v in base.manifest.items() if k not in ("annotations", "subject", "artifactType")},
        "mediaType": base.media_type,
        "config": {
            "mediaType": base.manifest["config"]["mediaType"],
            "digest": _digest(body),
            "size": len(body),
        },
        "layers": [*base.layers, *ours],
    }
    whole = canonical(manifest)
    return body, Document(base.media_type, _digest(whole), whole)


def _history(base: Image) -> list[Any]:
    """The base's steps, one for each layer: engines refuse to build on an image that lists fewer."""
    steps = list(base.config.get("history") or [])
    told = sum(not step.get("empty_layer") for step in steps)
    return [{"created_by": "not told"}] * (len(base.layers) - told) + steps


def _digest(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


def _parsed(document: Document) -> Mapping[str, Any]:
    try:
        found = json.loads(document.body)
    except ValueError:
        raise RegistryError("the registry's manifest is not JSON") from None
    if not isinstance(found, dict):
        raise RegistryError("the registry's manifest is not a JSON object")
    return found
