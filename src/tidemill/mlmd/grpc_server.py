"""A metadata server: MLMD's gRPC service on one of tidemill's stores, for MLMD's clients and ours.

Handlers are made from our own message classes, so nothing generated is needed. The calls themselves are
those of tidemill.metadata.sql.mlmd; here are the socket, the threads, the limits and the status codes.
A thread has its own connection to the database, so their number bounds both.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from tidemill.errors import StoreError
from tidemill.metadata.remote import token as tokens
from tidemill.metadata.sql import SqlStore
from tidemill.metadata.sql.mlmd import Service
from tidemill.mlmd import errors, grpc_wire, metadata_store_service_pb2
from tidemill.mlmd.connection import status_of
from tidemill.mlmd.grpc_requests import parse_request

THREADS = 16
"""Calls that are answered at the same time."""

WAITING = 64
"""Calls that may wait for each thread; further ones are refused with RESOURCE_EXHAUSTED."""

MOST_DETAILS = 2000
"""Bytes of an error's text. It travels as a header, each byte as up to three, and clients refuse the whole
status when their headers exceed 8 KiB."""

_log = logging.getLogger(__name__)


class Server:
    """A server that has its port and is not answering yet.

    `port` 0 means any free one; `address` says which. Messages of more than `most_bytes` are refused in
    both directions with RESOURCE_EXHAUSTED. Whoever reaches the port, and shows a certificate where
    `credentials` ask for one and the `token` where there is one, may read and write everything. `more` are
    services beside MLMD's. StoreError when the port cannot be had. The store stays the caller's to close,
    after `stop`.
    """

    def __init__(
        self, store: SqlStore, *, host: str = "127.0.0.1", port: int = 0, threads: int = THREADS,
        most_bytes: int = grpc_wire.MOST_BYTES, credentials: grpc.ServerCredentials | None = None,
        token: str = "", more: Sequence[grpc.GenericRpcHandler[Any, Any]] = (),
    ) -> None:  # fmt: skip
        service = Service(store.database)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="tidemill-metadata")
        self._server = grpc.server(
            self._pool,
            options=[
                ("grpc.so_reuseport", 0),  # else two servers share a port, and each gets half of the calls
                ("grpc.max_receive_message_length", most_bytes),
                ("grpc.max_send_message_length", most_bytes),
            ],
            maximum_concurrent_rpcs=threads * (1 + WAITING),
            interceptors=[_Doorkeeper(token)] if token else [],
        )
        handlers = {call: _handler(service, call) for call in grpc_wire.CALLS}
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(grpc_wire.SERVICE, handlers), *more]
        )
        self.address = grpc_wire.target(host, self._bind(host, port, credentials))
        """`host:port`, as clients may name it."""

    def start(self) -> None:
        """Begin to answer, in threads of its own."""
        self._server.start()

    def stop(self, grace: float) -> None:
        """Take no more calls, and return when none is under way.

        Calls have `grace` seconds to be answered. Whoever waits longer is told that the call was
        cancelled, but what a call does to the database is never cut off.
        """
        self._server.stop(grace).wait()
        self._pool.shutdown()

    def _bind(self, host: str, port: int, credentials: grpc.ServerCredentials | None) -> int:
        wanted = grpc_wire.target(host, port)
        try:
            if credentials is None:
                return self._server.add_insecure_port(wanted)
            return self._server.add_secure_port(wanted, credentials)
        except RuntimeError as error:
            self._pool.shutdown()
            reason, hint = _why_not(host, port), "choose another --port (0 takes any free one) or --host"
            if not reason:
                reason, hint = "gRPC gives no reason", "look whether the TLS key and certificates fit"
            raise StoreError(f"the server cannot listen on {wanted}: {reason}", hint=hint) from error


class _Doorkeeper(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs alone
    """Refuses every call, of every service, that does not show the token."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._refuse = grpc.unary_unary_rpc_method_handler(
            lambda _, context: context.abort(
                grpc.StatusCode.UNAUTHENTICATED, f"this server asks for a token: set {tokens.VARIABLE}"
            )
        )

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Pass the call on, or not."""
        shown = dict(handler_call_details.invocation_metadata or ()).get("authorization", "")
        right = isinstance(shown, str) and tokens.matches(shown, self._token)
        return continuation(handler_call_details) if right else self._refuse


def tls(key: bytes, certificate: bytes, client_authority: bytes | None = None) -> grpc.ServerCredentials:
    """Credentials of a server from PEM texts. With `client_authority`, clients must show a certificate
    that it signed."""
    return grpc.ssl_server_credentials(
        [(key, certificate)],
        root_certificates=client_authority,
        require_client_auth=client_authority is not None,
    )


def _handler(service: Service, call: str) -> grpc.RpcMethodHandler[Any, Any]:
    """What gRPC needs to know of one call."""
    response_class: Callable[[], Any] = getattr(metadata_store_service_pb2, f"{call}Response")

    def answer(packed: bytes, context: grpc.ServicerContext) -> bytes:
        if not context.is_active():  # whoever asked has given up, perhaps to ask again
            return b""
        request = None
        try:
            request, response = parse_request(call, packed), response_class()
            service.call(call, request, response)
            return bytes(response.SerializeToString())
        except errors.StatusError as error:
            failed = error
        except StoreError as error:
            failed = status_of(error, request)
        except Exception as error:
            _log.exception("%s failed", call)
            failed = errors.InternalError(f"{call} failed in the server: {type(error).__name__}; see its log")
        return context.abort(grpc_wire.CODES[failed.error_code], _fitting(failed.message))

    return grpc.unary_unary_rpc_method_handler(answer)


def _fitting(text: str) -> str:
    """The text, its end left out when it is too long for a status."""
    packed = text.encode()
    if len(packed) <= MOST_DETAILS:
        return text
    return packed[: MOST_DETAILS - 3].decode(errors="ignore") + "..."


def _why_not(host: str, port: int) -> str:
    """The system's reason against an address, which gRPC keeps to itself; "" when it has none."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return ""
