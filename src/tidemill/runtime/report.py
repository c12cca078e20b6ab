"""What a supervisor tells of an attempt when it is over. What that means: judge.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

CANCELED, MEMORY, LOG, ORPHANED = "canceled", "memory", "log", "orphaned"
TIMES = ("start", "run", "total", "heartbeat")
"""Why a supervisor stops an attempt: one of these, or one of the four above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The end of one attempt, and what it used."""

    answer: Mapping[str, Any] | None = None
    """The executor's answer, see `Answer.to_json`; None when it gave none."""
    status: int | None = None
    """Exit status of the executor process, negative for a signal."""
    stopped: str = ""
    """Why the supervisor stopped it; empty when it ended by itself."""
    began: float = 0.0
    """When the executor function was called, by the machine's monotonic clock; 0 if it never was."""
    ended: float = 0.0
    """When everything had ended, by the same clock."""
    cpu: float = 0.0
    """Seconds of processor time, user and system, of everything that the attempt started."""
    rss_peak: int = 0
    """Bytes: the most that the processes together, or the largest of them, were seen to hold."""
    memory_used: int = 0
    """Bytes in use when the limit was reached."""
    memory_kills: int = 0
    """Processes that the system killed because the limit was reached."""
    enforcement: str = ""
    log_error: str = ""
    left: int = 0
    """Processes that did not end although they were killed."""

    def to_json(self) -> dict[str, Any]:
        """Inverse of `from_json`."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`."""
        return cls(**data)
