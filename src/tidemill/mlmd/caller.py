"""The base of MetadataStore: one open connection, and the making of one call on it."""

from __future__ import annotations

import weakref
from typing import Any

from tidemill.mlmd import errors, metadata_store_pb2, metadata_store_service_pb2
from tidemill.mlmd.connection import Connection, connect
from tidemill.mlmd.options import ListOptions, call_with_list_options

_MOST_RETRIES = 5
"""Attempts of a call that somebody else got in the way of, unless the config says otherwise."""

_MAY_BE_NONE = (
    "type_version",
    "external_ids",
    *(f"{kind}_type" for kind in ("artifact", "execution", "context")),
)
"""Fields that MLMD takes None for, too; a type is missed then by who stores it."""


class Caller:
    """An open store. Threads may share it; `close` ends it, and so does the end of the object."""

    def __init__(self, config: Any, enable_upgrade_migration: bool = False) -> None:
        """Open what `config` names, a database or a server. See MetadataStore."""
        self._max_num_retries = _MOST_RETRIES
        self._connection: Connection
        if isinstance(config, metadata_store_pb2.MetadataStoreClientConfig):
            if enable_upgrade_migration:
                raise ValueError("a server's database is upgraded where the server runs, not by its client")
            self._connection = _connect_server(config)
        elif isinstance(config, metadata_store_pb2.ConnectionConfig):
            if config.HasField("retry_options"):
                self._max_num_retries = config.retry_options.max_num_retries
            self._connection = connect(config, upgrade=enable_upgrade_migration)
        else:
            raise ValueError(
                f"MetadataStore needs a ConnectionConfig or a MetadataStoreClientConfig of "
                f"tidemill.mlmd.metadata_store_pb2, not {type(config).__module__}.{type(config).__qualname__}"
            )
        self._end = weakref.finalize(self, self._connection.close)

    def close(self) -> None:
        """Release the database. The store must not be used afterwards; MLMD has no such method."""
        self._end()

    def _call(self, method: str, request: Any) -> Any:
        """Make one call; its response. A call that was aborted is made again at once.

        What it met is over by then: whoever was faster has committed.
        """
        response = getattr(metadata_store_service_pb2, f"{method}Response")()
        for left in range(max(self._max_num_retries, 1) - 1, -1, -1):
            try:
                self._connection.call(method, request, response)
                break
            except errors.AbortedError:
                if not left:
                    raise
        return response

    def _ask(self, method: str, **fields: Any) -> Any:
        """Make one call with these fields in its request."""
        return self._call(method, _request(method, fields))

    def _list(self, method: str, field: str, options: ListOptions | None, **fields: Any) -> list[Any]:
        """All pages of a list."""
        return call_with_list_options(self._connection.call, method, field, _request(method, fields), options)


def _request(method: str, fields: dict[str, Any]) -> Any:
    """The request of a call. TypeError for None, which protobuf would take for a field that was left out:
    a question about no context would become one about context 0. MLMD raises TypeError for the same."""
    for name, value in fields.items():
        if value is None and name not in _MAY_BE_NONE:
            raise TypeError(f"{method}: {name} is None; give a value, an empty list for none")
    return getattr(metadata_store_service_pb2, f"{method}Request")(**fields)


def _connect_server(config: Any) -> Connection:
    """A connection to a server; gRPC is loaded by those alone who use one."""
    try:
        from tidemill.mlmd.grpc_client import connect_server
    except ImportError as error:
        if error.name != "grpc":
            raise
        raise errors.UnimplementedError(
            "a metadata server is reached with gRPC: install the extra, tidemill[grpc]"
        ) from error
    return connect_server(config)
