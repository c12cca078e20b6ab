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
from tidemill.metadata.sql import open_store, upkeep
from tidemill.metadata.sql.database import Database
from tidemill.metadata.sql.mlmd import Refusal, Service
from tidemill.mlmd import errors
from tidemill.mlmd.metadata_store_pb2 import SqliteMetadataSourceConfig

Call = Callable[[str, Any, Any], None]
"""(name of the call, request, response to fill). Raises errors.StatusError."""

SCHEMA_VERSION = 10
"""MLMD's schema, as this package writes it."""

_SQLITE = SqliteMetadataSourceConfig


@dataclass(frozen=True, slots=True)
class Connection:
    """Calls, how to end them, and the database that answers them when it is ours."""

    call: Call
    close: Callable[[], None]
    database: Database | None = None


def connect(config: Any, *, upgrade: bool = False) -> Connection:
    """Open what a ConnectionConfig names. ConnectionFailedError when it cannot be opened.

    An older schema is brought to ours when `upgrade` says so, and refused else.
    """
    if config.WhichOneof("config") is None:
        raise errors.ConnectionFailedError(
            "Unset: the config names no database; set fake_database, sqlite, mysql or postgresql",
            errors.INVALID_ARGUMENT,
        )
    url = _url_of(config)
    if not url:
        return _open_memory()
    mode = config.sqlite.connection_mode
    if config.HasField("sqlite") and mode == _SQLITE.READWRITE and not Path(url).exists():
        raise errors.ConnectionFailedError(
            f"Cannot connect sqlite3 database: {url} does not exist and connection_mode is READWRITE",
            errors.INTERNAL,
        )
    if config.HasField("sqlite") and not Path(url).absolute().parent.is_dir():
        raise errors.ConnectionFailedError(
            f"Cannot connect sqlite3 database: the folder of {url} does not exist; make it first",
            errors.INTERNAL,
        )
    read_only = config.HasField("sqlite") and mode == _SQLITE.READONLY
    return _open(url, read_only=read_only, upgrade_from=0 if upgrade else SCHEMA_VERSION)


def bring_down(config: Any, version: int) -> None:
    """Bring the database that a ConnectionConfig names to an older schema; see downgrade_schema()."""
    url = _url_of(config)
    if not url:
        raise errors.InvalidArgumentError(
            "the config names no stored database: there is nothing to downgrade"
        )
    try:
        upkeep.downgrade(url, version, backup=False)
    except StoreError as error:
        if "is not supported" in error.message:
            raise errors.UnimplementedError(str(error)) from error
        raise errors.FailedPreconditionError(str(error)) from error


def _url_of(config: Any) -> str:
    """The address of the database; empty for one in memory."""
    which = config.WhichOneof("config")
    if which == "mysql":
        return _mysql_url(config.mysql)
    if which == "postgresql":
        return _postgresql_url(config.postgresql)
    name = config.sqlite.filename_uri
    if name.startswith("file:"):
        parts = urlsplit(name)
        name = "" if "mode=memory" in parts.query else unquote(parts.path)
    return "" if not name or name == ":memory:" else str(Path(name))


def _open_memory() -> Connection:
    return _open("memory://")


def _open(url: str, *, read_only: bool = False, upgrade_from: int = SCHEMA_VERSION) -> Connection:
    try:
        store = open_store(url, read_only=read_only, upgrade_from=upgrade_from)
    except StoreError as error:
        if "is not supported" in error.message:
            raise errors.UnimplementedError(str(error)) from error
        why = str(error)
        if "ML Metadata schema version" in error.message:
            why = f"Schema migration is disabled (enable_upgrade_migration): {why}"
        raise errors.ConnectionFailedError(why, errors.INTERNAL) from error
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
