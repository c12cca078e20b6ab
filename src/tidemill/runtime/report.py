"""What a supervisor tells of an attempt when it is over, and what that means."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.limits import Limits
from tidemill.runtime.order import Answer

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


def judge(report: Report, limits: Limits) -> Answer | Failure:
    """How the attempt ended. Who answered and was killed only then has still answered."""
    answer = Answer.from_json(report.answer) if report.answer is not None else None
    if answer is not None and not report.stopped and not answer.failure_kind:
        return answer
    if report.stopped == CANCELED:
        return Failure(kind=FailureKind.CANCELED, message="canceled")
    if report.memory_kills or report.stopped == MEMORY:
        return _out_of_memory(report, limits)
    if report.stopped in TIMES:
        return _late(report.stopped, limits)
    if report.stopped == LOG:
        return Failure(kind=FailureKind.STORAGE, message=f"no log can be written: {report.log_error}")
    if answer is not None:
        return failure_of(answer)
    return _silent(report.status)


def failure_of(answer: Answer) -> Failure:
    """The failure that an executor answered."""
    return Failure(
        kind=FailureKind(answer.failure_kind),
        message=answer.message,
        exception=answer.exception,
        fingerprint=answer.fingerprint,
        backoff=answer.backoff,
    )


def _out_of_memory(report: Report, limits: Limits) -> Failure:
    used = max(report.memory_used, report.rss_peak if not report.memory_kills else 0)
    figures = f"more than its limit of {amount(limits.memory)}"
    if report.memory_used:
        figures = f"{amount(used)}, {figures}"
    return Failure(kind=FailureKind.OUT_OF_MEMORY, message=f"the node used {figures}")


def _late(which: str, limits: Limits) -> Failure:
    text = {
        "start": f"its code had not begun after {limits.start:g} s (start_timeout)",
        "run": f"took longer than its timeout of {limits.run:g} s",
        "total": "all attempts together took longer than total_timeout",
        "heartbeat": f"gave no sign of life for {limits.heartbeat:g} s: it neither printed anything nor "
        "called tidemill.heartbeat()",
    }[which]
    return Failure(kind=FailureKind.TIMEOUT, message=text, timeout=which)


def _silent(status: int | None) -> Failure:
    """An executor process that ended without an answer."""
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
        return Failure(kind=FailureKind.KILLED, message=f"the process was killed by {name}{hint}")
    return Failure(
        kind=FailureKind.EXCEPTION, message=f"the process ended with status {status} before it answered"
    )


def amount(size: int) -> str:
    """Bytes for people: `512.0 MiB`."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
