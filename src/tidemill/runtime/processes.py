"""Processes of this machine as the system shows them: who descends from whom, memory, ends.

A supervisor is a *subreaper*: whatever its descendants do to get away (double fork, a session of their
own), the system hands them to the supervisor when their parent ends. So everything that an attempt
started can be found by walking down, and can be waited for.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from resource import struct_rusage

_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PROC = "/proc"
_FIRST_PAUSE, _LAST_PAUSE = 0.0002, 0.01


def become_subreaper() -> bool:
    """Adopt orphaned descendants from now on. False where the system has no such thing."""
    return _prctl(_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """End this process (SIGKILL) when its parent ends; at once if it ended before."""
    if _prctl(_SET_PDEATHSIG, signal.SIGKILL) and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Every living descendant, parents before children. Empty where the system does not say."""
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for parent in level for child in children(parent)]
        found += level
    return found


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each that still lives."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end_descendants(reaped: Callable[[int, int, struct_rusage], None], patience: float = 2.0) -> int:
    """Kill and reap everything that descends from this process; how many are left after `patience` s.

    `reaped` is told pid, wait status and usage of each child, which includes the usage of those that the
    child waited for. New processes that are forked meanwhile are found in the next round: their parents
    are dead by then, so they are children of this process.
    """
    deadline = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return 0
        if pid:
            reaped(pid, status, usage)
            continue
        living = descendants(os.getpid())
        signal_all(living, signal.SIGKILL)
        if time.monotonic() > deadline:
            return len(living)
        time.sleep(pause)
        pause = min(2 * pause, _LAST_PAUSE)


def resident(pids: Iterable[int]) -> int:
    """Bytes of memory that are mapped into the processes now. What two share counts twice."""
    return sum(_statm(pid) for pid in pids) * _PAGE


def used_memory(pids: Iterable[int]) -> int:
    """Bytes that only the end of the processes would give back; shared ones count once.

    Unlike `resident` it leaves out mapped files, which the system can drop. Slow for large processes.
    """
    return sum(_proportional(pid) for pid in pids)


def children(pid: int) -> list[int]:
    """Living children of all threads of a process."""
    found: list[int] = []
    try:
        for thread in Path(f"{_PROC}/{pid}/task").iterdir():
            found += map(int, (thread / "children").read_bytes().split())
    except FileNotFoundError:
        return found if not Path(f"{_PROC}/{pid}").exists() else _children_by_search(pid)
    except OSError:
        return found
    return found


def _children_by_search(pid: int) -> list[int]:
    """The same for kernels that keep no lists of children."""
    found = []
    for folder in Path(_PROC).iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid:
                    found.append(int(folder.name))
    return found


def _statm(pid: int) -> int:
    try:
        with Path(f"{_PROC}/{pid}/statm").open("rb") as file:
            return int(file.read().split()[1])
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    """Anonymous and shared memory of a process, each page divided by the number of its users."""
    names = (b"Pss_Anon:", b"Pss_Shmem:")
    try:
        with Path(f"{_PROC}/{pid}/smaps_rollup").open("rb") as file:
            lines = [line.split() for line in file]
        found = [int(words[1]) * 1024 for words in lines if words[0] in names]
        if found:
            return sum(found)
        with Path(f"{_PROC}/{pid}/statm").open("rb") as file:
            size = file.read().split()
        return (int(size[1]) - int(size[2])) * _PAGE  # an old kernel: what is not shared
    except (OSError, IndexError):
        return 0


def _prctl(option: int, value: int) -> bool:
    return _LIBC is not None and _LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0
