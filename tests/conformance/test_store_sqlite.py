"""The store on SQLite keeps every promise of the protocol."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tidemill.metadata.sql import open_store
from tidemill.testing.store_races import MakeStore
from tidemill.testing.store_suite import StoreSuite


class TestSqliteFile(StoreSuite):
    """One database file, opened by threads and processes."""

    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        return partial(open_store, f"sqlite:///{tmp_path / 'new folder' / 'metadata.db'}")
