"""Stores for the tests of MLMD's interface, and the interpreter that has the real one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tidemill.metadata.sql import open_store
from tidemill.mlmd import MetadataStore, metadata_store_pb2
from tidemill.mlmd.grpc_server import Server

MEMORY = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the system offers that: hundreds of commits would wait for a disk."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


@pytest.fixture(params=["here", "grpc"])
def store(request: pytest.FixtureRequest) -> Iterator[MetadataStore]:
    """An empty store in memory, of this process or behind a gRPC server: what holds of one does of both."""
    if request.param == "here":
        config = metadata_store_pb2.ConnectionConfig()
        config.fake_database.SetInParent()
        with closing(MetadataStore(config)) as store:
            yield store
        return
    with closing(open_store("memory://")) as served:
        server = Server(served, threads=4)
        server.start()
        host, _, port = server.address.rpartition(":")
        far = metadata_store_pb2.MetadataStoreClientConfig(host=host, port=int(port))
        with closing(MetadataStore(far)) as store:
            yield store
        server.stop(5)


@pytest.fixture(scope="session")
def mlmd_python() -> str:
    """The interpreter with ml-metadata 1.17.1 that TIDEMILL_MLMD_PYTHON names."""
    python = os.environ.get("TIDEMILL_MLMD_PYTHON", "")
    if not python:
        pytest.skip("TIDEMILL_MLMD_PYTHON names no interpreter with ml-metadata 1.17.1")
    return python
