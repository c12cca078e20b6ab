"""A registry, as the OCI distribution specification 1.1 has it: manifests and blobs, read and written.

Everything read is held against its digest before it is used. Nothing is deleted, and nothing that the
registry has is sent again.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from tidemill.errors import RegistryError
from tidemill.images import credentials
from tidemill.images.credentials import Credential
from tidemill.images.transport import Answer, Request, Transport

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST))
_MANIFEST_MOST = 4 * 2**20
"""Bytes: what the specification asks registries to take, and clients to expect."""
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or an index, as it came."""

    media_type: str
    digest: str
    body: bytes


class Registry:
    """One registry; `credential` finds the login, when the registry wants one."""

    def __init__(
        self, host: str, *, credential: Callable[[str], Credential | None] = credentials.find
    ) -> None:
        self.host = host
        self._transport = Transport(host, lambda: credential(host))

    # --- reading ----------------------------------------------------------------------------------

    def manifest(self, repository: str, version: str) -> Document:
        """A manifest or index by tag or digest; RegistryError when there is none, or it is not what it
        says it is."""
        url = self._url(repository, "manifests", version)
        answer = self._ask("GET", url, _pull(repository), headers={"Accept": _ACCEPT})
        if answer.status == 404:
            raise RegistryError(
                f"{self.host} has no image {repository} with {version}", hint="is it pushed, and spelled so?"
            )
        self._expect(answer, {200}, f"the manifest of {repository}")
        body = answer.body.read(_MANIFEST_MOST + 1)
        if len(body) > _MANIFEST_MOST:
            raise RegistryError(f"the manifest of {repository} at {self.host} has more than 4 MiB")
        found = "sha256:" + hashlib.sha256(body).hexdigest()
        said = version if version.startswith("sha256:") else answer.headers.get("Docker-Content-Digest", "")
        if said and said != found:
            raise RegistryError(f"{self.host} gave a manifest with digest {found} for {said}")
        return Document(answer.headers.get("Content-Type", "").partition(";")[0].strip(), found, body)

    def blob(self, repository: str, digest: str, size: int) -> bytes:
        """A small blob as bytes."""
        with self._open(repository, digest) as stream:
            body = stream.read(size + 1)
        if len(body) != size or "sha256:" + hashlib.sha256(body).hexdigest() != digest:
            raise RegistryError(f"{self.host} gave other bytes than those of {digest}")
        return body

    def fetch(self, repository: str, digest: str, target: IO[bytes]) -> int:
        """A blob of any size into a file; its size in bytes."""
        sha, size = hashlib.sha256(), 0
        with self._open(repository, digest) as stream:
            while chunk := stream.read(_CHUNK):
                sha.update(chunk)
                size += target.write(chunk)
        if "sha256:" + sha.hexdigest() != digest:
            raise RegistryError(f"{self.host} gave other bytes than those of {digest}")
        return size

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether a repository has a blob."""
        answer = self._ask("HEAD", self._url(repository, "blobs", digest), _push(repository))
        answer.body.close()
        return answer.status == 200

    @contextlib.contextmanager
    def _open(self, repository: str, digest: str) -> Iterator[BinaryIO]:
        answer = self._ask("GET", self._url(repository, "blobs", digest), _pull(repository))
        self._expect(answer, {200}, f"the blob {digest} of {repository}")
        try:
            with answer.body as stream:
                yield stream
        except (OSError, http.client.HTTPException) as error:
            raise RegistryError(f"{self.host} broke off the blob {digest}: {error}") from None

    # --- writing ----------------------------------------------------------------------------------

    def mount(self, repository: str, digest: str, origin: str) -> bool:
        """Have a blob of another repository here as well, without sending it; False: not possible."""
        query = urllib.parse.urlencode({"mount": digest, "from": origin})
        url = f"{self._url(repository, 'blobs', 'uploads')}/?{query}"
        answer = self._ask("POST", url, (*_push(repository), *_pull(origin)), data=lambda: b"")
        answer.body.close()
        # 202 means: send it. The upload that this began is left to expire, as the specification foresees.
        return answer.status == 201

    def push_blob(self, repository: str, digest: str, size: int, data: Callable[[], BinaryIO]) -> None:
        """Send a blob, in one piece."""
        begun = self._ask("POST", self._url(repository, "blobs", "uploads") + "/", _push(repository),
                          data=lambda: b"")  # fmt: skip
        self._expect(begun, {202}, f"an upload to {repository}")
        begun.body.close()
        target = self._transport.absolute(begun.headers.get("Location", ""), begun.url)
        target += ("&" if "?" in target else "?") + urllib.parse.urlencode({"digest": digest})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        sent = self._ask("PUT", target, _push(repository), headers=headers, data=data)
        self._expect(sent, {201}, f"the upload of {digest} to {repository}")
        sent.body.close()

    def push_manifest(self, repository: str, version: str, document: Document) -> None:
        """Put a manifest under a tag or its digest."""
        url = self._url(repository, "manifests", version)
        answer = self._ask("PUT", url, _push(repository), headers={"Content-Type": document.media_type},
                           data=lambda: document.body)  # fmt: skip
        self._expect(answer, {201}, f"the manifest of {repository}")
        answer.body.close()
        said = answer.headers.get("Docker-Content-Digest", "")
        if said and said != document.digest:
            raise RegistryError(f"{self.host} stored the manifest as {said}, and it is {document.digest}")

    def bring(self, repository: str, digest: str, size: int, origin: Registry, source: str) -> str:
        """See that `repository` has a blob of `source` in `origin`: it is `there`, `mounted` or `copied`."""
        if self.has_blob(repository, digest):
            return "there"
        if origin.host == self.host and self.mount(repository, digest, source):
            return "mounted"
        with tempfile.NamedTemporaryFile(prefix="tidemill-blob-") as file:
            origin.fetch(source, digest, file.file)
            file.flush()
            self.push_blob(repository, digest, size, opener(file.name))
        return "copied"

    # --- both -------------------------------------------------------------------------------------

    def _url(self, repository: str, kind: str, name: str) -> str:
        return f"{self._transport.base}/v2/{repository}/{kind}/{name}"

    def _ask(
        self, method: str, url: str, scopes: tuple[str, ...], *,
        headers: dict[str, str] | None = None, data: Callable[[], BinaryIO | bytes] | None = None,
    ) -> Answer:  # fmt: skip
        return self._transport.ask(Request(method, url, headers or {}, data, scopes))

    def _expect(self, answer: Answer, statuses: set[int], what: str) -> None:
        if answer.status in statuses:
            return
        hint = ""
        if answer.status in {401, 403}:
            hint = f"docker login {self.host}, as somebody who may do this"
        elif answer.status == 404:
            hint = "does the repository exist? Some registries want it made first"
        raise RegistryError(
            f"{self.host} refuses {what} ({answer.status}{': ' * bool(why := answer.why())}{why})", hint=hint
        )


def opener(path: str) -> Callable[[], BinaryIO]:
    """What opens a file anew for each try; whoever sends it closes it."""

    def opened() -> BinaryIO:
        return Path(path).open("rb")

    return opened


def _pull(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull",)


def _push(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull,push",)
