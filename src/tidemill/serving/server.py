"""The model server as a thing that starts and stops: its socket, its threads, its log."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvicorn

from tidemill.errors import DataError, StorageError
from tidemill.serving.app import Limits, ModelApp
from tidemill.serving.hosting import Host
from tidemill.serving.metrics import Metrics

_KEEP_ALIVE_SECONDS = 75
_NAME_MOST = 128


class ModelServer:
    """A server that has its port and is not answering yet.

    `port` 0 means any free one; `address` says which. It answers probes from `start` on, and predictions
    when `load` has loaded the model. `alone`: this process does nothing else. StorageError when the port
    cannot be had or the place is no model.
    """

    def __init__(
        self, place: Path, *, name: str = "model", version: str = "1", host: str = "127.0.0.1", port: int = 0,
        threads: int = 4, limits: Limits | None = None, grace: float = 10.0, alone: bool = False,
    ) -> None:  # fmt: skip
        if not name or len(name) > _NAME_MOST or any(c in "/:?#%" or not c.isprintable() for c in name):
            raise DataError(
                f"{name!r} cannot be a model's name in an address", hint="use letters, digits, - and _"
            )
        self.host = Host(place, log, version=version, alone=alone)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="tidemill-serving")
        app = ModelApp(name, self.host, self._pool, Metrics(self.host), limits or Limits(), log)
        config = uvicorn.Config(
            app.asgi(), log_config=None, access_log=False, server_header=False, lifespan="off", ws="none",
            http="h11", loop="asyncio", proxy_headers=False, timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(grace),
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._socket = _listen(host, port)
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._socket.getsockname()[1]}"
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._server.run, kwargs={"sockets": [self._socket]}, name="tidemill-http"
            ),
            threading.Thread(
                target=self.host.follow, args=(self._stop,), name="tidemill-follow", daemon=True
            ),
        ]

    def start(self) -> None:
        """Begin to answer, in threads of its own."""
        self._threads[0].start()

    def load(self) -> None:
        """Load the model, and from then on follow the place if it is one that is pushed to.

        TidemillError when a model folder cannot be loaded. A place that is followed is waited for.
        """
        if not self.host.follows:
            self.host.refresh()
            return
        self.host.look()
        if self.host.current is None:
            log("waiting", place=str(self.host.place))
        self._threads[1].start()

    def stop(self) -> None:
        """Take no more requests, and return when none is under way."""
        self._stop.set()
        self._server.should_exit = True
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self._pool.shutdown()
        self._socket.close()


def log(event: str, **what: Any) -> None:
    """One line of JSON on stderr."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(json.dumps({"time": now, "event": event, **what}, default=str) + "\n")
    sys.stderr.flush()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # With its protocol named: asyncio sends answers at once on such sockets alone.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)
        except BaseException:
            listener.close()
            raise
        return listener
    except (OSError, OverflowError) as error:
        raise StorageError(
            f"the server cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}",
            hint="choose another --port (0 takes any free one) or --host",
        ) from error
