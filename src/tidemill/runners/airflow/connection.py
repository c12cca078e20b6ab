"""The metadata store as Airflow knows it: a URL, or a connection that is read only where it is needed."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from airflow.configuration import conf
from airflow.sdk import BaseHook

from tidemill.errors import StoreError
from tidemill.metadata.open import SERVERS
from tidemill.metadata.store import MetadataStore
from tidemill.runners.airflow import names
from tidemill.runners.base import task

METADATA = "TIDEMILL_METADATA"
TYPE = "tidemill"
"""Type of a connection that keeps the whole URL as its password, where Airflow hides it."""


@dataclass(frozen=True, slots=True)
class Known:
    """The store, with its secrets: asked for only where it is used, and kept nowhere."""

    url: str = field(repr=False)
    token: str = field(default="", repr=False)
    """Of a metadata server, whose own URL holds none."""

    def opened(self) -> AbstractContextManager[MetadataStore]:
        """The store, as a block that closes it."""
        return task.opened(self.url, self.token)


def metadata_url(url: str) -> Known:
    """The store that a DAG names."""
    if not url.startswith(names.CONNECTION):
        return Known(url)
    return url_of(BaseHook.get_connection(url.removeprefix(names.CONNECTION)))


def url_of(found: Any) -> Known:
    """What a connection of Airflow's keeps: a URL, in which a metadata server's token stands as its password,
    `http://:TOKEN@HOST:PORT`."""
    if found.conn_type == TYPE and not found.password:
        raise StoreError(
            f"the Airflow connection {found.conn_id!r} has no metadata URL",
            hint="put the whole URL, such as postgresql://user:password@host/db, into its password",
        )
    url = str(found.password) if found.conn_type == TYPE else names.store_url(str(found.get_uri()))
    scheme, separator, rest = url.partition("://")
    secret, at, place = rest.partition("?")[0].rpartition("@")
    if not at or not url.startswith(SERVERS):
        return Known(url)
    if found.conn_type == TYPE:
        place += rest[len(rest.partition("?")[0]) :]  # files of certificates; Airflow's own has other options
    return Known(f"{scheme}{separator}{place.rstrip('/')}", unquote(secret.partition(":")[2] or secret))


def known_url(url: str) -> Known:
    """As `metadata_url`; where the DAG kept none, because it holds a secret, that of TIDEMILL_METADATA or of
    Airflow's own configuration."""
    url = url or os.environ.get(METADATA, "") or conf.get(TYPE, "metadata", fallback="")
    if not url:
        raise StoreError(
            "this process of Airflow does not know the metadata store",
            hint=f"set {METADATA}, or [{TYPE}] metadata in its configuration, to a URL or airflow://ID",
        )
    return metadata_url(url)
