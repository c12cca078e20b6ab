"""A process that has everything loaded and forks `tidemill` commands: servers for many tests, each its own.

A test's server is a process of its own with its own database, as users start it; only its imports are
paid once. Each line of stdin is `[words of the command, environment, file for its output]` in JSON; the
answer is its process id. They all die with this process, and this one with whoever holds its stdin.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys

LOADED = (
    "tidemill.cli.main", "tidemill.cli.metadata", "tidemill.server.serving", "tidemill.mlmd.grpc_server",
    "tidemill.metadata.remote.grpc_service", "tidemill.metadata.sql.sqlite", "sqlite3",
    "uvicorn.protocols.http.h11_impl", "uvicorn.loops.asyncio", "uvicorn.lifespan.off",
    "encodings.idna", "grpc._server", "grpc._interceptor",
)  # fmt: skip
PR_SET_PDEATHSIG = 1


def become(words: list[str], environment: dict[str, str], output: str) -> None:
    """In the child: run the command."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.update(environment)
    for target, path, flags in ((0, os.devnull, os.O_RDONLY), (1, output, os.O_WRONLY)):
        opened = os.open(path, flags)
        os.dup2(opened, target)
        os.close(opened)
    os.dup2(1, 2)
    sys.argv = ["tidemill", *words]
    importlib.import_module("tidemill.cli.main").main()


def main() -> None:
    for module in LOADED:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets them by itself
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            status = 1
            try:
                become(*json.loads(line))
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        print(child, flush=True)


if __name__ == "__main__":
    main()
