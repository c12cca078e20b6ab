"""MLMD's errors under their names: one class for each of the 16 canonical status codes.

Codes are those of absl and gRPC. This room's errors are in tidemill's tree too, so that whoever catches
TidemillError catches them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tidemill.errors import TidemillError

OK = 0
CANCELLED = 1
UNKNOWN = 2
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
NOT_FOUND = 5
ALREADY_EXISTS = 6
PERMISSION_DENIED = 7
RESOURCE_EXHAUSTED = 8
FAILED_PRECONDITION = 9
ABORTED = 10
OUT_OF_RANGE = 11
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
DATA_LOSS = 15
UNAUTHENTICATED = 16


class StatusError(TidemillError):
    """The root of MLMD's errors; `message` says what happened, `error_code` is the status code."""

    code = "MLMD"
    exit_code = 3

    def __init__(self, message: str, error_code: int) -> None:
        super().__init__(message)
        self.error_code = error_code


class _Coded(StatusError):
    """A status error whose class says its code."""

    status: ClassVar[int]

    def __init__(self, message: str) -> None:
        super().__init__(message, self.status)


class CancelledError(_Coded):
    """The call was cancelled."""

    status = CANCELLED


class UnknownError(StatusError):
    """The call failed and nobody knows why; any code that is not one of the 16 ends here."""

    def __init__(self, message: str, error_code: int = UNKNOWN) -> None:
        super().__init__(message, error_code)


class InvalidArgumentError(_Coded):
    """What was asked for makes no sense, whatever the store holds."""

    status = INVALID_ARGUMENT


class DeadlineExceededError(_Coded):
    """The time given for the call was over first."""

    status = DEADLINE_EXCEEDED


class NotFoundError(_Coded):
    """What was asked for is not in the store."""

    status = NOT_FOUND


class AlreadyExistsError(_Coded):
    """Something with that name, external id or pair of ids, or another form of the type, is stored."""

    status = ALREADY_EXISTS


class PermissionDeniedError(_Coded):
    """The caller may not do that."""

    status = PERMISSION_DENIED


class ResourceExhaustedError(_Coded):
    """Something is used up: the disk, or the size that a message may have."""

    status = RESOURCE_EXHAUSTED


class FailedPreconditionError(_Coded):
    """The store is not in the state that the call requires."""

    status = FAILED_PRECONDITION


class AbortedError(_Coded):
    """Somebody else got in the way; the same call may succeed when it is made again."""

    status = ABORTED


class OutOfRangeError(_Coded):
    """An index lies outside the list it points into."""

    status = OUT_OF_RANGE


class UnimplementedError(_Coded):
    """The store cannot do that."""

    status = UNIMPLEMENTED


class InternalError(_Coded):
    """The store failed."""

    status = INTERNAL


class UnavailableError(_Coded):
    """The store cannot be reached now."""

    status = UNAVAILABLE


class DataLossError(_Coded):
    """The store is damaged."""

    status = DATA_LOSS


class UnauthenticatedError(_Coded):
    """The caller did not say convincingly who they are."""

    status = UNAUTHENTICATED


class ConnectionFailedError(StatusError, RuntimeError):
    """A store cannot be opened. MLMD raises RuntimeError then, so this is one too."""


_BY_CODE: dict[int, type[Any]] = {error.status: error for error in _Coded.__subclasses__()}
_BY_CODE[UNKNOWN] = UnknownError


def exception_type_from_error_code(error_code: int) -> type[Any]:
    """The class for a status code. KeyError when it is none of the 16."""
    return _BY_CODE[error_code]


def make_exception(message: str, error_code: int) -> StatusError:
    """The error for a status code; UnknownError for a code that is none of the 16."""
    found: StatusError = _BY_CODE.get(error_code, UnknownError)(message)
    return found
