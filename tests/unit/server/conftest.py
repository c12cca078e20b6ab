"""An HTTP server in this process, on a store in memory, and a way to send it anything."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from tidemill.metadata.sql import open_store
from tidemill.server.serving import HttpServer

Ask = Callable[..., tuple[int, dict[str, str], bytes]]


@contextmanager
def running(**options: Any) -> Iterator[HttpServer]:
    store = open_store("memory://")
    server = HttpServer(store, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        store.close()


@pytest.fixture
def start() -> Iterator[Callable[..., HttpServer]]:
    """Starts a server with options; it ends with the test."""
    with ExitStack() as ends:
        yield lambda **options: ends.enter_context(running(**options))


@pytest.fixture
def server(start: Callable[..., HttpServer]) -> HttpServer:
    return start()


@pytest.fixture
def ask() -> Ask:
    """`ask(server, "POST", path, body, **headers)`: status, headers, body."""

    def send(
        server: HttpServer, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(server.address)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=20)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if method == "POST":
            sent = {"content-type": "application/json", **sent}
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    return send
