"""Stores for the tests of MLMD's interface, and the interpreter that has the real one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill.mlmd import MetadataStore, metadata_store_pb2

MEMORY = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the system offers that: hundreds of commits would wait for a disk."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


@pytest.fixture
def store() -> Iterator[MetadataStore]:
    """An empty store in memory."""
    config = metadata_store_pb2.ConnectionConfig()
    config.fake_database.SetInParent()
    store = MetadataStore(config)
    yield store
    store.close()


@pytest.fixture
def mlmd_python() -> str:
    """The interpreter with ml-metadata 1.17.1 that TIDEMILL_MLMD_PYTHON names."""
    python = os.environ.get("TIDEMILL_MLMD_PYTHON", "")
    if not python:
        pytest.skip("TIDEMILL_MLMD_PYTHON names no interpreter with ml-metadata 1.17.1")
    return python
