"""The process that an engine starts in a container for one node: what it is told beside its arguments.

Environment variables say where the record, the code and the working directory are, since secrets and places
are the container's and not the engine's. The exit code and the signals are what every such process has alike.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, get_args

from tidemill.errors import RunnerError, did_you_mean
from tidemill.runtime.call import Isolation

if TYPE_CHECKING:  # the names of the variables are for compilers, too
    from tidemill.runtime.execute import CancelToken

METADATA = "TIDEMILL_METADATA"
"""URL of the metadata store, from a secret where it holds one."""
CODE_ROOT = "TIDEMILL_CODE_ROOT"
WORKDIR = "TIDEMILL_WORKDIR"
ISOLATION = "TIDEMILL_ISOLATION"
"""What keeps executors apart from the task's own process: process (as everywhere), fresh or none. With none a
task starts quicker, and its time limits are the engine's alone: nobody in the container watches any more."""
ENDED = 128 + signal.SIGTERM
"""Exit code after SIGTERM, as a shell has it: a failure to the engine, so an evicted pod is tried again."""


def needed(environ: Mapping[str, str], name: str, what: str, source: str) -> str:
    """A variable that must be there. RunnerError that says what it is, and where it comes from."""
    found = environ.get(name, "")
    if not found:
        raise RunnerError(f"the container has no {name}: the {what}", hint=f"it comes from {source}")
    return found


def code_root(environ: Mapping[str, str]) -> str:
    """Folder that the user's modules are imported from; the present one unless it is said."""
    return environ.get(CODE_ROOT, "") or str(Path.cwd())


def isolation(environ: Mapping[str, str]) -> Isolation:
    """See ISOLATION. RunnerError for a word that is none."""
    wanted = environ.get(ISOLATION, "") or "process"
    for known in get_args(Isolation):
        if wanted == known:
            return known  # type: ignore[no-any-return]  # get_args does not say what it gives
    hint = did_you_mean(wanted, get_args(Isolation))
    raise RunnerError(f"{ISOLATION} {wanted!r} is unknown", hint=hint)


def heed_signals(cancel: CancelToken) -> list[int]:
    """Cancel on SIGTERM and SIGINT; the list gets the signals that came."""
    came: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        came.append(number)
        cancel.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return came


def writable_home(environ: os._Environ[str]) -> None:
    """A home that can be written, for libraries that put caches there: the user of a pod often has none."""
    home = environ.get("HOME", "")
    if home and (os.access(home, os.W_OK) or os.access(Path(home) / ".cache", os.W_OK)):
        return
    environ["HOME"] = tempfile.gettempdir()


def say(text: str) -> None:
    """A line for the container's log."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
