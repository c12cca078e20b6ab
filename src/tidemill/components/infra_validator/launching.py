"""A model server that was really started, as a process here or in a container.

Its port is one that the system chose, and its stdin is a pipe that we hold: it ends when we do, however
that comes about, so none is left behind. It knows processes, not what a server is asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tidemill.errors import PermanentError

ENGINE = "TIDEMILL_CONTAINER_ENGINE"
"""Environment variable that names the container engine's client, as for nodes in containers."""
INSIDE_PORT = 8080
INSIDE_FOLDER = "/mnt/models"
NAME = "model"
_TAIL_BYTES, _TAIL_LINES = 16_384, 40
_END_SECONDS = 5.0
_ASK_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where the server runs."""

    image: str = ""
    """Empty: a process of this machine."""
    env: Mapping[str, str] = field(default_factory=dict)
    env_from: Sequence[str] = ()
    cpu: float = 0.0
    memory: str = ""


class NotServing(Exception):
    """The server did not come up; the message says how."""


class Running:
    """A server process that was started."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, address: str) -> None:
        self.process = process
        self.log = log
        self.address = address

    def ended(self) -> str:
        """How it ended, if it did; empty while it runs."""
        status = self.process.poll()
        if status is None:
            return ""
        return (
            f"the server ended with status {status}" if status >= 0 else f"signal {-status} ended the server"
        )


@contextlib.contextmanager
def started(
    model: Path, where: Surroundings, log: Path, deadline: float
) -> Iterator[Running]:  # fmt: skip
    """A server on the model's folder, which ends with the block. NotServing when it never had a port.

    log: its output is appended there. deadline: on the monotonic clock.
    """
    command, environment = _command(model, where)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, env=environment
        )
    polite = bool(where.image)  # a process that is not up yet does not look at its stdin
    try:
        assert process.stdout is not None
        said = _first_line(process, process.stdout, deadline)
        address = _published(command, environment, deadline) if where.image else str(said["address"])
        polite = True
        yield Running(process, log, address)
    finally:
        _end(process, polite=polite)
        if where.image:
            _remove(command, environment)


def _command(model: Path, where: Surroundings) -> tuple[list[str], dict[str, str]]:
    """The command line and its environment. Values of variables are never on the command line."""
    given = {**where.env, **{name: os.environ[name] for name in where.env_from if name in os.environ}}
    if missing := [name for name in where.env_from if name not in os.environ]:
        raise PermanentError(f"the variable {missing[0]} is not set where the node runs", hint="see env_from")
    environment = {**os.environ, **given, "PYTHONUNBUFFERED": "1"}
    serving = ["-m", "tidemill.serving"]
    if not where.image:
        return [sys.executable, *serving, str(model), "--name", NAME, "--with-stdin"], environment
    words = [_engine(), "run", "--rm", "--interactive", "--name", _container_name(model)]
    words += ["--publish", f"127.0.0.1::{INSIDE_PORT}"]
    words += ["--mount", f'type=bind,"source={model}",target={INSIDE_FOLDER},readonly']
    words += ["--cpus", f"{where.cpu:g}"] if where.cpu else []
    words += ["--memory", where.memory.removesuffix("i").lower()] if where.memory else []
    for name in given:
        words += ["--env", name]
    words += ["--entrypoint", "python", where.image, *serving, INSIDE_FOLDER, "--name", NAME, "--with-stdin"]
    return [*words, "--host", "0.0.0.0", "--port", str(INSIDE_PORT)], environment


def _container_name(model: Path) -> str:
    return f"tidemill-infra-{os.getpid()}-{time.monotonic_ns():x}-{model.name}"[:60].rstrip("-.")


def _engine() -> str:
    chosen = os.environ.get(ENGINE, "")
    for name in [chosen] if chosen else ["docker", "podman"]:
        if (path := shutil.which(name)) is not None:
            return path
    raise PermanentError(
        "the server is to run in a container, and there is no container engine",
        hint=f"install docker or podman, or name a client in {ENGINE}; without image= it runs as a process",
    )


def _first_line(process: subprocess.Popen[bytes], output: IO[bytes], deadline: float) -> Mapping[str, Any]:
    """What the server says of itself as soon as it has its port."""
    said = b""
    while not said.endswith(b"\n"):
        left = max(0.0, deadline - time.monotonic())
        if not select.select([output], [], [], left)[0]:
            raise NotServing("the server did not open its port in time")
        piece = os.read(output.fileno(), 4096)
        if not piece:
            process.wait()
            raise NotServing(f"the server ended with status {process.returncode} before it opened its port")
        said += piece
    try:
        found = json.loads(said.splitlines()[0])
        assert isinstance(found, dict)
        return found
    except (ValueError, AssertionError):
        shown = said[:200].decode("utf-8", "replace").strip()
        raise NotServing(f"what was started is no tidemill server: it said {shown!r}") from None


def _published(command: Sequence[str], environment: Mapping[str, str], deadline: float) -> str:
    """Where the container's port is reached from here."""
    name = command[command.index("--name") + 1]
    asked = subprocess.run(
        [command[0], "port", name, str(INSIDE_PORT)], capture_output=True, text=True, check=False,
        timeout=max(1.0, min(_ASK_SECONDS, deadline - time.monotonic())), env=dict(environment),
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    lines = asked.stdout.split()
    if asked.returncode or not lines:
        raise NotServing(f"the container's port is not published: {asked.stderr.strip()}")
    return f"http://{lines[0]}"


def _end(process: subprocess.Popen[bytes], *, polite: bool) -> None:
    """Close its stdin, which it ends with; insist if it does not, or at once."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    for insist in (None, process.terminate, process.kill) if polite else (process.kill,):
        if insist is not None:
            insist()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
            return


def _remove(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Remove a container that its client left behind; mostly there is none any more."""
    name = command[command.index("--name") + 1]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            [command[0], "rm", "--force", name], capture_output=True, check=False, timeout=_ASK_SECONDS,
            env=dict(environment), stdin=subprocess.DEVNULL,
        )  # fmt: skip


def tail_of(log: Path) -> str:
    """The last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-_TAIL_LINES:])
