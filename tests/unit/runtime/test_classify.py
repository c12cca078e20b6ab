"""From an exception to the class of a failure."""

from __future__ import annotations

import errno
import socket
import threading

import pytest

from tidemill import DataError, PermanentError, StorageError, TransientError, ValidationFailed
from tidemill.errors import InvalidOutput
from tidemill.runtime import classify
from tidemill.runtime.classify import Verdict, names_of
from tidemill.runtime.failure import FailureKind


class HTTPError(Exception):
    """Stands for the error of some library."""


class Throttled(HTTPError):
    """And for a more special one."""


def rule(
    exception: str, match: str = "", treat: str = "transient", backoff: float = -1.0
) -> dict[str, object]:
    return {"exception": exception, "match": match, "treat": treat, "backoff": backoff}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("x"), "EXCEPTION"),
        (SystemExit(3), "EXCEPTION"),
        (OSError(errno.ENOENT, "x"), "EXCEPTION"),
        (ConnectionResetError("x"), "TRANSIENT"),
        (BrokenPipeError("x"), "TRANSIENT"),
        (TimeoutError("x"), "TRANSIENT"),
        (InterruptedError("x"), "TRANSIENT"),
        (OSError(errno.EHOSTUNREACH, "x"), "TRANSIENT"),
        (OSError(errno.ENETDOWN, "x"), "TRANSIENT"),
        (socket.gaierror(-2, "Name or service not known"), "TRANSIENT"),
        (TransientError("x"), "TRANSIENT"),
        (PermanentError("x"), "PERMANENT"),
        (DataError("x"), "DATA"),
        (ValidationFailed("x"), "VALIDATION"),
        (InvalidOutput("x"), "INVALID_OUTPUT"),
        (StorageError("x"), "STORAGE"),
        (MemoryError(), "OUT_OF_MEMORY"),
    ],
)
def test_classes_without_rules(error: BaseException, kind: str) -> None:
    assert classify.classify(error) == Verdict(kind)
    assert FailureKind(kind)


def test_rules_match_type_names_along_the_bases_and_messages() -> None:
    here = __name__
    error = Throttled("status 429: slow down")
    assert {"Throttled", f"{here}.HTTPError", "Exception"} <= set(names_of(Throttled))
    assert classify.classify(error, [rule("HTTPError", "429|503")]) == Verdict("TRANSIENT")
    assert classify.classify(error, [rule(f"{here}.HTTPError", backoff=9.0)]) == Verdict("TRANSIENT", 9.0)
    assert classify.classify(error, [rule("HTTPError", "503")]) == Verdict("EXCEPTION")
    assert classify.classify(error, [rule("other.HTTPError")]) == Verdict("EXCEPTION")
    assert (
        classify.classify(error, [rule("Throttled", treat="permanent"), rule("HTTPError")]).kind
        == "PERMANENT"
    )
    assert classify.classify(error, [rule("HTTPError")], ["Throttled"]).kind == "PERMANENT"
    assert (
        classify.classify(ConnectionError("x"), [rule("ConnectionError", treat="permanent")]).kind
        == "PERMANENT"
    )


def test_only_the_beginning_of_a_message_is_searched() -> None:
    long = "x" * classify.MOST_SEARCHED + "503"
    assert classify.classify(HTTPError(long), [rule("HTTPError", "503")]) == Verdict("EXCEPTION")


def test_an_expression_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify, "MOST_SECONDS", 0.05)
    rules = [rule("HTTPError", "(a+)+$"), rule("HTTPError", "b", treat="permanent")]
    assert classify.classify(HTTPError("a" * 60 + "b"), rules) == Verdict("PERMANENT")


def test_rules_work_in_a_thread_too() -> None:
    found: list[Verdict] = []
    error = HTTPError("503")
    thread = threading.Thread(
        target=lambda: found.append(classify.classify(error, [rule("HTTPError", "503")]))
    )
    thread.start()
    thread.join()
    assert found == [Verdict("TRANSIENT")]
