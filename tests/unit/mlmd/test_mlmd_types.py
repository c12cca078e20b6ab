"""Types: names and versions, evolution, base types, signatures, external ids."""

from __future__ import annotations

import pytest

from tidemill.mlmd import MetadataStore, errors, mlmd_types
from tidemill.mlmd import metadata_store_pb2 as pb
from tidemill.mlmd import metadata_store_service_pb2 as service

MODEL = pb.ArtifactType(name="Model", properties={"loss": pb.DOUBLE, "steps": pb.INT})


def test_a_type_is_stored_once(store: MetadataStore) -> None:
    first = store.put_artifact_type(MODEL)
    assert store.put_artifact_type(MODEL) == first
    found = store.get_artifact_type("Model")
    assert (found.id, found.name, dict(found.properties)) == (first, "Model", dict(MODEL.properties))
    assert [t.name for t in store.get_artifact_types()] == ["Model"]  # not MLMD's system types
    assert store.get_artifact_types_by_id([1])[0].name == "mlmd.Dataset"


def test_kinds_and_versions_are_apart(store: MetadataStore) -> None:
    ids = [
        store.put_artifact_type(pb.ArtifactType(name="x")),
        store.put_artifact_type(pb.ArtifactType(name="x", version="1")),
        store.put_artifact_type(pb.ArtifactType(name="x", version="2")),
        store.put_execution_type(pb.ExecutionType(name="x")),
        store.put_context_type(pb.ContextType(name="x")),
    ]
    assert len(set(ids)) == 5
    assert store.get_artifact_type("x").id == ids[0]
    assert store.get_artifact_type("x", "2").id == ids[2]
    assert not store.get_artifact_type("x").HasField("version")
    assert store.put_artifact_type(pb.ArtifactType(name="x", version="")) == ids[0]
    with pytest.raises(errors.NotFoundError, match=r"No type found.*version '3'"):
        store.get_artifact_type("x", "3")


@pytest.mark.parametrize(
    ("properties", "add", "omit", "refused"),
    [
        ({"loss": pb.DOUBLE}, False, False, "omits"),
        ({"loss": pb.DOUBLE}, True, False, "omits"),
        ({"loss": pb.DOUBLE}, False, True, ""),
        ({"loss": pb.DOUBLE, "steps": pb.INT, "more": pb.PROTO}, False, True, "adds"),
        ({"loss": pb.DOUBLE, "steps": pb.INT, "more": pb.PROTO}, True, False, ""),
        ({"more": pb.PROTO}, True, True, ""),
        ({"loss": pb.INT}, True, True, "'loss' is stored as DOUBLE"),
    ],
)
def test_evolution(
    store: MetadataStore, properties: dict[str, int], add: bool, omit: bool, refused: str
) -> None:
    first = store.put_artifact_type(MODEL)
    new = pb.ArtifactType(name="Model", properties=properties)
    if refused:
        with pytest.raises(errors.AlreadyExistsError, match=refused) as caught:
            store.put_artifact_type(new, can_add_fields=add, can_omit_fields=omit)
        assert caught.value.error_code == errors.ALREADY_EXISTS == 6
        assert dict(store.get_artifact_type("Model").properties) == dict(MODEL.properties)
    else:
        assert store.put_artifact_type(new, can_add_fields=add, can_omit_fields=omit) == first
        assert dict(store.get_artifact_type("Model").properties) == dict(MODEL.properties) | properties


def test_a_property_that_came_later_can_be_used_at_once(store: MetadataStore) -> None:
    """Though the type was kept in memory when a node of it was stored."""
    type_id = store.put_artifact_type(MODEL)
    store.put_artifacts([pb.Artifact(type_id=type_id)])
    store.put_artifact_type(pb.ArtifactType(name="Model", properties={"new": pb.INT}), True, True)
    artifact = pb.Artifact(type_id=type_id, properties={"new": pb.Value(int_value=3)})
    (artifact_id,) = store.put_artifacts([artifact])
    store.put_artifacts([pb.Artifact(id=artifact_id, properties={"new": pb.Value(int_value=4)})])
    assert store.get_artifacts_by_id([artifact_id])[0].properties["new"].int_value == 4


