"""The store on PostgreSQL keeps every promise of the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tidemill.metadata.sql import open_store
from tidemill.testing.store_races import MakeStore
from tidemill.testing.store_suite import StoreSuite


class TestPostgresql(StoreSuite):
    """A database of its own for each test, opened by threads and processes."""

    @pytest.fixture
    def make_store(self, postgresql_server: Any) -> Iterator[MakeStore]:
        with postgresql_server.database() as name:
            yield partial(open_store, postgresql_server.url(name))
