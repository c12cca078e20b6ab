"""The HTTP server as a thing that starts and stops: its application, its workers, its listener."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tidemill.errors import StoreError
from tidemill.listener import Listener, Tls
from tidemill.metadata.sql import SqlStore
from tidemill.server.app import make_app
from tidemill.server.metrics import Metrics


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
        self._listener = Listener(
            app, host=host, port=port, grace=grace, tls=tls, option="--http-port", refuse=StoreError
        )
        self.address = self._listener.address
        """URL, as clients may name it."""

    def start(self) -> None:
        """Begin to answer, in threads of its own. The socket takes connections already."""
        self._listener.start()

    def stop(self) -> None:
        """Take no more calls, and return when none is under way; what a call does is never cut off."""
        self._listener.stop()
        self._pool.shutdown()
