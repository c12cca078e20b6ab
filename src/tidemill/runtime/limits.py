"""What one attempt may use: times, memory, cores, log; and how memory and cores are enforced.

Where this process may make control groups the system enforces the limits; else the supervisor looks at
the memory of the process tree every few hundredths of a second, and cores are not limited.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from tidemill.runtime import processes

WATCH_INTERVAL = 0.05
"""Seconds between two looks at the memory of a process tree."""
_SHARE = 20
"""A look at memory may take 1/20 of the time: the next one waits so many times as long."""
_PERIOD = 100_000
"""Microseconds of the period that the system divides cores in, unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one attempt; 0 means none. Times are seconds."""

    start: float = 0.0
    run: float = 0.0
    total: float = 0.0
    """From the beginning of this attempt, what is left for all attempts together."""
    heartbeat: float = 0.0
    grace: float = 3.0
    """Between asking a process to end and killing it."""
    memory: int = 0
    """Bytes."""
    cpu: float = 0.0
    """Cores."""
    log: int = 0
    """Bytes."""
    groups: str = "/sys/fs/cgroup"
    """Where control groups are mounted; empty: none are used."""

    def to_json(self) -> dict[str, Any]:
        """Inverse of `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`."""
        return cls(**data)


class Groups:
    """The control groups of one attempt, at most one per kind of limit. Empty when none can be made."""

    def __init__(self, limits: Limits) -> None:
        self.used: list[str] = []
        """What is enforced: `memory: cgroup v1` and the like."""
        self.memory: Path | None = None
        self._folders: list[Path] = []
        root = Path(limits.groups)
        if (limits.memory or limits.cpu) and limits.groups and root.is_dir():
            own = _own_groups()
            if limits.memory:
                self.memory = self._make("memory", own, root, _memory_settings(limits.memory))
            if limits.cpu:
                self._make("cpu", own, root, _cpu_settings(limits.cpu))

    def join(self) -> None:
        """Put this process, and what it will start, into the groups."""
        for folder in self._folders:
            (folder / "cgroup.procs").write_text("0")

    def kills(self) -> int:
        """How many processes the system killed for want of memory."""
        if self.memory is None:
            return 0
        text = _read(self.memory / "memory.events") or _read(self.memory / "memory.oom_control")
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill "))

    def peak(self) -> int:
        """The most memory that was used, file caches included; 0 when not known."""
        if self.memory is None:
            return 0
        text = _read(self.memory / "memory.peak") or _read(self.memory / "memory.max_usage_in_bytes")
        return int(text or 0)

    def remove(self) -> None:
        """Remove the groups; nothing may live in them any more."""
        for folder in self._folders:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _make(
        self, kind: str, own: Mapping[str, str], root: Path, settings: Mapping[str, Mapping[str, str]]
    ) -> Path | None:
        """A new group below our own; None when that is not allowed."""
        version = "v1" if kind in own else "v2"
        parent = root / kind / own[kind].lstrip("/") if kind in own else root / own.get("", "").lstrip("/")
        if version == "v2" and kind not in _read(parent / "cgroup.subtree_control").split():
            return None
        _sweep(parent)
        folder = parent / f"tidemill-{os.getpid()}-{len(self._folders)}"
        try:
            folder.mkdir()
        except OSError:
            return None
        try:
            for index, (name, value) in enumerate(settings[version].items()):
                # The first is the limit; the others are refinements that not every kernel has.
                with contextlib.suppress(*([OSError] if index else [])):
                    (folder / name).write_text(value)
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            return None
        self._folders.append(folder)
        self.used.append(f"{kind}: cgroup {version}")
        return folder


class MemoryWatch:
    """Looks at the memory of a process tree now and then."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.peak = 0
        self.next = 0.0
        """When the next look is due, by time.monotonic()."""

    def exceeded(self, root: int) -> int:
        """Bytes in use by `root` and its descendants when that is more than the limit, else 0."""
        began = time.monotonic()
        tree = [root, *processes.descendants(root)]
        used = processes.resident(tree)
        # The cheap figure counts mapped files and counts shared pages twice: it can only be too high.
        if used > self.limit:
            used = processes.used_memory(tree)
        self.peak = max(self.peak, used)
        took = time.monotonic() - began
        self.next = began + took + max(WATCH_INTERVAL, _SHARE * took)
        return used if used > self.limit else 0


def _memory_settings(limit: int) -> dict[str, dict[str, str]]:
    """Files to write, by version of control groups. No swap: a node that swaps only hangs."""
    return {
        "v1": {"memory.limit_in_bytes": str(limit), "memory.memsw.limit_in_bytes": str(limit)},
        "v2": {"memory.max": str(limit), "memory.swap.max": "0", "memory.oom.group": "1"},
    }


def _cpu_settings(cores: float) -> dict[str, dict[str, str]]:
    quota = str(max(1000, round(cores * _PERIOD)))  # the least that the system takes is 1 ms
    return {
        "v1": {"cpu.cfs_quota_us": quota},
        "v2": {"cpu.max": f"{quota} {_PERIOD}"},
    }


def _own_groups() -> dict[str, str]:
    """Path of this process's group by controller; that of version 2 under the empty name."""
    found = {}
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _sweep(parent: Path) -> None:
    """Remove groups whose supervisor was killed before it could. One that is in use refuses."""
    with contextlib.suppress(OSError):
        for folder in parent.glob("tidemill-*"):
            pid = folder.name.split("-")[1]
            if pid.isdigit() and not Path(f"/proc/{pid}").exists():
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def enforcement(limits: Limits, used: Sequence[str]) -> str:
    """How memory and cores are limited, for the record; empty when there is nothing to limit."""
    ways = list(used)
    if limits.memory and not any(way.startswith("memory") for way in used):
        ways.append("memory: watchdog")
    if limits.cpu and not any(way.startswith("cpu") for way in used):
        ways.append("cpu: not enforced")
    return ", ".join(ways)
