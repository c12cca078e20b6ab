"""A connection of type `tidemill`: the metadata URL as a whole, kept where Airflow keeps passwords."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseHook

from tidemill.errors import TidemillError
from tidemill.metadata.open import open_store
from tidemill.metadata.store import MetadataStore
from tidemill.runners.airflow import names
from tidemill.runners.airflow.connection import TYPE, metadata_url


class TidemillHook(BaseHook):  # type: ignore[misc]  # Airflow is not there where types are checked
    """The metadata store behind a connection."""

    conn_name_attr = "tidemill_conn_id"
    default_conn_name = "tidemill_default"
    conn_type = TYPE
    hook_name = "tidemill metadata store"

    def __init__(self, tidemill_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tidemill_conn_id = tidemill_conn_id

    def get_conn(self) -> MetadataStore:
        """The store, opened; whoever asks closes it."""
        known = metadata_url(names.CONNECTION + self.tidemill_conn_id)
        return open_store(known.url, token=known.token)

    def test_connection(self) -> tuple[bool, str]:
        """Whether the store answers, and how many runs it has; Airflow's button for it."""
        try:
            store = self.get_conn()
            try:
                return True, f"the store answers, and has {store.statistics().get('tidemill_run', 0)} runs"
            finally:
                store.close()
        except TidemillError as error:
            return False, str(error)
