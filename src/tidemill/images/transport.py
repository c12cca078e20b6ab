"""HTTP as a registry client needs it: answers as they come, logins when asked for, another try when busy.

The password goes to the registry's own host and to the token server it names, nowhere else: not along a
redirect, and never over plain HTTP, which is spoken to loopback addresses alone.
Sources: RFC 9110; RFC 6750; the Docker registry v2 token authentication specification, which the OCI
distribution specification refers to.
"""

from __future__ import annotations

import email.message
import http.client
import ipaddress
import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from tidemill.errors import RegistryError
from tidemill.images.credentials import Credential

TIMEOUT = 60.0
"""Seconds without a byte after which a connection is given up."""
_TRIES = 4
_BUSY = {429, 502, 503, 504}
_WAIT_MOST = 30.0
_REDIRECTS = 5
_CHALLENGE = re.compile(r'([A-Za-z]+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')
CLIENT = "tidemill"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said; the body is read by whoever has asked."""

    status: int
    headers: email.message.Message
    body: BinaryIO
    url: str

    def text(self, most: int = 2**16) -> str:
        """The beginning of the body as text."""
        return self.body.read(most).decode("utf-8", "replace")

    def why(self) -> str:
        """What a registry says of an error: its codes and messages, else the beginning of the text."""
        text = self.text()
        try:
            errors = json.loads(text)["errors"]
            return "; ".join(f"{e.get('code', '')} {e.get('message', '')}".strip() for e in errors)
        except (ValueError, KeyError, TypeError, AttributeError):
            return text.strip()[:200]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `data` opens the body anew for each try; `scopes` are what a token must allow."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    data: Callable[[], BinaryIO | bytes] | None = None
    scopes: tuple[str, ...] = ()


class _AsTheyCome(urllib.request.HTTPErrorProcessor):
    """No redirect is followed and no status raises: both are for the caller to judge."""

    def http_response(self, request: Any, response: Any) -> Any:  # noqa: ARG002 - urllib's signature
        return response

    https_response = http_response


class Transport:
    """Requests to one registry and to what it points at."""

    def __init__(
        self, host: str, credential: Callable[[], Credential | None], *,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self.host = host
        self.base = f"{'http' if is_loopback(host) else 'https'}://{host}"
        self._credential = credential
        self._wait = wait
        self._tokens: dict[tuple[str, ...], str] = {}
        self._basic = ""
        near = [urllib.request.ProxyHandler({})] if is_loopback(host) else []
        self._opener = urllib.request.build_opener(_AsTheyCome, *near)

    def ask(self, request: Request) -> Answer:
        """The answer, after logging in and following redirects; RegistryError when there is none."""
        for turn in range(_REDIRECTS):
            answer = self._authorised(request)
            if answer.status not in {301, 302, 303, 307, 308} or request.method not in {"GET", "HEAD"}:
                return answer
            answer.body.close()
            target = self.absolute(answer.headers.get("Location", ""), answer.url)
            request = Request(request.method, target, request.headers, None, request.scopes)
            del turn
        raise RegistryError(f"{self.host} redirects without end", where=request.url.partition("?")[0])

    def absolute(self, location: str, origin: str) -> str:
        """Where a Location header leads; RegistryError for one that would take bytes off TLS."""
        target = urllib.parse.urljoin(origin, location)
        parts = urllib.parse.urlsplit(target)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.netloc)):
            raise RegistryError(
                f"{self.host} points at {parts.scheme}://{parts.netloc}, which is not encrypted",
                hint="plain HTTP is spoken to addresses of this machine alone; ask whoever runs the registry",
            )
        return target

    # --- logging in -------------------------------------------------------------------------------

    def _authorised(self, request: Request) -> Answer:
        own = urllib.parse.urlsplit(request.url).netloc == self.host
        answer = self._with_patience(request, self._login(request) if own else "")
        if answer.status != 401 or not own:
            return answer
        challenge = answer.headers.get("WWW-Authenticate", "")
        why = answer.why()
        answer.body.close()
        self._accept(challenge, request.scopes, why)
        return self._with_patience(request, self._login(request))

    def _login(self, request: Request) -> str:
        return self._tokens.get(request.scopes) or self._basic

    def _accept(self, challenge: str, scopes: tuple[str, ...], why: str) -> None:
        """Do what a WWW-Authenticate header asks for; the next `_login` has the result."""
        kind, _, rest = challenge.strip().partition(" ")
        fields = {name.lower(): quoted or plain for name, quoted, plain in _CHALLENGE.findall(rest)}
        if kind.lower() == "basic":
            found = self._credential()
            if found is None or not found.user:
                raise RegistryError(f"{self.host} wants a login: {why}", hint=f"docker login {self.host}")
            self._basic = found.basic()
        elif kind.lower() == "bearer" and fields.get("realm"):
            self._tokens[scopes] = "Bearer " + self._token(fields, scopes)
        else:
            raise RegistryError(f"{self.host} asks for a login in a way that is not known: {challenge!r}")

    def _token(self, fields: Mapping[str, str], scopes: tuple[str, ...]) -> str:
        realm = self.absolute(fields["realm"], self.base)
        wanted = list(scopes) or [s for s in [fields.get("scope", "")] if s]
        asked = [("service", s) for s in [fields.get("service", "")] if s]
        found = self._credential()
        if found is not None and found.identity:
            form = [("grant_type", "refresh_token"), ("refresh_token", found.identity),
                    ("client_id", CLIENT), *asked, ("scope", " ".join(wanted))]  # fmt: skip
            body = urllib.parse.urlencode(form).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._with_patience(Request("POST", realm, headers, lambda: body), "")
        else:
            query = urllib.parse.urlencode([*asked, *(("scope", s) for s in wanted)])
            url = realm + ("&" if "?" in realm else "?") + query
            answer = self._with_patience(Request("GET", url), found.basic() if found else "")
        if answer.status != 200:
            login = "with the login found here" if found else "without a login"
            raise RegistryError(
                f"{self.host} gives no token {login} ({answer.status}: {answer.why()})",
                hint=f"docker login {self.host}",
            )
        try:
            got = json.loads(answer.text(2**20))
            return str(got.get("token") or got["access_token"])
        except (ValueError, KeyError, AttributeError):
            raise RegistryError(f"the token server of {self.host} answers without a token") from None

    # --- one request ------------------------------------------------------------------------------

    def _with_patience(self, request: Request, login: str) -> Answer:
        """The answer to a request, asked again when the network or the server has a bad moment."""
        for turn in range(1, _TRIES + 1):
            try:
                answer = self._once(request, login)
            except (OSError, http.client.HTTPException) as error:
                if turn == _TRIES:
                    reason = getattr(error, "reason", error)
                    raise RegistryError(
                        f"{urllib.parse.urlsplit(request.url).netloc} cannot be reached: {reason}",
                        hint="is the name right, and the network up?",
                    ) from None
                self._wait(0.25 * 2**turn)
                continue
            if answer.status not in _BUSY or turn == _TRIES:
                return answer
            answer.body.close()
            after = answer.headers.get("Retry-After", "")
            self._wait(min(float(after), _WAIT_MOST) if after.isdigit() else 0.25 * 2**turn)
        raise AssertionError("the last turn returns or raises")

    def _once(self, request: Request, login: str) -> Answer:
        data = request.data() if request.data else None
        try:
            made = urllib.request.Request(request.url, data=data, method=request.method,
                                          headers={"User-Agent": CLIENT, **request.headers})  # fmt: skip
            if login:
                made.add_unredirected_header("Authorization", login)
            got = self._opener.open(made, timeout=TIMEOUT)
        finally:
            if data is not None and not isinstance(data, bytes):
                data.close()
        return Answer(got.status, got.headers, got, request.url)


def is_loopback(host: str) -> bool:
    """Whether `HOST` or `HOST:PORT` is this machine by its very name."""
    name = host.rpartition("@")[2]
    name = name[1 : name.index("]")] if name.startswith("[") and "]" in name else name.partition(":")[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
