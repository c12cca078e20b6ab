"""A registry in memory that follows the OCI distribution specification 1.1, and can be told to be difficult.

Written from the specification, not from our client: what a client may not do is refused, with the error codes
that the specification names. One thread per connection; everything of one registry stands in its fields.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USER, PASSWORD, IDENTITY = "ada", "s3cret:with:colons", "an-identity-token"
_NAME = r"(?P<name>[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
_BLOB = re.compile(rf"/v2/{_NAME}/blobs/(?P<digest>sha256:[0-9a-f]{{64}})")
_UPLOADS = re.compile(rf"/v2/{_NAME}/blobs/uploads/(?P<id>[0-9a-f]*)")
_MANIFEST = re.compile(rf"/v2/{_NAME}/manifests/(?P<version>[\w.:-]+)")


@dataclass
class SpecRegistry:
    """What it holds, how it behaves, and what it was asked."""

    auth: str = ""
    """Empty, `basic` or `bearer`."""
    mounts: bool = True
    busy: int = 0
    """How many of the next requests are answered with 503."""
    elsewhere: str = ""
    """Where blobs are to be had instead: a redirect there."""
    corrupt: bool = False
    """Whether blobs come with another byte in front."""
    torn: bool = False
    """Whether blobs end before their end."""
    location: str = ""
    """Where uploads go, in place of this server."""
    blobs: dict[str, dict[str, bytes]] = field(default_factory=dict)
    manifests: dict[str, dict[str, tuple[str, bytes]]] = field(default_factory=dict)
    uploads: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, list[str]] = field(default_factory=dict)
    journal: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    host: str = ""

    def put_image(
        self, name: str, tag: str, *, media: str = "oci", layers: tuple[bytes, ...] = (b"layer",),
        config: dict[str, Any] | None = None,
    ) -> str:  # fmt: skip
        """Store an image; its digest."""
        kind = {
            "oci": ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json",
                    "application/vnd.oci.image.layer.v1.tar+gzip"),
            "docker": ("application/vnd.docker.distribution.manifest.v2+json",
                       "application/vnd.docker.container.image.v1+json",
                       "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        }[media]  # fmt: skip
        body = json.dumps({
            "os": "linux", "architecture": "amd64", "created": "2026-01-01T00:00:00Z",
            "config": {"Env": ["PATH=/usr/bin", "PYTHON_VERSION=3.11.9"], "Entrypoint": ["/tini"]},
            "rootfs": {"type": "layers", "diff_ids": [sha(b"diff" + layer) for layer in layers]},
            "history": [{"created_by": "made"}], **(config or {}),
        }).encode()  # fmt: skip
        store = self.blobs.setdefault(name, {})
        store.update({sha(data): data for data in (body, *layers)})
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": kind[0],
            "config": {"mediaType": kind[1], "digest": sha(body), "size": len(body)},
            "layers": [{"mediaType": kind[2], "digest": sha(d), "size": len(d)} for d in layers],
        }).encode()  # fmt: skip
        return self.put_manifest(name, tag, kind[0], manifest)

    def put_index(self, name: str, tag: str, of: dict[str, str]) -> str:
        """Store an index: platform -> digest of an image."""
        items = []
        for platform, digest in of.items():
            system, machine, *variant = platform.split("/")
            on = {"os": system, "architecture": machine, **({"variant": variant[0]} if variant else {})}
            media, body = self.manifests[name][digest]
            items.append({"mediaType": media, "digest": digest, "size": len(body), "platform": on})
        media = "application/vnd.oci.image.index.v1+json"
        body = json.dumps({"schemaVersion": 2, "mediaType": media, "manifests": items}).encode()
        return self.put_manifest(name, tag, media, body)

    def put_manifest(self, name: str, version: str, media: str, body: bytes) -> str:
        """Store a manifest under a tag and its digest."""
        self.manifests.setdefault(name, {}).update({version: (media, body), sha(body): (media, body)})
        return sha(body)

    def image(self, name: str, version: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Manifest and configuration of an image."""
        manifest = json.loads(self.manifests[name][version][1])
        return manifest, json.loads(self.blobs[name][manifest["config"]["digest"]])


