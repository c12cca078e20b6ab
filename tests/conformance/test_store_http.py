"""The store behind a metadata server, asked over HTTP, keeps every promise of the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tidemill.metadata.open import open_store
from tidemill.testing.store_races import MakeStore
from tidemill.testing.store_suite import StoreSuite


class TestHttp(StoreSuite):
    """A server process with a SQLite database of its own for each test, asked by threads and processes."""

    @pytest.fixture
    def make_store(self, serving: Any) -> Iterator[MakeStore]:
        with serving("http") as server:
            yield partial(open_store, server.url)
