"""Requests over HTTP: a few connections that are kept open, with the standard library alone.

Redirects are not followed and proxies of the environment are not asked: a store is where its address says.
"""

from __future__ import annotations

import http.client
import os
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tidemill.errors import StoreError
from tidemill.metadata.remote import token
from tidemill.metadata.remote.address import Address
from tidemill.metadata.remote.client import ANSWER_SECONDS, Unreachable
from tidemill.metadata.remote.methods import MOST_BYTES

PATH = "/api/v1/metadata/"
"""Where the calls are, followed by the name of a method."""
CONNECT_SECONDS = 10.0
_MOST_IDLE = 16
"""Connections that are kept for later calls."""
_AGAIN = frozenset({408, 429, 502, 503, 504})
"""Statuses of a server that stops or is busy, and of proxies before one that is not there."""


class HttpTransport:
    """Connections to one server."""

    def __init__(self, address: Address) -> None:
        self.where = str(address)
        self._address = address
        self._headers = {"content-type": "application/json", "user-agent": "tidemill"}
        if shown := token.shown(address.token):
            self._headers["authorization"] = token.header(shown)
        self._tls = _tls(address) if address.secure else None
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._process = os.getpid()
        self._inherited: list[list[http.client.HTTPConnection]] = []

    def ask(self, method: str, body: bytes) -> bytes:
        """Send a request and read its answer; see Transport."""
        if len(body) > MOST_BYTES:
            raise StoreError(
                f"a request over HTTP may have {MOST_BYTES >> 20} MiB, and this has {len(body) / 2**20:.1f}",
                where=self.where,
                hint="store less at once, or use the server's grpc:// address",
            )
        connection = self._take()
        try:
            if connection.sock is None:
                connection.timeout = CONNECT_SECONDS
                connection.connect()
                _keep_alive(connection)
            # A server that refuses a request does not read all of it; its answer says why.
            with suppress(BrokenPipeError, ConnectionResetError), _in_one_piece(connection.sock):
                connection.request("POST", f"{self._address.prefix}{PATH}{method}", body, self._headers)
            answer = connection.getresponse()
            read = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if isinstance(error, ssl.SSLCertVerificationError):
                raise self._untrusted(error) from error
            raise Unreachable(_why(error)) from error
        except BaseException:
            connection.close()
            raise
        self._give_back(connection, keep=not answer.will_close)
        return self._judge(answer, read)

    def close(self) -> None:
        """Close connections that are not in use."""
        with self._lock:
            if self._process == os.getpid():
                for connection in self._idle:
                    connection.close()
            self._idle = []

    def _take(self) -> http.client.HTTPConnection:
        """An idle connection that the server has not closed, else a new one."""
        with self._lock:
            if self._process != os.getpid():  # a child must not speak on its parent's connections
                self._inherited.append(self._idle)
                self._idle, self._process = [], os.getpid()
            while self._idle:
                connection = self._idle.pop()
                if not _is_stale(connection):
                    return connection
                connection.close()
        if self._tls is not None:
            return http.client.HTTPSConnection(self._address.host, self._address.port, context=self._tls)
        return http.client.HTTPConnection(self._address.host, self._address.port)

    def _give_back(self, connection: http.client.HTTPConnection, *, keep: bool) -> None:
        with self._lock:
            if keep and len(self._idle) < _MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _judge(self, answer: http.client.HTTPResponse, body: bytes) -> bytes:
        """The body, when it is one of the server's own answers."""
        if answer.status in _AGAIN:
            raise Unreachable(f"it answered {answer.status} {answer.reason}")
        if answer.status == 401:
            raise StoreError(
                "the metadata server asks for a token",
                where=self.where,
                hint=f"set {token.VARIABLE} to the token that the server was started with",
            )
        if answer.headers.get_content_type() != "application/json":
            raise StoreError(
                f"this is no metadata server: it answered {answer.status} {answer.reason}",
                where=self.where,
                hint="look at the address; the server is started with: tidemill metadata serve --http-port",
            )
        return body

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> StoreError:
        return StoreError(
            f"the certificate of the metadata server is not trusted: {error.verify_message}",
            where=self.where,
            hint="name the authority that signed it: https://HOST:PORT?ca=FILE",
        )


def _tls(address: Address) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=address.options.get("ca"))
        if certificate := address.options.get("cert"):
            context.load_cert_chain(certificate, address.options.get("key"))
    except (OSError, ssl.SSLError) as error:
        raise StoreError(
            f"a certificate cannot be read: {error}", where=str(address), hint="name files in the form PEM"
        ) from error
    return context


def _keep_alive(connection: http.client.HTTPConnection) -> None:
    """Notice within half a minute that the other machine is gone, and wait long for an answer."""
    connected: socket.socket = connection.sock
    connected.settimeout(ANSWER_SECONDS)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            with suppress(OSError):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


@contextmanager
def _in_one_piece(connected: socket.socket) -> Iterator[None]:
    """Send what is sent in the block together where the system can: http.client writes headers and body
    apart, and each would be a packet."""
    cork = getattr(socket, "TCP_CORK", None)
    if cork is not None:
        connected.setsockopt(socket.IPPROTO_TCP, cork, 1)
    yield
    if cork is not None:
        connected.setsockopt(socket.IPPROTO_TCP, cork, 0)


def _is_stale(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has closed it: an idle connection has nothing to read, not even its end."""
    if connection.sock is None:
        return True
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _why(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name of its host is not known ({error.strerror})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.RemoteDisconnected | http.client.IncompleteRead):
        return "the connection was closed before the answer"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