def sha(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    registry: SpecRegistry
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""

    def _any(self) -> None:
        at = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(at.query))
        self.query_all = urllib.parse.parse_qs(at.query)
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        self.registry.journal.append(f"{self.command} {at.path}")
        self.registry.authorizations.append(self.headers.get("Authorization", ""))
        if self.registry.busy:
            self.registry.busy -= 1
            self._say(503, retry_after="0")
        elif at.path == "/token":
            self._token()
        elif self._allowed(at.path):
            self._route(at.path)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _any

    def _route(self, path: str) -> None:
        if match := _MANIFEST.fullmatch(path):
            self._manifest(match["name"], match["version"])
        elif match := _BLOB.fullmatch(path):
            self._blob(match["name"], match["digest"])
        elif match := _UPLOADS.fullmatch(path):
            self._upload(match["name"], match["id"])
        else:
            self._refuse(404, "NAME_INVALID")

    # --- logging in ---

    def _allowed(self, path: str) -> bool:
        given = self.headers.get("Authorization", "")
        if self.registry.auth == "basic":
            wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if given != wanted:
                self._refuse(401, "UNAUTHORIZED", www_authenticate='Basic realm="mine"')
                return False
        if self.registry.auth == "bearer":
            name = re.match(rf"/v2/{_NAME}/(blobs|manifests)/", path)
            action = "pull" if self.command in ("GET", "HEAD") else "push"
            needed = [f"{name['name'] if name else ''} {action}"]
            if "mount" in self.query and "from" in self.query:
                needed.append(f"{self.query['from']} pull")
            granted = self.registry.tokens.get(given.removeprefix("Bearer "), [])
            if not all(n in granted for n in needed):
                scope = (
                    f"repository:{name['name'] if name else ''}:{'pull' if action == 'pull' else 'pull,push'}"
                )
                asks = f'Bearer realm="http://{self.registry.host}/token",service="mine",scope="{scope}"'
                self._refuse(401, "UNAUTHORIZED", www_authenticate=asks)
                return False
        return True

    def _token(self) -> None:
        form = dict(urllib.parse.parse_qsl(self.body.decode()))
        if self.command == "POST":
            known = form.get("refresh_token") == IDENTITY and form.get("grant_type") == "refresh_token"
            scopes = form.get("scope", "").split()
        else:
            wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            given = self.headers.get("Authorization", "")
            known = given == wanted
            if given and not known:
                self._refuse(401, "DENIED")
                return
            scopes = self.query_all.get("scope", [])
        granted = []
        for scope in scopes:
            _, name, actions = scope.split(":")
            granted += [f"{name} {a}" for a in actions.split(",") if known or a == "pull"]
        token = secrets.token_hex(8)
        self.registry.tokens[token] = granted
        self._say(200, json.dumps({"token" if self.command == "GET" else "access_token": token}).encode())

    # --- manifests and blobs ---

    def _manifest(self, name: str, version: str) -> None:
        store = self.registry.manifests.setdefault(name, {})
        if self.command == "PUT":
            content = json.loads(self.body)
            for part in (content["config"], *content["layers"]):
                if not part.get("urls") and part["digest"] not in self.registry.blobs.get(name, {}):
                    self._refuse(404, "MANIFEST_BLOB_UNKNOWN")
                    return
            if content["mediaType"] != self.headers["Content-Type"]:
                self._refuse(400, "MANIFEST_INVALID")
                return
            if version.startswith("sha256:") and version != sha(self.body):
                self._refuse(400, "DIGEST_INVALID")
                return
            digest = self.registry.put_manifest(name, version, content["mediaType"], self.body)
            self._say(201, location=f"/v2/{name}/manifests/{digest}", docker_content_digest=digest)
        elif version not in store or store[version][0] not in self.headers.get("Accept", ""):
            self._refuse(404, "MANIFEST_UNKNOWN")
        else:
            media, body = store[version]
            self._say(200, body, content_type=media, docker_content_digest=sha(body))

    def _blob(self, name: str, digest: str) -> None:
        data = self.registry.blobs.get(name, {}).get(digest)
        if data is None:
            self._refuse(404, "BLOB_UNKNOWN")
        elif self.registry.elsewhere and self.command == "GET":
            self._say(307, location=f"{self.registry.elsewhere}/v2/{name}/blobs/{digest}")
        elif self.registry.torn:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data) + 10))
            self.end_headers()
            self.wfile.write(data[:-1])
            self.close_connection = True
        else:
            self._say(200, b"!" + data[1:] if self.registry.corrupt else data, docker_content_digest=digest)

    def _upload(self, name: str, upload: str) -> None:
        store = self.registry.blobs.setdefault(name, {})
        if self.command == "POST":
            mounted = self.registry.blobs.get(self.query.get("from", ""), {}).get(self.query.get("mount", ""))
            if self.registry.mounts and mounted is not None:
                store[self.query["mount"]] = mounted
                self._say(201, location=f"/v2/{name}/blobs/{self.query['mount']}")
                return
            made = secrets.token_hex(8)
            self.registry.uploads[made] = name
            self._say(202, location=f"{self.registry.location}/v2/{name}/blobs/uploads/{made}?state=kept")
        elif self.registry.uploads.get(upload) != name or self.query.get("state") != "kept":
            self._refuse(404, "BLOB_UPLOAD_UNKNOWN")
        elif self.command == "PUT" and sha(self.body) == self.query.get("digest"):
            store[sha(self.body)] = self.body
            self._say(201, location=f"/v2/{name}/blobs/{sha(self.body)}")
        else:
            self._refuse(400, "DIGEST_INVALID")

    def _refuse(self, status: int, code: str, **headers: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
        self._say(status, body, **headers)

    def _say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-").title(), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serving(registry: SpecRegistry | None = None) -> Iterator[SpecRegistry]:
    """A registry on a free port of the loopback address."""
    made = registry or SpecRegistry()
    handler = type("Handler", (_Handler,), {"registry": made})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        made.host = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
