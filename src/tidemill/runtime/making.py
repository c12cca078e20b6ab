"""Making what is kept beside the runs: one maker at a time, a mark written last, tools that can be canceled.

An environment is shared by all runs of a pipeline root, so several launchers may want it at once and any
of them may be killed halfway. What has no mark is made anew. Nothing here knows what is being made.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tidemill.errors import ExecutorError

LIMIT = 1800.0
"""Seconds that one tool may take. A package index that hangs must not hold a node for ever."""
_POLL = 0.05
_SHOWN = 12


class Cancel(Protocol):
    """What making needs of a cancel token."""

    canceled: bool

    def fileno(self) -> int:
        """Becomes readable when canceled."""


class MakingFailed(ExecutorError):
    """An environment could not be made; trying again may help, as a package index may be away."""

    code = "ENVIRONMENT"


class MakingCanceled(Exception):
    """Somebody canceled while an environment was being made or waited for."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where environments are kept, where their making is logged, and who may stop it."""

    root: Path
    """The pipeline root."""
    log: Path
    cancel: Cancel
    workdir: str = ""
    """Folder that relative paths among requirements start from."""

    @property
    def folder(self) -> Path:
        """The folder of all environments."""
        return self.root / "environments"

    def say(self, text: str) -> None:
        """A line in the node's log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(text.rstrip("\n") + "\n")


@contextlib.contextmanager
def only_maker(place: Place, name: str) -> Iterator[int]:
    """Hold the lock of `name`; its descriptor. MakingCanceled when canceled while waiting.

    A tool that is given the descriptor keeps the lock as long as it lives, so that a maker killed
    with SIGKILL is never followed by another one while its tool still writes.
    """
    place.folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place.folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        told = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    place.say(f"environment {name[:12]} is being made by another process: waiting for it")
                    told = True
                select.select([place.cancel.fileno()], [], [], _POLL)
                if place.cancel.canceled:
                    raise MakingCanceled from None
        yield descriptor
    finally:
        os.close(descriptor)


def write_durably(path: Path, facts: Mapping[str, Any]) -> None:
    """Write a mark so that it is there whole or not at all, whatever dies and when."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(facts, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_mark(path: Path) -> dict[str, Any] | None:
    """What `write_durably` wrote; None when there is nothing."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def run_tool(
    words: Sequence[str], place: Place, *, purpose: str, hint: str, given: str = "",
    env: Mapping[str, str] | None = None, keep: Sequence[int] = (),
) -> str:  # fmt: skip
    """Run a program to its end; its stdout. Its stderr goes to the log.

    MakingFailed with its last lines when it fails or takes too long, MakingCanceled when canceled.
    """
    import tempfile

    read, write = os.pipe()
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin.write(given.encode())
        stdin.seek(0)
        try:
            process = subprocess.Popen(
                list(words), stdin=stdin, stdout=out, stderr=err, env=env, cwd=place.workdir or None,
                pass_fds=(write, *keep), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            os.close(read)
            raise MakingFailed(f"{purpose}: {words[0]} cannot be started: {error}", hint=hint) from error
        finally:
            os.close(write)
        try:
            ended = _wait(process, read, place.cancel)
        finally:
            os.close(read)
        out.seek(0)
        err.seek(0)
        said = err.read().decode("utf-8", "replace").strip()
        if said:
            place.say(said)
        if not ended:
            raise MakingFailed(f"{purpose} took longer than {LIMIT:g} s", hint=hint)
        if process.returncode:
            last = "\n".join(said.splitlines()[-_SHOWN:]) or f"{words[0]} ended with {process.returncode}"
            raise MakingFailed(f"{purpose} failed: {last}", hint=hint)
        return out.read().decode("utf-8", "replace")


def _wait(process: subprocess.Popen[bytes], ended: int, cancel: Cancel) -> bool:
    """Wait for the end, which closes the other end of the pipe `ended`; False when it is late."""
    deadline = time.monotonic() + LIMIT
    try:
        readable, _, _ = select.select([ended, cancel.fileno()], [], [], LIMIT)
        if ended in readable:
            process.wait(max(1.0, deadline - time.monotonic()))
            return True
        if cancel.canceled:
            raise MakingCanceled
        return False
    except subprocess.TimeoutExpired:
        return False
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
