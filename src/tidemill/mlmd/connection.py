"""From MLMD's connection configs to something that answers its calls.

A config names a database, which is opened here, or a server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from tidemill.errors import StoreError
from tidemill.metadata.sql import open_store
from tidemill.metadata.sql.database import Database
from tidemill.metadata.sql.mlmd import Refusal, Service
from tidemill.mlmd import errors
from tidemill.mlmd.metadata_store_pb2 import SqliteMetadataSourceConfig

Call = Callable[[str, Any, Any], None]
"""(name of the call, request, response to fill). Raises errors.StatusError."""

SCHEMA_VERSION = 10
"""MLMD's schema, as this package writes it."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Calls, how to end them, and the database that answers them when it is ours."""

    call: Call
    close: Callable[[], None]
    database: Database | None = None


def connect(config: Any) -> Connection:
    """Open what a ConnectionConfig names. ConnectionFailedError when it cannot be opened."""
    which = config.WhichOneof("config")
    if which is None:
        raise errors.ConnectionFailedError(
            "Unset: the config names no database; set fake_database, sqlite, mysql or postgresql",
            errors.INVALID_ARGUMENT,
        )
    if which == "fake_database":
        return _open_memory()
    if which == "sqlite":
        return _open_sqlite(config.sqlite)
    url = _mysql_url(config.mysql) if which == "mysql" else _postgresql_url(config.postgresql)
    return _open(url)


def _open_sqlite(config: Any) -> Connection:
    name, mode = config.filename_uri, config.connection_mode
    if name.startswith("file:"):
        parts = urlsplit(name)
        name = "" if "mode=memory" in parts.query else unquote(parts.path)
    if not name or name == ":memory:":
        return _open_memory()
    if mode == SqliteMetadataSourceConfig.READWRITE and not Path(name).exists():
        raise errors.ConnectionFailedError(
            f"Cannot connect sqlite3 database: {name} does not exist and connection_mode is READWRITE",
            errors.INTERNAL,
        )
    return _open(str(Path(name)), read_only=mode == SqliteMetadataSourceConfig.READONLY)


def _open_memory() -> Connection:
    return _open("memory://")


def _open(url: str, *, read_only: bool = False) -> Connection:
    try:
        store = open_store(url, read_only=read_only)
    except StoreError as error:
        if "is not supported" in error.message:
            raise errors.UnimplementedError(str(error)) from error
        raise errors.ConnectionFailedError(str(error), errors.INTERNAL) from error
    service = Service(store.database)

    def call(method: str, request: Any, response: Any) -> None:
        try:
            service.call(method, request, response)
        except StoreError as error:
            response.Clear()
            raise status_of(error, request) from error

    return Connection(call, store.close, store.database)


def status_of(error: StoreError, request: Any) -> errors.StatusError:
    """What an error of the store means in MLMD's terms."""
    if isinstance(error, Refusal):
        return errors.make_exception(error.message, error.status)
    cause = error.__cause__
    if any(kind.__name__ == "IntegrityError" for kind in type(cause).__mro__):  # PEP 249: every driver's
        call = request.DESCRIPTOR.name.removesuffix("Request")
        return errors.AlreadyExistsError(f"{call} would store a second one of something: {cause}")
    return errors.InternalError(str(error))


def _mysql_url(config: Any) -> str:
    ssl = config.ssl_options
    for name in ("capath", "cipher"):
        if getattr(ssl, name):
            raise errors.UnimplementedError(
                f"ssl_options.{name} is not supported: name a file with ssl_options.ca"
            )
    options = {"unix_socket": config.socket}
    options |= {f"ssl_{name}": getattr(ssl, name) for name in ("key", "cert", "ca")}
    if ssl.verify_server_cert:
        options["ssl_verify_identity"] = "true"
    return _url("mysql", config, config.database, options)


def _postgresql_url(config: Any) -> str:
    if config.ssloption.sslpassword:
        raise errors.UnimplementedError("ssloption.sslpassword is not supported: use a key without one")
    options = {"passfile": config.passfile}
    names = ("sslmode", "sslcert", "sslkey", "sslrootcert")
    options |= {name: getattr(config.ssloption, name) for name in names}
    return _url("postgresql", config, config.dbname, options)


def _url(scheme: str, config: Any, database: str, options: dict[str, str]) -> str:
    user = quote(config.user, safe="")
    if config.password:
        user += ":" + quote(config.password, safe="")
    place = (getattr(config, "hostaddr", "") or config.host) + (f":{config.port}" if config.port else "")
    query = urlencode({name: value for name, value in options.items() if value})
    return f"{scheme}://{user}{'@' if user else ''}{place}/{quote(database, safe='')}" + (
        f"?{query}" if query else ""
    )
