"""The store on SQLite keeps every promise of the protocol."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tidemill.metadata.sql import open_store
from tidemill.testing.store_races import MakeStore
from tidemill.testing.store_suite import StoreSuite

MEMORY = Path("/dev/shm")


class TestSqliteFile(StoreSuite):
    """One database file, opened by threads and processes.

    There is no store in a process's memory alone: every process must reach the same one. The file may
    lie in a memory file system, where commits do not wait for a disk.
    """

    @pytest.fixture
    def make_store(self) -> Iterator[MakeStore]:
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
            yield partial(open_store, f"sqlite:///{folder}/new folder/metadata.db")
