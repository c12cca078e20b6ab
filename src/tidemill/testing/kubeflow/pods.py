"""Pods: what is to be run for one try of a task, and something that runs it.

A runner of pods is asked to start one and gives a handle. The one here starts a process of this machine; one
that starts real containers has the same two methods.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

GRACE = 30.0
"""Seconds between SIGTERM and SIGKILL: Kubernetes' terminationGracePeriodSeconds, and Argo's."""
MOST_IN_WORD = 131_071
"""Bytes that Linux takes in one argument (MAX_ARG_STRLEN less the end)."""
_VARIABLE = re.compile(r"\$(\$|\((\w[\w.-]*)\))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One try of a task."""

    name: str
    """Unique in the run: `task`, `task(1)` for the second try, `loop.2.task` in an iteration."""
    task: str
    image: str
    words: tuple[str, ...]
    environ: Mapping[str, str]
    folder: Path
    """The pod's own folder: what would be its file system."""
    mounts: Mapping[str, Path] = field(default_factory=dict)
    """Place in the container -> folder of this machine: volumes that the platform spec mounts."""

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / "log.txt"


class Started(Protocol):
    """A pod that was started."""

    def wait(self) -> int:
        """Its exit code, once it has ended; negative for a signal."""

    def signal(self, number: int) -> None:
        """Send a signal to everything in it. Nothing happens when it has ended."""


class PodRunner(Protocol):
    """Starts pods."""

    def start(self, pod: Pod) -> Started:
        """Start one."""


class Processes:
    """Runs a pod's command as a process of this machine, with this interpreter in place of `python`.

    It gets the pod's environment and PATH, nothing else of ours.
    """

    def __init__(self, python: str = sys.executable) -> None:
        self.python = python

    def start(self, pod: Pod) -> Started:
        """Start the process, in a session of its own."""
        words = [self.python if pod.words[0] in ("python", "python3") else pod.words[0], *pod.words[1:]]
        environ = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/", **pod.environ}
        pod.folder.mkdir(parents=True, exist_ok=True)
        with pod.log.open("ab") as log:
            return _Process(words, environ, pod.folder, log.fileno())


class _Process:
    def __init__(self, words: list[str], environ: Mapping[str, str], folder: Path, log: int) -> None:
        self.process = subprocess.Popen(
            words, env=dict(environ), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip

    def wait(self) -> int:
        return self.process.wait()

    def signal(self, number: int) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


def end(started: Started, grace: float) -> None:
    """End a pod as Kubernetes does: SIGTERM, and SIGKILL after the grace. Somebody else waits for it."""
    started.signal(signal.SIGTERM)
    if grace:
        time.sleep(grace)
    started.signal(signal.SIGKILL)


def expanded(word: str, environ: Mapping[str, str]) -> str:
    """A word of a container's command as Kubernetes hands it on: `$(NAME)` replaced where the name is known,
    `$$` one dollar (third_party/forked/golang/expansion in kubernetes)."""

    def replace(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return environ.get(match[2], match[0])

    return _VARIABLE.sub(replace, word)
