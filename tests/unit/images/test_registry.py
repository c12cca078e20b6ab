"""The registry client, against a registry that follows the specification and is difficult in its ways."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from spec_registry import IDENTITY, PASSWORD, USER, SpecRegistry, serving, sha

from tidemill.errors import RegistryError
from tidemill.images import transport
from tidemill.images.credentials import Credential
from tidemill.images.registry import OCI_MANIFEST, Document, Registry
from tidemill.images.transport import is_loopback

LOGIN = Credential(USER, PASSWORD)


def _push(client: Registry, name: str, data: bytes) -> None:
    client.push_blob(name, sha(data), len(data), lambda: io.BytesIO(data))


def test_what_is_pushed_is_there(registry: SpecRegistry) -> None:
    client = Registry(registry.host)
    assert not client.has_blob("team/daily", sha(b"one"))
    _push(client, "team/daily", b"one")
    assert client.has_blob("team/daily", sha(b"one"))
    assert client.blob("team/daily", sha(b"one"), 3) == b"one"
    body = json.dumps({"mediaType": OCI_MANIFEST, "layers": [], "config": {"digest": sha(b"one")}}).encode()
    client.push_manifest("team/daily", "v1", Document(OCI_MANIFEST, sha(body), body))
    assert client.manifest("team/daily", "v1") == Document(OCI_MANIFEST, sha(body), body)
    assert client.manifest("team/daily", sha(body)).body == body


def test_a_blob_is_mounted_where_the_registry_can_and_else_copied(registry: SpecRegistry) -> None:
    client = Registry(registry.host)
    _push(client, "base", b"one")
    assert client.bring("mine", sha(b"one"), 3, client, "base") == "mounted"
    assert client.bring("mine", sha(b"one"), 3, client, "base") == "there"
    registry.mounts = False
    _push(client, "base", b"two")
    assert client.bring("mine", sha(b"two"), 3, client, "base") == "copied"
    assert registry.blobs["mine"] == {sha(b"one"): b"one", sha(b"two"): b"two"}


def test_a_blob_is_copied_from_another_registry(registry: SpecRegistry) -> None:
    with serving() as other:
        _push(Registry(other.host), "base", b"one")
        client = Registry(registry.host)
        assert client.bring("mine", sha(b"one"), 3, Registry(other.host), "base") == "copied"
    assert registry.blobs["mine"] == {sha(b"one"): b"one"}


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_a_login_is_given_when_it_is_asked_for(registry: SpecRegistry, auth: str) -> None:
    registry.auth = auth
    client = Registry(registry.host, credential=lambda _: LOGIN)
    _push(client, "base", b"one")
    assert client.bring("mine", sha(b"one"), 3, client, "base") == "mounted"
    assert client.blob("mine", sha(b"one"), 3) == b"one"
    assert registry.authorizations[0] == "", "nobody asked yet"
    if auth == "bearer":
        coded = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        told = [path for path, given in zip(registry.journal, registry.authorizations, strict=True)
                if coded in given]  # fmt: skip
        assert set(told) == {"GET /token"}, "the password goes to the token server alone"


def test_an_identity_token_is_changed_for_a_token(registry: SpecRegistry) -> None:
    registry.auth = "bearer"
    client = Registry(registry.host, credential=lambda _: Credential(identity=IDENTITY))
    _push(client, "mine", b"one")
    assert "POST /token" in registry.journal


def test_what_all_may_read_is_read_without_a_login(registry: SpecRegistry) -> None:
    registry.auth = "bearer"
    registry.put_image("base", "1")
    client = Registry(registry.host, credential=lambda _: None)
    assert client.manifest("base", "1").media_type == OCI_MANIFEST
    with pytest.raises(RegistryError, match="refuses an upload to base") as caught:
        _push(client, "base", b"one")
    assert f"docker login {registry.host}" in caught.value.hint


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_a_wrong_password_is_told_once_and_never_shown(registry: SpecRegistry, auth: str) -> None:
    registry.auth = auth
    client = Registry(registry.host, credential=lambda _: Credential(USER, "wrong-one"))
    with pytest.raises(RegistryError) as caught:
        client.manifest("base", "1")
    assert "wrong-one" not in str(caught.value)
    assert "docker login" in caught.value.hint
    assert len(registry.journal) <= 3


def test_a_redirect_is_followed_without_the_login(registry: SpecRegistry) -> None:
    registry.auth = "basic"
    client = Registry(registry.host, credential=lambda _: LOGIN)
    _push(client, "mine", b"one")
    with serving() as store:
        store.blobs["mine"] = {sha(b"one"): b"one"}
        registry.elsewhere = f"http://{store.host}"
        assert client.blob("mine", sha(b"one"), 3) == b"one"
        assert store.authorizations == [""]


def test_no_byte_leaves_tls_for_another_machine(registry: SpecRegistry) -> None:
    client = Registry(registry.host)
    registry.location = "http://storage.example"
    with pytest.raises(RegistryError, match="which is not encrypted"):
        _push(client, "mine", b"one")
    registry.blobs["mine"] = {sha(b"one"): b"one"}
    registry.elsewhere = "http://storage.example"
    with pytest.raises(RegistryError, match="which is not encrypted"):
        client.blob("mine", sha(b"one"), 3)


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("localhost:5000", True), ("127.0.0.1", True), ("127.9.9.9:1", True), ("[::1]:5000", True),
        ("registry.example", False), ("10.0.0.1:5000", False), ("localhost.example", False),
        ("127.0.0.1.example", False), ("[2001:db8::1]", False),
    ],
)  # fmt: skip
def test_only_this_machine_is_spoken_to_without_tls(host: str, near: bool) -> None:
    assert is_loopback(host) is near
    assert transport.Transport(host, lambda: None).base.startswith("http://" if near else "https://")


def test_a_busy_registry_is_asked_again(registry: SpecRegistry) -> None:
    registry.busy = 3
    _push(Registry(registry.host), "mine", b"one")
    registry.busy = 9
    with pytest.raises(RegistryError, match="503"):
        _push(Registry(registry.host), "mine", b"two")


def test_a_registry_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as gone:
        host = gone.host
    waited: list[float] = []
    client = Registry(host)
    monkeypatch.setattr(client, "_transport", transport.Transport(host, lambda: None, wait=waited.append))
    with pytest.raises(RegistryError, match=f"{host} cannot be reached"):
        client.manifest("mine", "1")
    assert waited == [0.5, 1.0, 2.0]


def test_bytes_that_are_not_those_of_their_digest_are_refused(registry: SpecRegistry, tmp_path: Path) -> None:
    client = Registry(registry.host)
    _push(client, "base", b"one")
    registry.corrupt = True
    with pytest.raises(RegistryError, match="other bytes"):
        client.blob("base", sha(b"one"), 3)
    registry.mounts = False
    with pytest.raises(RegistryError, match="other bytes"):
        client.bring("mine", sha(b"one"), 3, client, "base")
    assert not registry.blobs["mine"]
    registry.corrupt, registry.torn = False, True
    with pytest.raises(RegistryError, match="other bytes"), (tmp_path / "x").open("wb") as file:
        client.fetch("base", sha(b"one"), file)


def test_a_manifest_that_is_another_one_is_refused(registry: SpecRegistry) -> None:
    digest = registry.put_image("base", "1")
    registry.manifests["base"][digest] = (OCI_MANIFEST, b"{}")
    with pytest.raises(RegistryError, match="gave a manifest with digest"):
        Registry(registry.host).manifest("base", digest)
    with pytest.raises(RegistryError, match="has no image base with 2"):
        Registry(registry.host).manifest("base", "2")
