"""Metadata servers for tests: real `tidemill metadata serve` processes, started in milliseconds."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MEMORY = Path("/dev/shm")
SECONDS = 60


class Nursery:
    """The process that starts servers."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server_nursery.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asks, self._answers = self._process.stdin, self._process.stdout

    def start(self, words: list[str], environment: dict[str, str], output: Path) -> int:
        """Start a command; its process id."""
        self._asks.write(json.dumps([words, environment, str(output)]) + "\n")
        self._asks.flush()
        return int(self._answers.readline())

    def close(self) -> None:
        """End it, and with it every server."""
        self._asks.close()
        self._process.wait(SECONDS)
        self._answers.close()


@dataclass
class Served:
    """One server, which can be killed and started again at the same ports and on the same database."""

    nursery: Nursery
    folder: Path
    options: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    scheme: str = "http"
    """http or grpc."""
    both: bool = False
    """Whether it serves the other one too."""
    url: str = ""
    ports: dict[str, str] = field(default_factory=dict)
    database: str = ""
    said: str = ""
    """What it printed while it started."""
    _handle: int = -1
    _output: Any = None

    def start(self) -> None:
        """Start it, and wait until it says that it answers, or ends."""
        self.database = self.database or str(self.folder / "served.db")
        pipe = self.folder / "output"
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)
        words = ["metadata", "serve", "--metadata", self.database, *self._ports(), *self.options]
        self._output = os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
        self._handle = os.pidfd_open(self.nursery.start(words, self.environment, pipe))
        self.said = self._read_lines()
        for kind, word in (("grpc", "listening on "), ("http", "serving http")):
            for line in self.said.splitlines():
                if line.startswith(word):
                    self.ports[kind] = line.rpartition(":")[2]
        if port := self.ports.get(self.scheme):
            self.url = f"{self.scheme}://127.0.0.1:{port}"

    def _ports(self) -> list[str]:
        """The same ones as before."""
        words = []
        for kind, option in (("grpc", "--port"), ("http", "--http-port")):
            if kind == self.scheme or self.both:
                words += [option, self.ports.get(kind, "0")]
        return words

    def _read_lines(self) -> str:
        """The line for each port, or everything when it ends first."""
        text = ""
        while text.count("\n") < 1 + self.both:
            readable, _, _ = select.select([self._output, self._handle], [], [], SECONDS)
            assert readable, "the server says nothing"
            with suppress(TypeError, BlockingIOError):  # nothing there yet
                text += self._output.read()
            if readable == [self._handle]:
                break
        return text

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def wait(self, seconds: float = SECONDS) -> bool:
        """Whether it ended in that time."""
        ended, _, _ = select.select([self._handle], [], [], seconds)
        return bool(ended)

    def kill(self) -> None:
        """As a crash would end it."""
        if self._handle >= 0:
            self.signal(signal.SIGKILL)
            assert self.wait()
            os.close(self._handle)
            self._output.close()
            self._handle = -1

    def rest(self) -> str:
        """What it printed since the line that `start` read; it must have ended."""
        with suppress(TypeError):
            return str(self._output.read())
        return ""


@contextmanager
def serving(
    nursery: Nursery, scheme: str, *options: str, both: bool = False, database: str = "", **environment: str
) -> Iterator[Served]:
    """A server on the database of an address, or else on one of its own: SQLite, in memory where the system
    offers that."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        server = Served(nursery, Path(folder), list(options), environment, scheme, both, database=database)
        server.start()
        assert server.url, server.said
        try:
            yield server
        finally:
            server.kill()
