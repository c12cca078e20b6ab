"""Requests over gRPC, on one channel."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import grpc

from tidemill.errors import StoreError
from tidemill.metadata.remote import grpc_wire, token
from tidemill.metadata.remote.address import Address
from tidemill.metadata.remote.client import ANSWER_SECONDS, Unreachable

_OPTIONS = (
    ("grpc.max_receive_message_length", grpc_wire.MOST_BYTES),
    ("grpc.max_send_message_length", -1),
    # A server that starts again is found within a second; gRPC by itself waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
_AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}


class GrpcTransport:
    """A channel to one server; a forked child opens its own."""

    def __init__(self, address: Address) -> None:
        self.where = str(address)
        self._address = address
        shown = token.shown(address.token)
        self._metadata = (("authorization", token.header(shown)),) if shown else ()
        self._credentials = _credentials(address) if address.secure else None
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._inherited: list[grpc.Channel] = []
        self._channel = self._open()

    def ask(self, method: str, body: bytes) -> bytes:
        """Send a request and read its answer; see Transport."""
        with self._lock:
            if self._process != os.getpid():
                self._inherited.append(self._channel)
                self._channel, self._process = self._open(), os.getpid()
            stub = self._channel.unary_unary(
                grpc_wire.path(method), request_serializer=None, response_deserializer=None
            )
        try:
            answer: bytes = stub(body, timeout=ANSWER_SECONDS, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._explain(error) from error
        except ValueError as error:  # the channel was closed by another thread
            raise Unreachable(str(error)) from error
        return answer

    def close(self) -> None:
        """Close the channel."""
        if self._process == os.getpid():
            self._channel.close()

    def _open(self) -> grpc.Channel:
        if self._credentials is None:
            return grpc.insecure_channel(self._address.place, options=_OPTIONS)
        return grpc.secure_channel(self._address.place, self._credentials, options=_OPTIONS)

    def _explain(self, error: grpc.RpcError) -> Exception:
        code, details = error.code(), (error.details() or "").partition("\n")[0][:300]
        busy = code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger" not in details
        if code in _AGAIN or busy:
            return Unreachable(details or code.name)
        if code is grpc.StatusCode.UNAUTHENTICATED:
            return StoreError(
                "the metadata server asks for a token",
                where=self.where,
                hint=f"set {token.VARIABLE} to the token that the server was started with",
            )
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return StoreError(
                "this server does not serve tidemill's metadata store, or not this call of it",
                where=self.where,
                hint="ML Metadata's own server does not: use tidemill metadata serve, of this version",
            )
        return StoreError(f"the metadata server answered {code.name}: {details}", where=self.where)


def _credentials(address: Address) -> grpc.ChannelCredentials:
    # As OpenSSL does, so that both transports trust the same authorities.
    files = {"ca": os.environ.get("SSL_CERT_FILE", ""), **address.options}
    try:
        ca, cert, key = (
            Path(files[name]).read_bytes() if files.get(name) else None for name in ("ca", "cert", "key")
        )
    except OSError as error:
        raise StoreError(
            f"a certificate cannot be read: {error}", where=str(address), hint="name files in the form PEM"
        ) from error
    return grpc.ssl_channel_credentials(root_certificates=ca, private_key=key, certificate_chain=cert)
