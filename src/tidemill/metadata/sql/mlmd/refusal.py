"""How this room says no: a status code of MLMD and a sentence.

The codes are the canonical ones of absl and gRPC. Whoever serves the calls turns a refusal into the
error of its own surface: a Python class, a gRPC status.
"""

from __future__ import annotations

from enum import IntEnum

from tidemill.errors import StoreError


class Status(IntEnum):
    """The codes that a call of this room may end with."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13


class Refusal(StoreError):
    """A call that MLMD's interface refuses; nothing was changed."""

    code = "REFUSED"

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


def invalid(message: str) -> Refusal:
    """What was asked for makes no sense."""
    return Refusal(Status.INVALID_ARGUMENT, message)


def not_found(message: str) -> Refusal:
    """What was asked for is not there."""
    return Refusal(Status.NOT_FOUND, message)
