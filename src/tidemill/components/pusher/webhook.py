"""Telling an HTTP address about a model: signed, repeated while it is worth it, the same id each time.

The form is that of Standard Webhooks 1.0 (standardwebhooks.com): headers webhook-id, webhook-timestamp
and webhook-signature, the last one over "id.timestamp.body".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from typing import IO
from urllib.parse import urlsplit

from tidemill.errors import DataError, PermanentError, TransientError
from tidemill.storage.manifest import survey
from tidemill.types.destination import Webhook
from tidemill.types.json import canonical
from tidemill.types.standard import Model

_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_SHOWN = 300
"""Characters of a refusal that are shown."""


def tell(
    place: Webhook, model: Model, *, as_of: str, pause: Callable[[float], None] = time.sleep
) -> tuple[str, str, str]:
    """Post, until somebody took it; version, place and reason for the record.

    DataError for an address or a secret that makes no sense, TransientError when the receiver could not
    be reached, PermanentError when it said no. `pause` waits for some seconds.
    """
    url = _address(place)
    files = survey(model.path)
    data = {"uri": model.uri, "digest": files.digest, "size": files.size, "as_of": as_of, "name": model.name}
    body = canonical({"type": "model.pushed", "data": data})
    key = "msg_" + hashlib.sha256(body).hexdigest()[:32]
    fixed = {"content-type": "application/json", "webhook-id": key, **_headers(place)}
    secret = _secret(place)
    shown = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"  # paths of webhooks are often secrets
    tries = max(1, place.attempts)
    for attempt in range(1, tries + 1):
        now = str(int(time.time()))
        signed = {"webhook-timestamp": now, **_signature(secret, key, now, body)}
        status, said, wait = _post(url, body, {**fixed, **signed}, place.timeout)
        if 200 <= status < 300:
            return files.digest[:12], shown, f"{shown} was told, and answered {status} (try {attempt})"
        why = f"{shown} answered {status}: {said}" if status else f"{shown} cannot be reached: {said}"
        if status and status not in _AGAIN:
            raise PermanentError(f"the webhook was refused: {why}")
        if attempt < tries:
            print(f"try {attempt} of {tries}: {why}", flush=True)
            pause(min(_LONGEST_WAIT, wait or _FIRST_WAIT * 2 ** (attempt - 1)))
    raise TransientError(f"the webhook was not delivered in {tries} tries: {why}")


def _address(place: Webhook) -> str:
    url = os.environ.get(place.url_env, "") if place.url_env else place.url
    if place.url_env and not url:
        raise DataError(f"the webhook's address should be in {place.url_env}, which is not set")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DataError("the webhook's address is no http or https URL", hint="set url or url_env")
    if parts.username or parts.password:
        raise DataError(
            "the webhook's address must not carry a password",
            hint="use headers_env={'authorization': 'NAME_OF_A_VARIABLE'}",
        )
    return url


def _headers(place: Webhook) -> dict[str, str]:
    found = {}
    for name, variable in place.headers_env.items():
        value = os.environ.get(variable)
        if value is None:
            raise DataError(f"the header {name!r} should come from {variable}, which is not set")
        if "\n" in value or "\r" in value:
            raise DataError(f"{variable} has more than one line, which no header can")
        found[name] = value
    return found


def _secret(place: Webhook) -> bytes:
    """The key of the signature; empty for none."""
    if not place.secret_env:
        return b""
    text = os.environ.get(place.secret_env, "")
    if not text:
        raise DataError(f"the webhook's secret should be in {place.secret_env}, which is not set")
    if not text.startswith("whsec_"):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise DataError(f"{place.secret_env} begins with whsec_, but is not base64 after that") from None


def _signature(secret: bytes, key: str, timestamp: str, body: bytes) -> dict[str, str]:
    if not secret:
        return {}
    made = hmac.new(secret, f"{key}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-signature": "v1," + base64.b64encode(made).decode()}


def _post(url: str, body: bytes, headers: dict[str, str], timeout: float) -> tuple[int, str, float]:
    """Status (0 when there was no answer), what was said, and the seconds it asked us to wait."""
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=timeout) as answer:
            return answer.status, "", 0.0
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(4 * _SHOWN).decode("utf-8", "replace").strip()[:_SHOWN]
            asked = error.headers.get("retry-after", "")
            return error.code, json.dumps(said), float(asked) if asked.isdecimal() else 0.0
    except (urllib.error.URLError, OSError, ValueError) as error:
        return 0, str(getattr(error, "reason", error)), 0.0


class _Stay(urllib.request.HTTPRedirectHandler):
    """What is signed for one address is not sent to another."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str,  # noqa: ARG002 - urllib's signature
    ) -> None:  # fmt: skip
        return None
