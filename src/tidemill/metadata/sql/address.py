"""Addresses of database servers: from a URL to its parts, and never a password in what is shown.

This file knows no driver. Files have no address: sqlite.py reads their paths itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tidemill.errors import StoreError, did_you_mean
from tidemill.metadata.masking import masked


@dataclass(frozen=True, slots=True)
class Address:
    """A database on a server. What is not given is empty, 0 for the port."""

    scheme: str
    user: str
    password: str = field(repr=False)
    host: str
    port: int
    database: str
    options: Mapping[str, str] = field(repr=False)
    """What the URL says after `?`."""

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{user}{self.host}{port}/{self.database}"


def parse(url: str, options: Collection[str]) -> Address:
    """Read `scheme://user:password@host:port/database?option=value`; StoreError when it is none.

    Characters with a meaning in URLs (`/ ? # %`) stand as %2F, %3F, %23, %25 in a password.
    """
    hint = f"{url.partition(':')[0]}://USER:PASSWORD@HOST:PORT/DATABASE"
    try:
        parts = urlsplit(url)
        port = parts.port or 0
    except ValueError:
        parts, port = urlsplit(""), 0
    rest = parts.path + parts.query + parts.fragment
    if not parts.scheme or "@" in rest or parts.fragment:
        raise StoreError(
            f"{masked(url)} cannot be read as an address of a database",
            hint=f"{hint}, with / ? # % in the password written as %2F %3F %23 %25",
        ) from None
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in database:
        raise StoreError(f"{masked(url)} does not name a database", hint=hint)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in given:
        if name not in options:
            raise StoreError(
                f"an address of this kind has no option {name!r}",
                where=masked(url),
                hint=did_you_mean(name, options) or f"options are {', '.join(sorted(options))}",
            )
    return Address(
        parts.scheme, unquote(parts.username or ""), unquote(parts.password or ""),
        unquote(parts.hostname or ""), port, database, given,
    )  # fmt: skip


def driver_of(module: str, *, extra: str, where: str) -> Any:
    """Import a driver; StoreError naming the extra to install when it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise StoreError(
            f"the driver {module} is not installed or cannot be loaded: {error}",
            where=where,
            hint=f"pip install 'tidemill[{extra}]'",
        ) from error