def test_base_types(store: MetadataStore) -> None:
    train = pb.ExecutionType(name="T", base_type=mlmd_types.Train().system_type)
    type_id = store.put_execution_type(train)
    assert store.get_execution_type("T").base_type == pb.ExecutionType.TRAIN
    assert store.get_execution_types()[0].base_type == pb.ExecutionType.TRAIN
    store.put_execution_type(pb.ExecutionType(name="T"))  # silence changes nothing
    assert store.get_execution_types_by_id([type_id])[0].base_type == pb.ExecutionType.TRAIN
    for other in (pb.ExecutionType.DEPLOY, pb.ExecutionType.UNSET):
        with pytest.raises(errors.UnimplementedError, match="base_type"):
            store.put_execution_type(pb.ExecutionType(name="T", base_type=other))
    store.put_artifact_type(MODEL)
    store.put_artifact_type(
        pb.ArtifactType(name="Model", base_type=pb.ArtifactType.MODEL), can_omit_fields=True
    )
    assert store.get_artifact_type("Model").base_type == pb.ArtifactType.MODEL


def test_what_executions_take_and_give(store: MetadataStore) -> None:
    train = pb.ExecutionType(name="T")
    train.input_type.any.SetInParent()
    train.output_type.dict.properties["model"].simple.CopyFrom(MODEL)
    train.output_type.dict.none_type_not_required = True
    store.put_execution_type(train)
    found = store.get_execution_type("T")
    assert found.input_type == train.input_type
    assert found.output_type == train.output_type


def test_external_ids_and_description(store: MetadataStore) -> None:
    new = pb.ContextType(name="run", description="what", external_id="e")
    type_id = store.put_context_type(new)
    (found,) = store.get_context_types_by_external_ids(["e", "f", "e"])
    assert (found.id, found.description, found.external_id) == (type_id, "what", "e")
    with pytest.raises(errors.AlreadyExistsError):
        store.put_context_type(pb.ContextType(name="other", external_id="e"))
    with pytest.raises(errors.NotFoundError):
        store.get_artifact_types_by_external_ids(["e"])
    with pytest.raises(errors.InvalidArgumentError):
        store.get_context_types_by_external_ids(["e", ""])
    store.put_context_type(pb.ContextType(name="run", external_id="moved"))
    assert store.get_context_types_by_external_ids(["moved"])[0].id == type_id


def test_bad_types(store: MetadataStore) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="name"):
        store.put_artifact_type(pb.ArtifactType())
    with pytest.raises(errors.InvalidArgumentError, match="Property p is UNKNOWN"):
        store.put_artifact_type(pb.ArtifactType(name="x", properties={"p": pb.UNKNOWN}))
    assert store.get_artifact_types() == []


def test_all_kinds_in_one_call(store: MetadataStore) -> None:
    request = service.PutTypesRequest(
        artifact_types=[MODEL, MODEL],
        execution_types=[pb.ExecutionType(name="E")],
        context_types=[pb.ContextType(name="C")],
    )
    response = store._call("PutTypes", request)
    assert response.artifact_type_ids[0] == response.artifact_type_ids[1]
    assert store.get_context_type("C").id == response.context_type_ids[0]
    request.all_fields_match = False
    with pytest.raises(errors.UnimplementedError):
        store._call("PutTypes", request)


def test_what_ml_metadata_does_with_types_in_corners(store: MetadataStore) -> None:
    """As a differential test with 1.17.1 found: asked for twice, named like its own, based on themselves."""
    first, second = (store.put_artifact_type(pb.ArtifactType(name=name)) for name in ("a", "b"))
    asked = [second, first, second, 99]
    assert [t.id for t in store.get_artifact_types_by_id(asked)] == [second, first, second]
    store.put_context_type(pb.ContextType(name="mlmd.Dataset"))  # no system type: contexts have none
    assert [t.name for t in store.get_context_types()] == ["mlmd.Dataset"]
    own = pb.ArtifactType(name="mlmd.Dataset", base_type=pb.ArtifactType.DATASET)
    with pytest.raises(errors.InvalidArgumentError, match="cycle"):
        store.put_artifact_type(own)
