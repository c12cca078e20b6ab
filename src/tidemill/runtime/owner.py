"""Who drives a run, and whether that process still lives.

An owner is `host/boot/pid/start`. A pid alone could be a later process; the boot id and the start
time of the process (clock ticks since boot) tell them apart, and no wall clock is asked.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


@cache
def myself() -> str:
    """The owner string of this process."""
    return f"{socket.gethostname()}/{_boot()}/{os.getpid()}/{_start(os.getpid())}"


def is_alive(owner: str) -> bool | None:
    """Whether the process still runs; None when it is on another machine and cannot be seen."""
    host, boot, pid, start = (owner.split("/") + [""] * 4)[:4]
    if host != socket.gethostname():
        return None
    if boot != _boot() or not pid.isdigit():
        return False
    return _start(int(pid)) == start != ""


def pid_of(owner: str) -> int:
    """Id of the process, if it lives on this machine; else 0."""
    return int(owner.split("/")[2]) if is_alive(owner) else 0


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "boot"


def _start(pid: int) -> str:
    """When a process started; where the system does not say, `alive`; empty when it is gone."""
    try:
        # The command name is in parentheses and may hold spaces; field 22 counts from behind it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"
