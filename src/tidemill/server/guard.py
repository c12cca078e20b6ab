"""What every HTTP request must pass before anything reads its body.

A new route is behind all of it: only what OPEN names, letter by letter, may be asked without a token. Web
pages are kept out on a machine without a token too: a request must name this server by an address or a
known name (a page whose name was pointed at this machine does not), and a browser must not send it on
behalf of another page. This file knows no route and no store.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidemill.metadata.remote import token as tokens
from tidemill.metadata.remote.service import failed

OPEN = frozenset({"/healthz", "/readyz"})
"""Paths that may be asked without a token, by probes that have none. They say yes or no."""

_SAFE = frozenset({"GET", "HEAD"})
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def refusal(status: int, message: str, *, hint: str = "", headers: dict[str, str] | None = None) -> Response:
    """An answer that says why there is none, in the form of the metadata calls."""
    body = failed(status, message, hint=hint).body
    return Response(body, status, {**_HEADERS, **(headers or {})}, "application/json")


class Guard:
    """ASGI middleware around every route."""

    def __init__(self, app: ASGIApp, *, token: str, hosts: Iterable[str], most_bytes: int) -> None:
        self._app = app
        self._token = token
        self._hosts = {"localhost", socket.gethostname().lower(), *(h.lower().rstrip(".") for h in hosts)}
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] != "http":
            return  # no websockets here, and nothing to start
        headers = _headers(scope)
        refused = (
            self._wrong_host(headers)
            or self._from_another_page(scope, headers)
            or self._without_token(scope, headers)
            or self._too_large(headers)
        )
        if refused is not None:
            await refused(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most_bytes:
                raise _TooLarge
            return message

        try:
            await self._app(scope, counted, send)
        except _TooLarge:
            await self._refuse_size()(scope, receive, send)

    def _wrong_host(self, headers: dict[str, str]) -> Response | None:
        name = _host(headers.get("host", ""))
        if name in self._hosts or _is_address(name):
            return None
        return refusal(
            421, "this server does not go by that name", hint="start it with --allow-host NAME for each name"
        )

    def _from_another_page(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        """Whether a browser sends a request that may change something for another site's page."""
        if scope["method"] in _SAFE:
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
        if foreign or site not in ("none", "same-origin"):
            return refusal(403, "requests on behalf of other web pages are refused")
        return None

    def _without_token(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        if not self._token or scope["path"] in OPEN:
            return None
        if tokens.matches(headers.get("authorization", ""), self._token):
            return None
        return refusal(
            401, "this server asks for a token", hint=f"set {tokens.VARIABLE}",
            headers={"www-authenticate": "Bearer"},
        )  # fmt: skip

    def _too_large(self, headers: dict[str, str]) -> Response | None:
        length = headers.get("content-length", "0")
        return self._refuse_size() if not length.isdecimal() or int(length) > self._most_bytes else None

    def _refuse_size(self) -> Response:
        most = f"{self._most_bytes / 2**20:g} MiB"
        return refusal(413, f"a request may have {most}", headers={"connection": "close"})


class _TooLarge(Exception):
    """A body without a length went on for too long."""


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _host(header: str) -> str:
    """The name or address in a Host header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
