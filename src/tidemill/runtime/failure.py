"""How attempts fail, and whether trying again can help."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """Class of a failure. The names are stable: they are recorded."""

    EXCEPTION = "EXCEPTION"
    """User code raised."""
    DATA = "DATA"
    """The input data cannot be used."""
    VALIDATION = "VALIDATION"
    """A component's verdict is no."""
    RESOLUTION = "RESOLUTION"
    """An input or parameter has no value."""
    TIMEOUT = "TIMEOUT"
    """The attempt took too long and was stopped."""
    KILLED = "KILLED"
    """The process died without an answer: a signal, or the system ran out of memory."""
    ENVIRONMENT = "ENVIRONMENT"
    """The node's own environment could not be made, or no container started from it."""
    STORAGE = "STORAGE"
    """Files could not be read or written."""
    CANCELED = "CANCELED"
    """Somebody asked for it."""

    @property
    def retryable(self) -> bool:
        """Whether another attempt may end differently without anybody changing anything."""
        return self in (
            FailureKind.EXCEPTION, FailureKind.TIMEOUT, FailureKind.KILLED, FailureKind.STORAGE,
            FailureKind.ENVIRONMENT,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt failed."""

    kind: FailureKind
    message: str
    """One readable text; the traceback is in the log."""
    exception: str = ""
    """Type of the exception, if any."""

    @property
    def headline(self) -> str:
        """The first line, with the exception's type."""
        first = self.message.splitlines()[0] if self.message else self.kind.value.lower()
        return f"{self.exception}: {first}" if self.exception else first
