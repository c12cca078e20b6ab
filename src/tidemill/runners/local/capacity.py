"""What a machine has for nodes to use, and what of it is in use. Pure counting."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from tidemill.ir.model import ResourcesIR


@dataclass(slots=True)
class Capacity:
    """Slots of one machine. A node takes one job, and what it asks for of the rest."""

    jobs: int
    """Nodes at the same time."""
    cpu: float
    """Cores."""
    memory: int
    """Bytes."""
    gpu: int
    used: ResourcesIR = field(default_factory=ResourcesIR)
    running: int = 0

    @property
    def full(self) -> bool:
        """Whether nothing can start, whatever it asks for."""
        return self.running >= self.jobs

    def clipped(self, asked: ResourcesIR) -> ResourcesIR:
        """What a node gets: more cores or memory than there is means all there is, so that it runs alone."""
        return ResourcesIR(cpu=min(asked.cpu, self.cpu), memory=min(asked.memory, self.memory), gpu=asked.gpu)

    def fits(self, asked: ResourcesIR) -> bool:
        """Whether a node can start now."""
        asked, used = self.clipped(asked), self.used
        return (
            self.running < self.jobs
            and used.cpu + asked.cpu <= self.cpu
            and used.memory + asked.memory <= self.memory
            and used.gpu + asked.gpu <= self.gpu
        )

    def take(self, asked: ResourcesIR) -> None:
        """A node starts."""
        self.running += 1
        self._add(self.clipped(asked), 1)

    def give(self, asked: ResourcesIR) -> None:
        """A node that started has ended."""
        self.running -= 1
        self._add(self.clipped(asked), -1)

    def _add(self, asked: ResourcesIR, sign: int) -> None:
        self.used = ResourcesIR(
            cpu=round(self.used.cpu + sign * asked.cpu, 6),
            memory=self.used.memory + sign * asked.memory,
            gpu=self.used.gpu + sign * asked.gpu,
        )


def of_this_machine(jobs: int = 0) -> Capacity:
    """Cores that this process may use, memory of the machine, its GPUs; one job per core by default.

    TIDEMILL_GPUS says how many GPUs there are where they cannot be seen.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Capacity(jobs=jobs or cores, cpu=float(max(cores, jobs)), memory=_memory(), gpu=_gpus())


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 2**62


def _gpus() -> int:
    given = os.environ.get("TIDEMILL_GPUS", "")
    if given.isdigit():
        return int(given)
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if seen is not None:
        return len([d for d in seen.split(",") if d.strip() and d.strip() != "-1"])
    cards = Path("/proc/driver/nvidia/gpus")
    return len(list(cards.iterdir())) if cards.is_dir() else 0
