"""URIs and paths. Every other room asks here instead of building paths itself."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tidemill.errors import StorageError

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")


def is_local(uri: str) -> bool:
    """Whether the URI names the local file system: a plain path or `file://`."""
    match = _SCHEME.match(uri)
    return match is None or match[1] == "file"


def local_path(uri: str) -> Path:
    """The absolute local path of a URI; StorageError for a remote one or one with a NUL byte."""
    if "\0" in uri:
        raise StorageError(f"the path {uri!r} contains a NUL byte")
    if not is_local(uri):
        raise StorageError(
            f"{uri} is not on a local disk",
            hint="name a folder on this machine, or one that is mounted",
        )
    plain = unquote(urlsplit(uri).path) if uri.startswith("file://") else uri
    return Path(plain).expanduser().absolute()


def join(base: str, *names: str) -> str:
    """`base/name/...`. Each name is one safe path segment; StorageError otherwise."""
    for name in names:
        if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise StorageError(f"{name!r} cannot be part of a path", where=base)
    return "/".join((base.rstrip("/"), *names))
