"""A TCP proxy on 127.0.0.1 that counts round trips and cuts a connection exactly at a word.

It knows of neither protocol more than that commands travel as readable text (COMMIT does in both).
"""

from __future__ import annotations

import re
import select
import socket
import threading
from enum import Enum
from types import TracebackType


class Cut(Enum):
    """When the connection is cut, seen from the statement."""

    BEFORE = "the server never sees it"
    AFTER = "the server has done it, the client does not learn so"
    MEANWHILE = "the server sees it, and finds the client gone when it answers"


class Proxy:
    """Forwards to a port of 127.0.0.1."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._word = b""
        self._cut = Cut.BEFORE
        self.cuts = 0
        """Connections that were cut."""
        self.round_trips = 0
        """How often a client spoke after the server had answered."""
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self._ends: list[socket.socket] = []

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for end in list(self._ends):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed already
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def cut_at(self, word: str, cut: Cut) -> None:
        """Cut the next connection whose client sends `word`; once."""
        self._cut, self._word = cut, word.encode()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._ends += [client, server]
            self._threads.append(threading.Thread(target=self._forward, args=(client, server)))
            self._threads[-1].start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            try:
                self._exchange(client, server)
            except OSError:
                return  # either end is gone

    def _exchange(self, client: socket.socket, server: socket.socket) -> None:
        answered = True
        while True:
            ready, _, _ = select.select([client, server], [], [])
            if server in ready:
                data = server.recv(65536)
                if not data:
                    return
                client.sendall(data)
                answered = True
            elif client in ready:
                data = client.recv(65536)
                if not data:
                    return
                self.round_trips += answered
                answered = False
                if self._is_cut(data, server):
                    return
                server.sendall(data)

    def _is_cut(self, data: bytes, server: socket.socket) -> bool:
        word = self._word
        if not word or not re.search(rb"(?<![A-Za-z])" + word + rb"(?![A-Za-z])", data):
            return False
        self._word = b""
        self.cuts += 1
        if self._cut is not Cut.BEFORE:
            server.sendall(data)
        if self._cut is Cut.AFTER:
            server.recv(65536)
        return True
