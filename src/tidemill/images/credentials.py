"""Who we are to a registry: what `docker login` or `podman login` left on this machine.

Read, never written, and never shown. The files are Docker's `config.json` and the `auth.json` of podman,
which have one form; a credential helper is asked as its protocol says (`docker-credential-NAME get`).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidemill.errors import RegistryError

_ASK = 30.0
"""Seconds that a helper may take."""
_TOKEN_USER = "<token>"
"""The user that a helper names when its secret is an identity token."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and a password, or an identity token; their values are in no message and no repr."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)

    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def find(registry: str) -> Credential | None:
    """What this machine has for a registry; None: nothing. RegistryError for a file or helper that fails."""
    for path in _files():
        config = _read(path)
        helper = _mapping(config, "credHelpers").get(registry) or ""
        for name in (helper, "" if helper else str(config.get("credsStore") or "")):
            if name and (found := _ask(str(name), registry)) is not None:
                return found
        if (entry := _entry(_mapping(config, "auths"), registry)) is not None:
            return _decoded(entry, path, registry)
    return None


def _files() -> Iterator[Path]:
    """Where engines keep it, the most specific first; only files that exist."""
    places = []
    if chosen := os.environ.get("REGISTRY_AUTH_FILE"):
        places.append(Path(chosen))
    docker = os.environ.get("DOCKER_CONFIG")
    places.append(Path(docker) / "config.json" if docker else Path("~/.docker/config.json").expanduser())
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        places.append(Path(runtime) / "containers" / "auth.json")
    places.append(Path("~/.config/containers/auth.json").expanduser())
    yield from (place for place in places if place.is_file())


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RegistryError(f"the logins in {path} cannot be read: {error}", hint="mend or move it") from None
    return found if isinstance(found, dict) else {}


def _mapping(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def _entry(auths: Mapping[str, Any], registry: str) -> Mapping[str, Any] | None:
    """The entry for a registry, which old clients wrote as a URL."""
    for name, entry in auths.items():
        host = name.partition("://")[2] or name
        if host.rstrip("/").removesuffix("/v1").removesuffix("/v2") == registry and isinstance(entry, dict):
            return entry
    return None


def _decoded(entry: Mapping[str, Any], path: Path, registry: str) -> Credential | None:
    if token := entry.get("identitytoken"):
        return Credential(identity=str(token))
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if coded := entry.get("auth"):
        try:
            user, _, password = base64.b64decode(str(coded), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise RegistryError(
                f"the login for {registry} in {path} is not what docker login writes", hint="log in again"
            ) from None
    return Credential(user, password.rstrip("\0")) if user else None


def _ask(helper: str, registry: str) -> Credential | None:
    program = shutil.which(f"docker-credential-{helper}")
    if program is None:
        raise RegistryError(
            f"the login for {registry} is kept by docker-credential-{helper}, which is not on PATH",
            hint="install it, or log in where the configuration names no helper",
        )
    try:
        asked = subprocess.run([program, "get"], input=registry, capture_output=True, text=True, timeout=_ASK,
                               check=False)  # fmt: skip
        if asked.returncode:
            return None  # it has none; what it says differs from helper to helper
        found = json.loads(asked.stdout)
        user, secret = str(found["Username"]), str(found["Secret"])
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        raise RegistryError(
            f"docker-credential-{helper} does not answer: {type(error).__name__}", hint="log in again"
        ) from None
    return Credential(identity=secret) if user == _TOKEN_USER else Credential(user, secret)
