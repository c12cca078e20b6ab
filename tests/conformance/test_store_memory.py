"""The store in memory keeps every promise of the protocol but those to other processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from tidemill.metadata.open import open_store
from tidemill.metadata.store import MetadataStore
from tidemill.testing.store_races import MakeStore
from tidemill.testing.store_suite import OneProcessStoreSuite


class Opening:
    """Another opening of the same store; closing it leaves the store as it is."""

    def __init__(self, store: MetadataStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def close(self) -> None:
        return


class TestMemory(OneProcessStoreSuite):
    """Each test has one store: opening `memory://` again would give another."""

    @pytest.fixture
    def store(self) -> Iterator[MetadataStore]:
        store = open_store("memory://")
        yield store
        store.close()

    @pytest.fixture
    def make_store(self, store: MetadataStore) -> MakeStore:
        return lambda: cast("MetadataStore", Opening(store))
