"""The model server as a thing that starts and stops: its listener, its threads, its log."""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tidemill.errors import DataError
from tidemill.listener import Listener
from tidemill.serving.app import Limits, ModelApp
from tidemill.serving.hosting import Host
from tidemill.serving.metrics import Metrics

_NAME_MOST = 128


class ModelServer:
    """A server that has its port and is not answering yet.

    `port` 0 means any free one; `address` says which. It answers probes from `start` on, and predictions
    when `load` has loaded the model. StorageError when the port cannot be had or the place is no model.
    """

    def __init__(
        self, place: Path, *, name: str = "model", version: str = "1", host: str = "127.0.0.1", port: int = 0,
        threads: int = 4, limits: Limits | None = None, grace: float = 10.0,
    ) -> None:  # fmt: skip
        if not name or len(name) > _NAME_MOST or any(c in "/:?#%" or not c.isprintable() for c in name):
            raise DataError(
                f"{name!r} cannot be a model's name in an address", hint="use letters, digits, - and _"
            )
        self.host = Host(place, log, version=version)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="tidemill-serving")
        app = ModelApp(name, self.host, self._pool, Metrics(self.host), limits or Limits(), log)
        self._listener = Listener(app.asgi(), host=host, port=port, grace=grace)
        self.address = self._listener.address
        self._stop = threading.Event()
        self._follower = threading.Thread(
            target=self.host.follow, args=(self._stop,), name="tidemill-follow", daemon=True
        )

    def start(self) -> None:
        """Begin to answer, in threads of its own."""
        self._listener.start()

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
        self._follower.start()

    def stop(self) -> None:
        """Take no more requests, and return when none is under way."""
        self._stop.set()
        self._listener.stop()
        if self._follower.ident is not None:
            self._follower.join()
        self._pool.shutdown()


def log(event: str, **what: Any) -> None:
    """One line of JSON on stderr."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(json.dumps({"time": now, "event": event, **what}, default=str) + "\n")
    sys.stderr.flush()
