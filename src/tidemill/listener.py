"""A port of this machine and the thread that answers on it, for every HTTP server of ours.

The metadata server and the model server say what is answered; how a socket is bound, how connections are kept
and how it all ends is the same for both, and known here alone. This must not know what is served.
"""

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from tidemill.errors import StorageError, TidemillError

_KEEP_ALIVE_SECONDS = 75
"""Longer than a client is idle between two nodes of a run, mostly: connections are made again for free,
but each costs a round trip."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a server's TLS, PEM. With `client_authority`, clients must show a certificate it signed."""

    key: Path
    certificate: Path
    client_authority: Path | None = None


class Listener:
    """Has its port when it is made, and answers with an ASGI application from `start` to `stop`.

    `port` 0 means any free one; `address` says which. `grace`: seconds that requests under way are given at
    the end. An error of class `refuse` when the port cannot be had, which says that `option` chooses another,
    or when the files of `tls` do not fit.
    """

    def __init__(
        self, app: Any, *, host: str, port: int, grace: float, tls: Tls | None = None,
        option: str = "--port", refuse: type[TidemillError] = StorageError,
    ) -> None:  # fmt: skip
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
            raise refuse(
                f"TLS cannot be set up: {error}", hint="look whether the TLS key and certificates fit"
            ) from error
        self._server = uvicorn.Server(config)
        try:
            self._socket = _bound(host, port)
        except (OSError, OverflowError) as error:
            raise refuse(
                f"the server cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}",
                hint=f"choose another {option} (0 takes any free one) or --host",
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{'https' if tls else 'http'}://{shown}:{self._socket.getsockname()[1]}"
        """URL, as clients may name it."""
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="tidemill-http"
        )

    def start(self) -> None:
        """Begin to answer, in a thread of its own. The socket takes connections already."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, and return when none is under way."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join()
        self._socket.close()


def _bound(host: str, port: int) -> socket.socket:
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
