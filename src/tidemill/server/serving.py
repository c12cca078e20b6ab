"""The HTTP server as a thing that starts and stops: its socket, its threads, its TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from tidemill.errors import StoreError
from tidemill.metadata.sql import SqlStore
from tidemill.server.app import make_app
from tidemill.server.metrics import Metrics

_KEEP_ALIVE_SECONDS = 75
"""Longer than a client is idle between two nodes of a run, mostly: connections are made again for free,
but each costs a round trip."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a server's TLS, PEM. With `client_authority`, clients must show a certificate it signed."""

    key: Path
    certificate: Path
    client_authority: Path | None = None


class HttpServer:
    """A server that has its port and is not answering yet.

    `port` 0 means any free one; `address` says which. `hosts` are names it goes by beside addresses and
    this machine's. StoreError when the port cannot be had. The store stays the caller's to close, after
    `stop`.
    """

    def __init__(
        self, store: SqlStore, *, host: str = "127.0.0.1", port: int = 0, threads: int = 16,
        token: str = "", hosts: tuple[str, ...] = (), tls: Tls | None = None, grace: float = 10.0,
    ) -> None:  # fmt: skip
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="tidemill-http")
        self.metrics = Metrics(store)
        """Where calls are counted, those of other servers on the store too."""
        app = make_app(store, self._pool, self.metrics, threads=threads, token=token, hosts=(host, *hosts))
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, lifespan="off", ws="none",
            http="h11", loop="asyncio", proxy_headers=False, timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(grace),
        )  # fmt: skip
        if tls is not None:
            config.ssl_keyfile, config.ssl_certfile = tls.key, str(tls.certificate)
            if tls.client_authority is not None:
                config.ssl_ca_certs, config.ssl_cert_reqs = str(tls.client_authority), ssl.CERT_REQUIRED
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            raise StoreError(
                f"TLS cannot be set up: {error}", hint="look whether the TLS key and certificates fit"
            ) from error
        self._server = uvicorn.Server(config)
        self._socket = _listen(host, port)
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{'https' if tls else 'http'}://{shown}:{self._socket.getsockname()[1]}"
        """URL, as clients may name it."""
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="tidemill-http"
        )

    def start(self) -> None:
        """Begin to answer, in threads of its own. The socket takes connections already."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more calls, and return when none is under way; what a call does is never cut off."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join()
        self._pool.shutdown()
        self._socket.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # With its protocol named: asyncio sends answers at once on such sockets alone, and without it each
        # answer waits 40 ms for the client's system to acknowledge the headers.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)
        except BaseException:
            listener.close()
            raise
        return listener
    except OSError as error:
        raise StoreError(
            f"the server cannot listen on {host}:{port}: {error.strerror or error}",
            hint="choose another --http-port (0 takes any free one) or --host",
        ) from error
