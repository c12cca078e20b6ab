"""The metadata store as Airflow knows it: a URL, or a connection that is read only where it is needed."""

from __future__ import annotations

import os
from typing import Any

from airflow.configuration import conf
from airflow.sdk import BaseHook

from tidemill.errors import StoreError
from tidemill.runners.airflow import names

METADATA = "TIDEMILL_METADATA"
TYPE = "tidemill"
"""Type of a connection that keeps the whole URL as its password, where Airflow hides it."""


def metadata_url(url: str) -> str:
    """The URL of the store, with its secret: asked for only where it is used."""
    if not url.startswith(names.CONNECTION):
        return url
    return url_of(BaseHook.get_connection(url.removeprefix(names.CONNECTION)))


def url_of(found: Any) -> str:
    """The URL that a connection of Airflow's keeps."""
    if found.conn_type == TYPE:
        if not found.password:
            raise StoreError(
                f"the Airflow connection {found.conn_id!r} has no metadata URL",
                hint="put the whole URL, such as postgresql://user:password@host/db, into its password",
            )
        return str(found.password)
    return names.store_url(str(found.get_uri()))


def known_url(url: str) -> str:
    """As `metadata_url`; where the DAG kept none, because it holds a secret, that of TIDEMILL_METADATA or of
    Airflow's own configuration."""
    url = url or os.environ.get(METADATA, "") or conf.get(TYPE, "metadata", fallback="")
    if not url:
        raise StoreError(
            "this process of Airflow does not know the metadata store",
            hint=f"set {METADATA}, or [{TYPE}] metadata in its configuration, to a URL or airflow://ID",
        )
    return metadata_url(url)
