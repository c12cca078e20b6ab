"""Which image of an index is meant, and an image with a layer more."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tidemill.errors import ImageError, RegistryError
from tidemill.images.layer import Layer
from tidemill.images.manifest import Image, Platform, Settings, chosen, descriptor, extended, read
from tidemill.images.registry import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Document

LAYER = Layer("sha256:" + "1" * 64, "sha256:" + "2" * 64, 10, 1)
SETTINGS = Settings(environment={"PYTHONPATH": "/mine", "NEW": "=x"}, labels={"a": "b"}, user="1000:0",
                    folder="/w", command=("python",), note="us")  # fmt: skip


def _document(content: Any, media: str = OCI_INDEX) -> Document:
    return Document(media, "sha256:" + "0" * 64, json.dumps(content).encode())


def _index(*platforms: dict[str, str]) -> Document:
    items = [{"digest": f"sha256:{i}", "platform": p} for i, p in enumerate(platforms)]
    return _document({"mediaType": OCI_INDEX, "manifests": items})


AMD = {"os": "linux", "architecture": "amd64"}
ARM = {"os": "linux", "architecture": "arm64", "variant": "v8"}


@pytest.mark.parametrize(
    ("platform", "digest"),
    [("linux/amd64", "sha256:0"), ("linux/arm64", "sha256:1"), ("linux/arm64/v8", "sha256:1")],
)
def test_an_index_has_one_image_for_a_platform(platform: str, digest: str) -> None:
    attestation = {"os": "unknown", "architecture": "unknown"}
    assert chosen(_index(AMD, ARM, attestation), Platform.parse(platform)) == digest


def test_a_platform_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ImageError, match="no image for linux/s390x") as caught:
        chosen(_index(AMD, ARM), Platform.parse("linux/s390x"))
    assert caught.value.hint == "there are: linux/amd64, linux/arm64, linux/arm64/v8"


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (
            _document({"schemaVersion": 1}, "application/vnd.docker.distribution.manifest.v1+json"),
            "not an image",
        ),
        (Document(OCI_INDEX, "", b"{"), "not JSON"),
        (Document(OCI_INDEX, "", b"[]"), "not a JSON object"),
        (_document({}, "text/html"), "a text/html"),
    ],
)
def test_what_is_neither_image_nor_index_is_refused(document: Document, says: str) -> None:
    with pytest.raises(RegistryError, match=says):
        chosen(document, Platform.parse("linux/amd64"))


def test_an_image_without_configuration_is_none() -> None:
    with pytest.raises(RegistryError, match="names no configuration"):
        descriptor(_document({"layers": []}, OCI_MANIFEST))
    with pytest.raises(RegistryError, match="different layers"):
        read(_document({"layers": [{}]}, OCI_MANIFEST), {"rootfs": {"diff_ids": []}})


@pytest.mark.parametrize("text", ["linux", "linux/", "a/b/c/d", "linux/amd 64"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(ImageError, match="is no platform"):
        Platform.parse(text)


def _base(media: str = OCI_MANIFEST, layers: int = 1) -> Image:
    manifest = {
        "schemaVersion": 2, "mediaType": media, "annotations": {"theirs": "1"},
        "config": {"mediaType": "their/config", "digest": "sha256:c", "size": 1},
        "layers": [{"mediaType": "their/layer+zstd", "digest": "sha256:l", "size": 5}] * layers,
    }  # fmt: skip
    config = {
        "os": "linux", "architecture": "amd64", "created": "2026-01-01T00:00:00Z", "author": "them",
        "config": {"Env": ["PATH=/usr/bin", "NEW=old"], "Entrypoint": ["/tini"], "Labels": {"theirs": "1"},
                   "ExposedPorts": {"80/tcp": {}}},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:d"] * layers}, "history": [{"created_by": "them"}],
    }  # fmt: skip
    return Image(media, manifest, config)


@pytest.mark.parametrize(
    ("media", "layer"),
    [(OCI_MANIFEST, "application/vnd.oci.image.layer.v1.tar+gzip"),
     (DOCKER_MANIFEST, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
)  # fmt: skip
def test_an_image_with_a_layer_more(media: str, layer: str) -> None:
    body, document = extended(_base(media), [LAYER], SETTINGS)
    config, manifest = json.loads(body), json.loads(document.body)
    own = config["config"]
    assert own["Env"] == ["PATH=/usr/bin", "NEW==x", "PYTHONPATH=/mine"]
    assert own["Labels"] == {"theirs": "1", "a": "b"}
    assert (own["User"], own["WorkingDir"], own["Cmd"]) == ("1000:0", "/w", ["python"])
    assert "Entrypoint" not in own
    assert own["ExposedPorts"] == {"80/tcp": {}}
    assert config["author"] == "them"
    assert config["created"] == "2026-01-01T00:00:00Z", "no time of ours"
    assert config["rootfs"]["diff_ids"] == ["sha256:d", LAYER.diff_id]
    assert config["history"] == [{"created_by": "them"}, {"created_by": "us", "created": config["created"]}]
    assert manifest["layers"][0] == {"mediaType": "their/layer+zstd", "digest": "sha256:l", "size": 5}
    assert manifest["layers"][1] == {"mediaType": layer, "digest": LAYER.digest, "size": 10}
    assert manifest["config"]["mediaType"] == "their/config"
    assert "annotations" not in manifest
    assert extended(_base(media), [LAYER], SETTINGS) == (body, document)


def test_a_history_has_a_step_for_each_layer() -> None:
    base = _base(layers=3)
    base = Image(
        base.media_type, base.manifest, {**base.config, "history": [{"empty_layer": True}, {"by": "them"}]}
    )
    body, _ = extended(base, [LAYER, LAYER], SETTINGS)
    steps = json.loads(body)["history"]
    assert sum(not step.get("empty_layer") for step in steps) == 5
    assert steps[2:4] == [{"empty_layer": True}, {"by": "them"}]


def test_layers_are_not_stacked_without_end() -> None:
    with pytest.raises(ImageError, match="127 are the most"):
        extended(_base(layers=127), [LAYER], SETTINGS)
