"""What a metadata server does with a request, whichever way it came: bytes in, bytes out.

Nothing in a request names code: a call is one of the table's, and its arguments are values of the record.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Protocol

from tidemill.errors import FencedError, RunnerError, StoreError, TidemillError, did_you_mean
from tidemill.metadata.filter.error import FilterError
from tidemill.metadata.remote import failures
from tidemill.metadata.remote.methods import Method, methods, pack_error
from tidemill.metadata.store import MetadataStore


class Observer(Protocol):
    """Whoever counts calls."""

    def begin(self) -> None:
        """A call is begun."""

    def end(self, method: str, outcome: str, seconds: float) -> None:
        """It is answered; the outcome is `ok` or the code of an error."""


OK, INTERNAL, NO_METHOD = "ok", "INTERNAL", "unknown"
"""Outcomes beside the codes of errors, and the name of every method that is none."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back. `status` is HTTP's; gRPC sends the body alone."""

    status: int
    body: bytes


class Service:
    """The calls of the MetadataStore protocol on one store. Threads may share it."""

    def __init__(self, store: MetadataStore, observer: Observer | None = None) -> None:
        self._store = store
        self._observer = observer

    def call(self, name: str, body: bytes) -> Answer:
        """Answer one request. Never raises."""
        started = time.perf_counter()
        if self._observer is not None:
            self._observer.begin()
        method = methods().get(name)
        outcome, answer = self._ask(method, body) if method else (StoreError.code, _no_method(name))
        if self._observer is not None:
            known = NO_METHOD if method is None else name
            self._observer.end(known, outcome, time.perf_counter() - started)
        return answer

    def _ask(self, method: Method, body: bytes) -> tuple[str, Answer]:
        try:
            arguments = method.unpack_request(body)
        except StoreError as error:
            return error.code, Answer(400, pack_error(failures.to_plain(error)))
        try:
            value = getattr(self._store, method.name)(**arguments)
            return OK, Answer(200, method.pack_answer(value))
        except TidemillError as error:
            return error.code, Answer(_status(error), pack_error(failures.to_plain(error)))
        except Exception as error:
            _log.exception("%s failed", method.name)
            return INTERNAL, failed(500, f"{method.name} failed in the server: {type(error).__name__}",
                                    hint="its log says more", code=INTERNAL)  # fmt: skip


def failed(status: int, message: str, *, hint: str = "", code: str = StoreError.code) -> Answer:
    """An answer that says why there is none."""
    return Answer(status, pack_error({"code": code, "message": message, "where": "", "hint": hint}))


def _no_method(name: str) -> Answer:
    return failed(
        404,
        f"the metadata server has no call {name[:60]!r}",
        hint=did_you_mean(name[:60], methods()) or "client and server may be of different versions",
    )


def _status(error: TidemillError) -> int:
    """HTTP's nearest word for an error; clients read the body."""
    if isinstance(error, FilterError):
        return 400
    return 409 if isinstance(error, FencedError | RunnerError) else 422
