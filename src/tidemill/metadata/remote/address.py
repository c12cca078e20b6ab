"""Addresses of metadata servers: `http://`, `https://`, `grpc://`, `grpcs://`, and nothing secret in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from tidemill.errors import StoreError, did_you_mean
from tidemill.metadata.masking import masked
from tidemill.metadata.remote.token import VARIABLE

_OPTIONS = ("ca", "cert", "key")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a metadata server is."""

    scheme: str
    host: str
    port: int
    prefix: str = ""
    """What comes before the paths of the server, as `/tidemill` behind a proxy."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Files, PEM: `ca` to trust instead of the system's, `cert` and `key` to show to the server."""
    token: str = field(default="", repr=False)
    """What to show in place of the environment's; it is no part of how an address is written."""

    @property
    def secure(self) -> bool:
        """Whether it is reached with TLS."""
        return self.scheme in ("https", "grpcs")

    @property
    def place(self) -> str:
        """`host:port`, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.place}{self.prefix}"


def parse(url: str) -> Address:
    """Read `scheme://host:port?option=value`. StoreError when it is none, or holds a password or token."""
    scheme = url.partition(":")[0]
    form = f"{scheme}://HOST:PORT"
    if "@" in url.partition("?")[0]:
        raise StoreError(
            f"the address of a metadata server holds no password: {masked(url)}",
            hint=f"write {form}, and set {VARIABLE} to the server's token",
        )
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(scheme, 0)
    except ValueError:
        parts, port = urlsplit(""), 0
    if not parts.hostname or not port or parts.fragment or (parts.path.strip("/") and "grpc" in scheme):
        raise StoreError(f"{masked(url)} cannot be read as an address of a metadata server", hint=form)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in given:
        if name not in _OPTIONS:
            raise StoreError(
                f"an address of this kind has no option {name[:40]!r}",
                where=masked(url),
                hint=did_you_mean(name[:40], _OPTIONS) or f"options are {', '.join(_OPTIONS)}",
            )
    if given and scheme not in ("https", "grpcs"):
        raise StoreError("certificates need TLS", where=masked(url), hint=f"write {scheme}s://")
    return Address(scheme, parts.hostname, port, parts.path.rstrip("/"), given)
