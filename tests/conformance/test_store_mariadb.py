"""The store on MariaDB keeps every promise of the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tidemill.metadata.sql import open_store
from tidemill.testing.store_races import MakeStore
from tidemill.testing.store_suite import StoreSuite


class TestMariadb(StoreSuite):
    """A database of its own for each test, opened by threads and processes."""

    @pytest.fixture
    def make_store(self, mariadb_server: Any) -> Iterator[MakeStore]:
        with mariadb_server.database() as name:
            yield partial(open_store, mariadb_server.url(name))
