"""What the end of an attempt means: an answer, or a failure and its class."""

from __future__ import annotations

import signal

from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.limits import Limits
from tidemill.runtime.order import Answer
from tidemill.runtime.report import CANCELED, LOG, MEMORY, TIMES, Report


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
