"""How attempts fail: the classes of failures, and what is kept of one.

A class says who has to act: the user, whoever runs the machine, or nobody but the clock. Whether
there is another attempt is decided by retry.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """Class of a failure. The names are stable: they are recorded."""

    EXCEPTION = "EXCEPTION"
    """User code raised, and nothing tells whether that may pass."""
    TRANSIENT = "TRANSIENT"
    """It passes by itself: a connection that broke, a service that is busy."""
    PERMANENT = "PERMANENT"
    """User code, or a rule, says that trying again is useless."""
    DATA = "DATA"
    """The input data cannot be used."""
    VALIDATION = "VALIDATION"
    """A component's verdict is no."""
    RESOLUTION = "RESOLUTION"
    """An input or parameter has no value."""
    INVALID_OUTPUT = "INVALID_OUTPUT"
    """The executor returned or wrote what it may not."""
    TIMEOUT = "TIMEOUT"
    """One of the time limits was reached; `Failure.timeout` says which."""
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    """It needed more memory than it may use."""
    KILLED = "KILLED"
    """The process died without an answer, by a signal that nobody of ours sent."""
    LOST = "LOST"
    """Whoever ran the attempt vanished; noticed when a later attempt takes over."""
    ENVIRONMENT = "ENVIRONMENT"
    """The node's own environment could not be made, or no container started from it."""
    STORAGE = "STORAGE"
    """Files could not be read or written."""
    CANCELED = "CANCELED"
    """Somebody asked for it."""

    @property
    def group(self) -> str:
        """The budget that another attempt is taken from: `user`, `transient`, `timeout`, `memory`,
        `infrastructure`; empty when another attempt cannot help."""
        return _GROUPS.get(self, "")


_GROUPS = {
    FailureKind.EXCEPTION: "user",
    FailureKind.TRANSIENT: "transient",
    FailureKind.TIMEOUT: "timeout",
    FailureKind.OUT_OF_MEMORY: "memory",
    FailureKind.KILLED: "infrastructure",
    FailureKind.LOST: "infrastructure",
    FailureKind.STORAGE: "infrastructure",
    FailureKind.ENVIRONMENT: "infrastructure",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt failed."""

    kind: FailureKind
    message: str
    """One readable text; the traceback is in the log."""
    exception: str = ""
    """Type of the exception, if any."""
    timeout: str = ""
    """Which limit a TIMEOUT reached: `queue`, `start`, `run`, `total` or `heartbeat`."""
    fingerprint: str = ""
    """Equal for failures of the same cause; see fingerprint.py."""
    backoff: float = -1.0
    """Seconds of backoff that a rule asks for; negative when none does."""

    @property
    def headline(self) -> str:
        """The first line, with the exception's type."""
        first = self.message.splitlines()[0] if self.message else self.kind.value.lower()
        return f"{self.exception}: {first}" if self.exception else first
