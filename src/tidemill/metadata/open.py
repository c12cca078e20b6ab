"""The one door to metadata stores: from an address to a store, whatever kind it is."""

from __future__ import annotations

import contextlib
import importlib
from dataclasses import replace

from tidemill.metadata.store import MetadataStore

SERVERS = ("http://", "https://", "grpc://", "grpcs://")
"""How addresses of metadata servers begin; see remote/address.py."""
_HTTP, _GRPC = "tidemill.metadata.remote.http_client", "tidemill.metadata.remote.grpc_client"
_POSTGRESQL = ("tidemill.metadata.sql.postgresql", "psycopg")
_MARIADB = ("tidemill.metadata.sql.mariadb", "pymysql")
_NEEDED = {
    "http": (_HTTP,), "https": (_HTTP,), "grpc": (_GRPC,), "grpcs": (_GRPC,), "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL, "mysql": _MARIADB, "mariadb": _MARIADB,
}  # fmt: skip
"""Scheme -> modules that stores at such addresses load late."""


def open_store(url: str, *, read_only: bool = False, token: str = "") -> MetadataStore:
    """Open the metadata store at `url`. Only what this kind needs is imported.

    A database is opened, and created unless `read_only`: a path or `sqlite:///`, `postgresql://`,
    `mysql://` or `mariadb://`, or `memory://` for one of this process alone. A metadata server is asked
    whether it is there: `http://HOST:PORT`, `https://`, `grpc://`, `grpcs://`, with its token in the
    environment variable TIDEMILL_TOKEN, unless `token` is one. StoreError says what is wrong with anything
    else.
    """
    if url.startswith(SERVERS):
        from tidemill.metadata.remote.address import parse
        from tidemill.metadata.remote.client import open_remote

        return open_remote(replace(parse(url), token=token), read_only=read_only)
    from tidemill.metadata.sql.store import open_store as open_database

    return open_database(url, read_only=read_only)


def load(url: str) -> None:
    """Import what `open_store` needs for `url`, for a process that has time now and opens it soon.

    Nothing is opened, and what is wrong or missing is left for `open_store` to say. For an address that is
    not known yet (`airflow://ID`) it is what opens any database.
    """
    kind = url.partition("://")[0]
    room = "remote.client" if url.startswith(SERVERS) else "sql.store"
    for module in (f"tidemill.metadata.{room}", *_NEEDED.get(kind, ())):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
