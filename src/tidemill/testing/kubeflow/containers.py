"""Pods as real containers of podman: an image of its own, no network, a user that no image knows.

As in a cluster with the restricted profile: all capabilities dropped, no new privileges, a number for a user.
The emulator's folders and volumes are mounted at the places that the container is told of.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidemill.testing.kubeflow.pods import Pod, Started

_ALL = 0o777
_CONFINED = ("--pull=never", "--network=none", "--cap-drop=all", "--security-opt=no-new-privileges")


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    """Runs pods with podman. Images must be on this machine: nothing is pulled."""

    shared: Sequence[Path] = ()
    """Folders that every container sees at the same place, to read and write."""
    user: str = field(default_factory=lambda: f"{100_000 + secrets.randbelow(900_000)}:0")
    """UID:GID; by default a random user in group 0, as OpenShift gives them."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """For the engine's client."""
    engine: str = "podman"

    def start(self, pod: Pod) -> Started:
        """Start the container."""
        pod.folder.mkdir(parents=True, exist_ok=True)
        for folder in (pod.folder, *self.shared):
            open_to_all(folder)
        name = f"tidemill-{secrets.token_hex(6)}"
        words = [self.engine, "run", "--rm", "--name", name, "--user", self.user, *_CONFINED]
        mounts = {str(folder): folder for folder in (pod.folder, *self.shared)}
        for place, folder in {**mounts, **pod.mounts}.items():
            words += ["--mount", f"type=bind,source={folder},target={place}"]
        for variable in pod.environ:
            words += ["--env", variable]  # values may be secret: the client takes them from its environment
        with pod.log.open("ab") as log:
            process = subprocess.Popen(
                [*words, pod.image, *pod.words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.environ, **pod.environ},
            )  # fmt: skip
        return _Container(self, name, process)


@dataclass(frozen=True, slots=True)
class _Container:
    of: Containers
    name: str
    process: subprocess.Popen[bytes]

    def wait(self) -> int:
        """The exit code; above 128 for a signal, as engines have it."""
        return self.process.wait()

    def signal(self, number: int) -> None:
        """To the first process inside, as kubelet sends it."""
        if self.process.poll() is None:
            subprocess.run(
                [self.of.engine, "kill", "--signal", signal.Signals(number).name, self.name], check=False,
                capture_output=True, env={**os.environ, **self.of.environ},
            )  # fmt: skip


def open_to_all(folder: Path) -> None:
    """Let everybody read and write a folder and what is in it: volumes of a cluster have such owners."""
    for place in (folder, *folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # somebody's temporary file
            if not place.is_symlink():
                place.chmod(place.stat().st_mode | (_ALL if place.is_dir() else 0o666))
