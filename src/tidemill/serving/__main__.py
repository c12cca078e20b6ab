"""`python -m tidemill.serving FOLDER`: the server without the command line's libraries.

InfraValidator starts it, here and in containers. It says where it listens as one line of JSON on stdout
before it loads the model, and ends with its stdin: whoever started it need not live to stop it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from tidemill.errors import TidemillError


def main() -> int:
    """Serve until SIGTERM, SIGINT, or the end of stdin where that is asked for; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tidemill.serving", description=__doc__)
    parser.add_argument("place", type=Path)
    parser.add_argument("--name", default="model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--with-stdin", action="store_true", help="end when stdin does")
    options = parser.parse_args()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    if options.with_stdin:
        threading.Thread(target=_until_the_end_of_stdin, args=(over,), daemon=True).start()
    try:
        from tidemill.serving.server import ModelServer

        server = ModelServer(options.place, name=options.name, host=options.host, port=options.port)
        server.start()
        try:
            sys.stdout.write(json.dumps({"address": server.address, "pid": os.getpid()}) + "\n")
            sys.stdout.flush()
            server.load()
            over.wait()
        finally:
            server.stop()
    except TidemillError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _until_the_end_of_stdin(over: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    over.set()


if __name__ == "__main__":
    sys.exit(main())
