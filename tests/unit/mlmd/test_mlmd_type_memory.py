"""A store remembers types; what another process adds to them meanwhile is seen all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.mlmd import MetadataStore, errors
from tidemill.mlmd import metadata_store_pb2 as pb


def opened(path: Path) -> MetadataStore:
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    return MetadataStore(config)


def test_a_property_that_was_declared_elsewhere_can_be_stored(tmp_path: Path) -> None:
    ours, theirs = (opened(tmp_path / "store.db") for _ in range(2))
    model = ours.put_artifact_type(pb.ArtifactType(name="Model", properties={"a": pb.INT}))
    artifact = pb.Artifact(type_id=model)
    artifact.properties["a"].int_value = 1
    (known,) = ours.put_artifacts([artifact])
    artifact.properties["b"].string_value = "new"
    with pytest.raises(errors.InvalidArgumentError, match="unknown property: b"):
        ours.put_artifacts([artifact])
    more = pb.ArtifactType(name="Model", properties={"b": pb.STRING, "c": pb.DOUBLE})
    theirs.put_artifact_type(more, can_add_fields=True, can_omit_fields=True)
    (made,) = ours.put_artifacts([artifact])
    again = pb.Artifact(id=known)
    again.properties["c"].double_value = 0.5
    fresh = opened(tmp_path / "store.db")
    fresh.get_artifacts_by_id([known])  # now it remembers the type
    theirs.put_artifact_type(
        pb.ArtifactType(name="Model", properties={"d": pb.INT}), can_add_fields=True, can_omit_fields=True
    )
    again.properties["d"].int_value = 4
    fresh.put_artifacts([again])
    stored = {a.id: sorted(a.properties) for a in ours.get_artifacts()}
    assert stored == {known: ["c", "d"], made: ["a", "b"]}
    for store in (ours, theirs, fresh):
        store.close()
