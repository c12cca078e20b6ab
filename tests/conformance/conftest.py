"""Database servers, one of each kind for all tests of a process that ask for it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(name="beside", scope="session")
def beside_fixture() -> Any:
    """`beside("proxy")`: a module of this folder."""
    return beside


def beside(name: str) -> ModuleType:
    """A module of this folder: pytest keeps test folders off the import path."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Any]:
    servers = beside("servers")
    servers.need_driver("psycopg", extra="postgresql")
    with servers.running(servers.Postgresql) as server:
        yield server


@pytest.fixture(scope="module")
def airflow_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """SQLAlchemy's URL of a database for an Airflow of these tests; empty for its own SQLite file.

    With TIDEMILL_AIRFLOW_DATABASE=postgresql it is one of the server above, which the interpreter with
    Airflow needs psycopg2-binary and asyncpg for.
    """
    wanted = os.environ.get("TIDEMILL_AIRFLOW_DATABASE", "")
    assert wanted in ("", "postgresql"), f"TIDEMILL_AIRFLOW_DATABASE={wanted}: only postgresql is to be had"
    if not wanted:
        yield ""
        return
    server = request.getfixturevalue("postgresql_server")
    with server.database() as name:
        yield server.url(name, server.port).replace("postgresql://", "postgresql+psycopg2://")


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Any]:
    servers = beside("servers")
    servers.need_driver("pymysql", extra="mysql")
    with servers.running(servers.Mariadb) as server:
        yield server


@pytest.fixture(scope="session")
def nursery() -> Iterator[Any]:
    """Where metadata servers come from."""
    nursery = beside("served").Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def serving(nursery: Any) -> Any:
    """`serving("http" or "grpc", *options, **environment)`: a block with a metadata server on SQLite."""
    return partial(beside("served").serving, nursery)


@pytest.fixture
def behind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a new database for a metadata server; empty for SQLite, which it makes itself.

    TIDEMILL_SERVED_ON names another kind, for the whole suites on demand: postgresql or mariadb.
    """
    kind = getattr(request.cls, "behind", "") or os.environ.get("TIDEMILL_SERVED_ON", "sqlite")
    if kind == "sqlite":
        yield ""
        return
    server = request.getfixturevalue(f"{kind}_server")
    with server.database() as name:
        yield server.url(name)


@pytest.fixture(params=["http", "grpc"])
def served(request: pytest.FixtureRequest, serving: Any) -> Iterator[Any]:
    """A metadata server, for what holds of either transport."""
    with serving(request.param) as server:
        yield server


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Any:
    """Either server, for what holds of both."""
    return request.getfixturevalue(f"{request.param}_server")


@pytest.fixture
def proxy(server: Any) -> Iterator[Any]:
    """A way to the server that can be cut."""
    with beside("proxy").Proxy(server.port) as between:
        yield between
