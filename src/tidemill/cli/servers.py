"""The servers that `tidemill metadata serve` runs on one store: their parts are loaded when they are used."""

from __future__ import annotations

import importlib
import ipaddress
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from tidemill.errors import StoreError
from tidemill.metadata.remote.service import Observer, Service
from tidemill.metadata.sql import SqlStore

GRACE = 10.0
"""Seconds that calls under way have to end after a signal."""


@dataclass(kw_only=True)
class Servers:
    """Servers that start together and end with a `with` block. Each has its port as soon as it is added.

    The one for HTTP is added first, for it counts the calls of both.
    """

    store: SqlStore
    host: str
    threads: int
    token: str = field(repr=False)
    tls_key: Path | None
    tls_cert: Path | None
    tls_client_ca: Path | None
    lines: list[str] = field(default_factory=list)
    """What to tell whoever started them."""
    _begin: list[Callable[[], None]] = field(default_factory=list)
    _end: ExitStack = field(default_factory=ExitStack)
    _observer: Observer | None = None

    def add_http(self, port: int, hosts: tuple[str, ...]) -> None:
        """The calls of the metadata store over HTTP. StoreError when the port cannot be had."""
        serving = _load("tidemill.server.serving", extra="server", modules=("starlette", "uvicorn",
                        "prometheus_client", "anyio", "h11"))  # fmt: skip
        tls = None
        if self.tls_key and self.tls_cert:
            tls = serving.Tls(self.tls_key, self.tls_cert, self.tls_client_ca)
        server = serving.HttpServer(
            self.store, host=self.host, port=port, threads=self.threads, token=self.token, hosts=hosts,
            tls=tls, grace=GRACE,
        )  # fmt: skip
        self._end.callback(server.stop)
        self._begin.append(server.start)
        self._observer = server.metrics
        self.lines.append(f"serving {server.address}")

    def add_grpc(self, port: int, *, most_bytes: int) -> None:
        """MLMD's calls and those of the metadata store over gRPC. StoreError when the port cannot be had."""
        grpc_server = _load("tidemill.mlmd.grpc_server", extra="grpc", modules=("grpc", "google"))
        grpc_service = importlib.import_module("tidemill.metadata.remote.grpc_service")
        credentials = None
        if self.tls_key and self.tls_cert:
            ca = self.tls_client_ca.read_bytes() if self.tls_client_ca else None
            credentials = grpc_server.tls(self.tls_key.read_bytes(), self.tls_cert.read_bytes(), ca)
        own = grpc_service.handlers(Service(self.store, self._observer))
        server: Any = grpc_server.Server(
            self.store, host=self.host, port=port, threads=self.threads, most_bytes=most_bytes,
            credentials=credentials, token=self.token, more=[own],
        )  # fmt: skip
        self._end.callback(server.stop, GRACE)
        self._begin.append(server.start)
        self.lines.insert(0, f"listening on {server.address}")

    def start(self) -> None:
        """Begin to answer."""
        for begin in self._begin:
            begin()

    def __enter__(self) -> Servers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.close()


def _load(name: str, *, extra: str, modules: tuple[str, ...]) -> ModuleType:
    """A server's code, which needs an extra."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in modules:
            raise
        raise StoreError(
            f"the metadata server needs the Python module {error.name}", hint=f"install tidemill[{extra}]"
        ) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
