"""The one door to metadata stores: from an address to a store, whatever kind it is."""

from __future__ import annotations

from dataclasses import replace

from tidemill.metadata.store import MetadataStore

SERVERS = ("http://", "https://", "grpc://", "grpcs://")
"""How addresses of metadata servers begin; see remote/address.py."""


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
