"""One request to KFP as a value: what is sent, and what people may see of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

API = "/apis/v2beta1"
BOUNDARY = "tidemill-7d1c0f4b9e6a4b7d"
"""Between the parts of an upload: always the same, so that equal requests are equal bytes. It is checked not
to stand in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`method` and `path` below the server's URL, with either a JSON `body` or a `file` to upload.

    what: what it does, in a few words, for errors. assumed: what a rehearsal takes for its answer, since
    nothing is sent. repeatable: whether doing it twice does no more than doing it once.
    """

    method: str
    path: str
    what: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    file: tuple[str, bytes] | None = None
    assumed: Mapping[str, Any] = field(default_factory=dict)
    repeatable: bool = True
    unless: str = ""
    """For a rehearsal: what is looked for first, since where it is there this is not sent."""

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        given = {name: value for name, value in self.query.items() if value}
        return self.path + (f"?{urlencode(given, quote_via=quote)}" if given else "")

    def content(self) -> tuple[bytes | None, dict[str, str]]:
        """Body and headers, as bytes go over the wire: JSON, or RFC 7578's multipart/form-data."""
        headers = {"accept": "application/json", "user-agent": "tidemill"}
        if self.file is not None:
            name, content = self.file
            head = (
                f"--{BOUNDARY}\r\n"
                f'Content-Disposition: form-data; name="uploadfile"; filename="{name}"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n"
            )
            headers["content-type"] = f"multipart/form-data; boundary={BOUNDARY}"
            return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode(), headers
        if self.body is None:
            return None, headers
        headers["content-type"] = "application/json"
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode(), headers

    def shown(self, url: str, *, signed: bool) -> dict[str, Any]:
        """What is sent, for people and programs: a token as `***`, a file as its name, size and digest."""
        _, headers = self.content()
        if signed:
            headers["authorization"] = "Bearer ***"
        found: dict[str, Any] = {"method": self.method, "url": url + self.target, "headers": headers}
        if self.unless:
            found["unless"] = self.unless
        if self.file is not None:
            name, content = self.file
            digest = hashlib.sha256(content).hexdigest()
            found["file"] = {"name": name, "bytes": len(content), "sha256": digest}
        elif self.body is not None:
            found["body"] = self.body
        return found


def segment(value: str) -> str:
    """An id or a name as one part of a path. One that the caller made up, as `<id>`, stays readable."""
    return quote(value, safe="<>")
