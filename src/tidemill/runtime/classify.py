"""The class of an exception: decided where it was raised, from its type, its message and the rules.

Runs in the executor process, so it stays light and knows nothing of the record.
"""

from __future__ import annotations

import errno
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from tidemill.errors import (
    DataError,
    InvalidOutput,
    PermanentError,
    StorageError,
    TransientError,
    ValidationFailed,
)

MOST_SEARCHED = 2000
"""Characters of a message that a rule looks at."""
MOST_SECONDS = 1.0
"""Time that one rule may search; an expression that backtracks without end is given up."""
_CLASSES: tuple[tuple[type[BaseException], str], ...] = (
    (ValidationFailed, "VALIDATION"),
    (DataError, "DATA"),
    (InvalidOutput, "INVALID_OUTPUT"),
    (TransientError, "TRANSIENT"),
    (PermanentError, "PERMANENT"),
    (StorageError, "STORAGE"),
    (MemoryError, "OUT_OF_MEMORY"),
    (ConnectionError, "TRANSIENT"),
    (TimeoutError, "TRANSIENT"),
    (InterruptedError, "TRANSIENT"),
)
_NETWORK = {
    errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.ECONNABORTED, errno.ECONNRESET,
    errno.ENOBUFS, errno.ETIMEDOUT, errno.ECONNREFUSED, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EAGAIN,
}  # fmt: skip


class Verdict(NamedTuple):
    """Class of an exception (the name of a FailureKind); seconds of backoff a rule asks for, or -1."""

    kind: str
    backoff: float = -1.0


def classify(
    error: BaseException, rules: Sequence[Mapping[str, Any]] = (), no_retry_on: Sequence[str] = ()
) -> Verdict:
    """What kind of failure an exception is. Rules of the node count more than what tidemill thinks."""
    names = set(names_of(type(error)))
    if names & set(no_retry_on):
        return Verdict("PERMANENT")
    for rule in rules:
        if rule["exception"] in names and _found(rule["match"], str(error)):
            return Verdict(str(rule["treat"]).upper(), float(rule["backoff"]))
    for cls, kind in _CLASSES:
        if isinstance(error, cls):
            return Verdict(kind)
    # A name that could not be resolved is an OSError of the socket module, which need not be loaded.
    lookup = getattr(sys.modules.get("socket"), "gaierror", ())
    if isinstance(error, OSError) and (error.errno in _NETWORK or isinstance(error, lookup)):
        return Verdict("TRANSIENT")
    return Verdict("EXCEPTION")


def names_of(cls: type) -> Iterator[str]:
    """The names a rule may use for a type: its own and those of its bases, with and without module."""
    for base in cls.__mro__:
        if base is not object:
            yield base.__qualname__
            yield f"{base.__module__}.{base.__qualname__}"


def _found(pattern: str, message: str) -> bool:
    if not pattern:
        return True
    try:
        with _limited(MOST_SECONDS):
            return re.search(pattern, message[:MOST_SEARCHED]) is not None
    except (TimeoutError, re.error):
        return False


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """TimeoutError in the block after so long. Only a main thread can be interrupted; others are not."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
