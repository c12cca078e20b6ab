"""Requests on their way: sent, tried again where that is safe, or only shown.

A read, and anything that may be done twice, is tried again after whatever may pass. What makes something new
is sent again when it did not arrive; when its answer was lost, `found` looks first whether it was done, and
after a timeout, when it may still be under way, it is looked for and never sent again.
Redirects are not followed and proxies of the environment are not asked.
"""

from __future__ import annotations

import http.client
import json
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from tidemill.errors import RunnerError
from tidemill.runners.kubeflow.client.address import Server
from tidemill.runners.kubeflow.client.failures import Unreachable, failure_of
from tidemill.runners.kubeflow.client.request import Request

Found = Callable[[], dict[str, Any] | None]
"""Looks whether a request whose answer was lost was carried out; what came of it, or None."""

_BUSY = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which a repeatable request is sent again."""
_NOT_DONE = frozenset({429})
"""Statuses that say that a request was not carried out: any may be sent again."""
_LOST = frozenset({408, 502, 503, 504})
"""Statuses of gateways that do not know what became of a request."""
TRIES = 5
_LOOKS = 3
"""How often what may still be under way is looked for."""
_LONGEST_WAIT = 20.0


class Sender(Protocol):
    """What the parts of the client need: `send`, and whether anything is really sent."""

    server: Server
    rehearsal: bool

    def send(self, request: Request, *, found: Found | None = None) -> dict[str, Any]:
        """Carry a request out; the JSON of its answer."""
        ...

    def read(self, request: Request) -> bytes:
        """The answer as it is."""
        ...


class _Lost(Exception):
    """No answer, or one that does not say what became of the request."""

    def __init__(self, why: str, *, arrived: bool, slow: bool = False, wait: float = 0.0) -> None:
        super().__init__(why)
        self.arrived = arrived
        """Whether the server may have got the request."""
        self.slow = slow
        """Whether it may still be working on it."""
        self.wait = wait


@dataclass(slots=True)
class Wire:
    """Sends requests to a server, one connection each. `sleep` waits between tries."""

    server: Server
    sleep: Callable[[float], None] = time.sleep
    rehearsal: bool = False

    def send(self, request: Request, *, found: Found | None = None) -> dict[str, Any]:
        """Carry a request out; the JSON of its answer, {} for none. RunnerError as failures.py has them."""
        body = self._again(request, found)
        if isinstance(body, dict):
            return body
        try:
            answer = json.loads(body) if body.strip() else {}
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Unreachable(
                "this is no Kubeflow Pipelines server: its answer is no JSON",
                where=self._where(request),
                hint="name the address before /apis; behind a login, a token: --token-file FILE",
            )
        return answer

    def read(self, request: Request) -> bytes:
        """The answer as it is, for what is no JSON."""
        body = self._again(request, None)
        assert isinstance(body, bytes)
        return body

    def _again(self, request: Request, found: Found | None) -> bytes | dict[str, Any]:
        """Try until there is an answer. What is not repeatable is not sent twice unless it did not arrive."""
        for number in range(1, TRIES + 1):
            try:
                return self._once(request)
            except _Lost as lost:
                if lost.arrived and not request.repeatable:
                    done = self._look(number, lost, found)
                    if done is not None:
                        return done
                    if lost.slow or found is None:
                        raise self._unsure(request, lost) from None
                elif number < TRIES:
                    self.sleep(self._pause(number, lost))
                last = lost
        raise Unreachable(
            f"Kubeflow Pipelines could not be asked to {request.what}: {last} ({TRIES} tries)",
            where=self._where(request),
            hint="is the server up, and the address right? inside a cluster it is "
            "http://ml-pipeline.kubeflow:8888",
        )

    def _look(self, number: int, lost: _Lost, found: Found | None) -> dict[str, Any] | None:
        """What came of a request whose answer was lost, if it can be found."""
        for look in range(_LOOKS if lost.slow and found else 1):
            self.sleep(self._pause(number + look, lost))
            done = found() if found else None
            if done is not None:
                return done
        return None

    def _once(self, request: Request) -> bytes:
        body, headers = request.content()
        headers |= self.server.headers()
        parts = urlsplit(self.server.url)
        connection = self._connection()
        try:
            try:
                connection.connect()
            except ssl.SSLCertVerificationError as error:
                raise Unreachable(
                    f"the certificate of the server is not trusted: {error.verify_message}",
                    where=self.server.url, hint="name the authority that signed it: --ca FILE",
                ) from None  # fmt: skip
            except OSError as error:
                raise _Lost(_why(error), arrived=False) from None
            try:
                connection.request(request.method, parts.path + request.target, body, headers)
                answer = connection.getresponse()
                read = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise _Lost(_why(error), arrived=True, slow=isinstance(error, TimeoutError)) from None
        finally:
            connection.close()
        if answer.status < 300:
            return read
        if answer.status in (_BUSY if request.repeatable else _NOT_DONE | _LOST):
            self._judge_later(request, answer, read)
        raise failure_of(request.what, self._where(request), answer.status, answer.reason, read)

    def _judge_later(self, request: Request, answer: http.client.HTTPResponse, body: bytes) -> None:
        """Raise what makes the request be sent again, or looked for."""
        refused = failure_of(request.what, "", answer.status, answer.reason, body)
        after = answer.headers.get("retry-after", "")
        wait = float(after) if after.isascii() and after.isdigit() else 0.0
        arrived = answer.status not in _NOT_DONE
        slow = answer.status == 504
        raise _Lost(refused.message.partition(": ")[2], arrived=arrived, slow=slow, wait=wait)

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.server.url)
        host, seconds = parts.hostname or "", self.server.seconds
        tls = self.server.tls()
        if tls is None:
            return http.client.HTTPConnection(host, parts.port or 80, timeout=seconds)
        return http.client.HTTPSConnection(host, parts.port or 443, timeout=seconds, context=tls)

    def _pause(self, number: int, lost: _Lost) -> float:
        """Seconds before the next try: what the server asked for, else at most half a second, one, two ..."""
        if lost.wait:
            return min(lost.wait, _LONGEST_WAIT)
        longest = min(_LONGEST_WAIT, 0.5 * 2.0 ** (number - 1))
        return longest * random.uniform(0.5, 1.0)

    def _unsure(self, request: Request, lost: _Lost) -> RunnerError:
        return Unreachable(
            f"nobody knows whether Kubeflow Pipelines did {request.what}: {lost}",
            where=self._where(request),
            hint="look before you ask again: tidemill kubeflow runs, or schedules",
        )

    def _where(self, request: Request) -> str:
        return f"{request.method} {self.server.url}{request.path}"


@dataclass(slots=True)
class Rehearsal:
    """Sends nothing: keeps each request, and answers with what the request assumes."""

    server: Server
    requests: list[Request] = field(default_factory=list)
    rehearsal: bool = True

    def send(self, request: Request, *, found: Found | None = None) -> dict[str, Any]:  # noqa: ARG002 - Sender's
        """Keep the request; what it assumes."""
        self.requests.append(request)
        return dict(request.assumed)

    def read(self, request: Request) -> bytes:
        """Keep the request; nothing."""
        self.requests.append(request)
        return b""

    def shown(self) -> list[dict[str, Any]]:
        """Every request as it would be sent, in order, without secrets."""
        signed = bool(self.server.token or self.server.token_file)
        return [request.shown(self.server.url, signed=signed) for request in self.requests]


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.RemoteDisconnected | http.client.IncompleteRead):
        return "the connection was closed before the answer"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
