"""Between the launcher and one container: runs the engine's client, and brings the container's answer.

    python -m tidemill.runtime.client FOLDER COMMAND... ANSWER_FD

To the launcher this is an executor process like any other: the order comes on stdin, which is the client's
too, and the answer goes to the descriptor. The container put it into a file of FOLDER.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tidemill.runtime import child, entry
from tidemill.runtime.failure import FailureKind
from tidemill.runtime.order import Answer

_LOOK = 0.05
"""Seconds between two looks at what the executor said."""
_PATIENCE = 30.0
"""Seconds that an answer waits for the engine's client to end."""
_ANSWER = b'{"answer"'
"""How the line of an answer begins; see child.say."""
_KEPT = 2000
"""Bytes of the client's last words that its error shows."""
_LINES = 3


def main(words: list[str]) -> int:
    """Run the client to its end; its exit status, or the signal's negative that ended it inside."""
    folder, command, descriptor = Path(words[0]), words[1:-1], int(words[-1])
    # The client gets the signal as well and hands it to the container. Its end is what is waited for.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    client = subprocess.Popen(command, stderr=subprocess.PIPE)
    over = threading.Event()
    messages = threading.Thread(target=_bring, args=(folder / entry.ANSWER, descriptor, over))
    messages.start()
    last = _pass_on(client)
    status = client.wait()
    over.set()
    messages.join()
    if 0 < status < 128 and not (folder / entry.PYTHON).exists():
        child.say(descriptor, {"answer": _not_started(command[0], status, last).to_json()})
    number = -status if status < 0 else status - 128 if status > 128 else 0
    if number:  # of a signal, inside or here: the launcher shall see what it would see of its own child
        signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
        os.kill(os.getpid(), number)
    return status


def _bring(file: Path, descriptor: int, over: threading.Event) -> None:
    """Hand on what the executor says, soon after it says so: the time limits count from its first word.

    The answer alone waits until the client has ended. Whoever gets it ends everything that is left, and
    podman's monitor would be killed before it had taken the container off the books.
    """
    told, held, answered, ended = 0, b"", 0.0, False
    while not ended:
        ended = over.wait(_LOOK) or bool(answered and time.monotonic() > answered + _PATIENCE)
        if file.exists():
            with file.open("rb") as stream:
                stream.seek(told)
                data = stream.read()
            told += len(data)
            held += data
        while not answered and b"\n" in held:
            if held.startswith(_ANSWER):
                answered = time.monotonic()
            else:
                line, _, held = held.partition(b"\n")
                _write(descriptor, line + b"\n")
    _write(descriptor, held)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _pass_on(client: subprocess.Popen[bytes]) -> str:
    """Hand on what the client says, until it says no more; its last words."""
    last = b""
    assert client.stderr is not None
    while piece := os.read(client.stderr.fileno(), 1 << 16):
        sys.stderr.buffer.write(piece)
        sys.stderr.flush()
        last = (last + piece)[-_KEPT:]
    return last.decode("utf-8", "replace")


def _not_started(engine: str, status: int, last: str) -> Answer:
    """What to answer when tidemill never ran inside: what engine or image said."""
    text = "\n".join([line for line in last.splitlines() if line.strip()][-_LINES:])
    name = Path(engine).name
    return Answer(
        failure_kind=FailureKind.ENVIRONMENT.value,
        message=f"{name} could not start the node in its container (status {status}): {text}",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
