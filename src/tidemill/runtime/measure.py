"""What one attempt took and used, as custom properties of its execution.

The times are parts of the attempt, one after another: queue, start, run, seal. What is left until the
end of the execution is the publication itself.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tidemill.metadata.model import PropertyValue
from tidemill.runtime.report import Report

QUEUE, START, RUN, SEAL = (f"tidemill.{part}_seconds" for part in ("queue", "start", "run", "seal"))
"""From ready to claimed; from claimed until the executor function begins (inputs, process, imports); the
function itself; from its end until everything is ready to be published (files hashed and synced)."""
CPU, RSS_PEAK = "tidemill.cpu_seconds", "tidemill.rss_peak"
"""Processor time, user and system, and the most memory, of all processes of the attempt."""
BYTES_IN, BYTES_OUT = "tidemill.bytes_in", "tidemill.bytes_out"
"""Sizes of the input and output artifacts, where they are known."""
ENFORCEMENT = "tidemill.enforcement"
"""How limits of memory and cores were enforced."""
NAMES = (QUEUE, START, RUN, SEAL, CPU, RSS_PEAK, BYTES_IN, BYTES_OUT, ENFORCEMENT)
SIZE = "bytes"
"""Custom property of an artifact: size of its files."""


@dataclass(slots=True)
class Usage:
    """Collected while an attempt runs; times by the machine's monotonic clock."""

    claimed: float = 0.0
    queued: float = -1.0
    """Seconds; negative when the caller did not say since when the node was ready."""
    began: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    rss_peak: int = 0
    enforcement: str = ""
    memory_limit: int = 0

    def take(self, report: Report) -> None:
        """Take over what a supervisor measured."""
        self.cpu = report.cpu
        self.rss_peak = report.rss_peak
        self.enforcement = report.enforcement
        self.began, self.seconds = report.began, report.ended - report.began
        if report.answer is not None:
            self.began = float(report.answer["began"])
            self.seconds = float(report.answer["seconds"])

    def properties(self, now: float) -> dict[str, PropertyValue]:
        """What is known of an attempt that is about to be published at `now`."""
        found: dict[str, PropertyValue] = {}
        if self.queued >= 0:
            found[QUEUE] = self.queued
        if self.began:
            found[START] = max(0.0, self.began - self.claimed)
            found[RUN] = self.seconds
            found[SEAL] = max(0.0, now - self.began - self.seconds)
        if self.cpu:
            found[CPU] = round(self.cpu, 6)
        if self.rss_peak:
            found[RSS_PEAK] = self.rss_peak
        if self.enforcement:
            found[ENFORCEMENT] = self.enforcement
        return found


def size_of(properties: Iterable[Mapping[str, PropertyValue]]) -> int:
    """Bytes of artifacts, by their custom properties."""
    return sum(int(p.get(SIZE, 0)) for p in properties)


def of_this_process() -> float:
    """Processor seconds of this process, and of the children that it waited for."""
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in found)
