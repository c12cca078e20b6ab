"""The store behind a metadata server, asked over gRPC, keeps every promise of the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tidemill.metadata.open import open_store
from tidemill.testing.store_races import MakeStore
from tidemill.testing.store_suite import ServedStoreSuite, StoreSuite


class TestGrpc(StoreSuite):
    """A server process with a database of its own for each test, asked by threads and processes.

    It is SQLite's, or that of the kind which TIDEMILL_SERVED_ON names.
    """

    @pytest.fixture
    def make_store(self, serving: Any, behind: str) -> Iterator[MakeStore]:
        with serving("grpc", database=behind) as server:
            yield partial(open_store, server.url)


class TestGrpcOnPostgresql(ServedStoreSuite):
    """The same with PostgreSQL behind the server."""

    behind = "postgresql"

    @pytest.fixture
    def make_store(self, serving: Any, behind: str) -> Iterator[MakeStore]:
        with serving("grpc", database=behind) as server:
            yield partial(open_store, server.url)
