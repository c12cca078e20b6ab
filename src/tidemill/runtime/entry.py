"""Where an executor begins in an environment of its own: a virtual environment, or a container.

    PYTHON -I -u -c VENV_BOOT PACKAGE DEPENDENCIES ANSWER_FD
    PYTHON -c CONTAINER_BOOT PACKAGE DEPENDENCIES FOLDER

Both end in the same `serve` as any other executor process, with tidemill's own copy first on the path and
what its core needs last. In a container no descriptor can be passed, so the answer goes into a file of
FOLDER; and the first process there is nobody's child, so it takes the part of an init: it hands signals
on, reaps what was orphaned, and ends all when nobody waits any more.
"""

from __future__ import annotations

import contextlib
import os
import platform
import select
import signal
import sys
from pathlib import Path

from tidemill.runtime import child

ANSWER, PYTHON = "answer.json", "python.txt"
"""Files in the folder that container and launcher share: the answer, and the version of Python."""

VENV_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); sys.path.append(sys.argv[2]); "
    "from tidemill.runtime.entry import in_venv; sys.exit(in_venv(int(sys.argv[3])))"
)
CONTAINER_BOOT = (
    "import sys, platform\n"
    "if sys.version_info < (3, 11):\n"
    "    sys.exit('tidemill needs Python 3.11 or newer; this image has ' + platform.python_version())\n"
    "sys.path[:] = [sys.argv[1], *filter(None, sys.path), sys.argv[2]]\n"
    "from tidemill.runtime.entry import in_container\n"
    "sys.exit(in_container(sys.argv[3]))"
)
"""What the interpreter of an image runs: an old Python gets a clear answer instead of a syntax error."""
_OTHER_ENVIRONMENT = ("PYTHONPATH", "PYTHONHOME")
"""Variables that name modules of the environment that the launcher runs in."""


def in_venv(answer_fd: int) -> int:
    """Serve one order in a virtual environment; the exit status. What it starts is in it, too."""
    for name in _OTHER_ENVIRONMENT:
        os.environ.pop(name, None)
    programs = str(Path(sys.executable).parent)
    os.environ["VIRTUAL_ENV"] = sys.prefix
    os.environ["PATH"] = os.pathsep.join((programs, os.environ.get("PATH", os.defpath)))
    return child.serve(answer_fd)


def in_container(shared: str) -> int:
    """Serve one order as the first process of a container; the exit status."""
    folder = Path(shared)
    (folder / PYTHON).write_text(platform.python_version(), encoding="utf-8")
    descriptor = os.open(folder / ANSWER, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    pid = os.fork()
    if pid == 0:
        _lead(0)
        status = 1
        try:
            status = child.serve(descriptor)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _lead(pid)  # here too: a signal may come before the executor got to it
    os.close(descriptor)
    return _watch(pid)


def _watch(pid: int) -> int:
    """Wait for the executor; its exit status as a shell has it."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: _to_group(pid, number))
    poller = select.poll()
    poller.register(woken, select.POLLIN)
    # Asked for no event, a pipe still tells when its other end is closed; reading is the executor's.
    poller.register(0, 0)
    while True:
        for descriptor, _ in poller.poll():
            if descriptor == woken:
                os.read(woken, 512)
            else:
                poller.unregister(0)
                _to_group(pid, signal.SIGKILL)
        status = _reaped(pid)
        if status is not None:
            if os.getpid() == 1:
                _end_all()
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _reaped(pid: int) -> int | None:
    """Reap whatever ended; the status of `pid` if it is among them."""
    found = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if ended == 0:
            return found
        if ended == pid:
            found = status


def _lead(pid: int) -> None:
    """Make a process the leader of a group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.setpgid(pid, pid)


def _end_all() -> None:
    """End every other process of the container."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)


def _to_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
