"""Pods as forks of one warm process: for many runs of small pipelines, where starting Python takes longest.

    python -m tidemill.testing.kubeflow.forking SOCKET_FD MODULE FURTHER...

imports the modules, then forks for each request and calls the `main` of the first there. It starts no
threads, so that a fork is as clean as a new process; what importing sets up is the same in all of them.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

from tidemill.testing.kubeflow.pods import Pod, Started


class Forks:
    """Runs pods whose command is `python -m MODULE ...`. Use it as a context manager.

    `preload` are modules that most pods would import.
    """

    def __init__(self, module: str, preload: Sequence[str] = ()) -> None:
        self.module = module
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno()), module, *preload],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._socket = ours
        self._lines = ours.makefile("r", encoding="utf-8")
        self._turn = threading.Lock()
        self._started: dict[int, _Fork] = {}
        self._asked: list[_Fork] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_WR)
        self._process.wait()
        self._lines.close()
        self._socket.close()

    def start(self, pod: Pod) -> Started:
        """Fork."""
        if pod.words[1:3] != ("-m", self.module):
            raise ValueError(f"only `python -m {self.module}` can be forked, not {pod.words[:3]}")
        pod.folder.mkdir(parents=True, exist_ok=True)
        environ = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/", **pod.environ}
        request = {"words": pod.words[3:], "environ": environ, "folder": str(pod.folder), "log": str(pod.log)}
        fork = _Fork()
        with self._turn:
            self._asked.append(fork)  # answers come in the order of the requests
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        return fork

    def _listen(self) -> None:
        for line in self._lines:
            said: dict[str, int] = json.loads(line)
            if "status" in said:
                self._started.pop(said["pid"]).end(said["status"])
            else:
                fork = self._asked.pop(0)
                self._started[said["pid"]] = fork
                fork.begin(said["pid"])
        for fork in [*self._asked, *self._started.values()]:
            fork.end(-signal.SIGKILL)


class _Fork:
    """A forked pod."""

    def __init__(self) -> None:
        self._pid = 0
        self._status = 0
        self._begun, self._over = threading.Event(), threading.Event()

    def begin(self, pid: int) -> None:
        self._pid = pid
        self._begun.set()

    def end(self, status: int) -> None:
        self._status = status
        self._begun.set()
        self._over.set()

    def wait(self) -> int:
        self._over.wait()
        return self._status

    def signal(self, number: int) -> None:
        self._begun.wait()
        if not self._over.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, number)


# --- the process ----------------------------------------------------------------------------------


def serve(connection: socket.socket, module: str) -> None:
    """Fork whenever asked, tell of every end; return when nobody asks any more and all have ended."""
    main = importlib.import_module(module).main
    gc.collect()
    gc.freeze()  # what is there now is never collected, so forks go on sharing it
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    rest, asking, left = b"", True, 0
    while asking or left:
        watched = [woken, connection.fileno()] if asking else [woken]
        readable, _, _ = select.select(watched, [], [])
        if connection.fileno() in readable:
            piece = connection.recv(1 << 20)
            asking = bool(piece)
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                pid = _fork(json.loads(line), main)
                left += 1
                _say(connection, {"pid": pid})
        if woken in readable:
            os.read(woken, 512)
            left -= _reap(connection)


def _reap(connection: socket.socket) -> int:
    count = 0
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return count
        if pid == 0:
            return count
        count += 1
        _say(connection, {"pid": pid, "status": os.waitstatus_to_exitcode(status)})


def _say(connection: socket.socket, message: dict[str, int]) -> None:
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(json.dumps(message).encode() + b"\n")


def _fork(request: dict[str, Any], main: Any) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.clear()
        os.environ.update(request["environ"])
        os.chdir(request["folder"])
        code = main(request["words"])
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    for further in sys.argv[3:]:
        importlib.import_module(further)
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
