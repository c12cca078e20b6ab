"""Nodes: inserting, updating, masks, unique names, values of every kind, batches."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.metadata.sql import dialect
from tidemill.mlmd import MetadataStore, errors
from tidemill.mlmd import metadata_store_pb2 as pb
from tidemill.mlmd import metadata_store_service_pb2 as service

KINDS = {
    "whole": pb.INT,
    "real": pb.DOUBLE,
    "text": pb.STRING,
    "shape": pb.STRUCT,
    "any": pb.PROTO,
    "yes": pb.BOOLEAN,
}


def model_type(store: MetadataStore) -> int:
    return store.put_artifact_type(pb.ArtifactType(name="Model", properties=KINDS))


def only(found: list[Any]) -> Any:
    (one,) = found
    return one


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text().filter(lambda text: not text.startswith("mlmd-struct::")),
    st.dictionaries(st.text(max_size=3), json_values, max_size=3),
    st.binary(max_size=20),
    st.booleans(),
    st.text(max_size=10),
)
def test_every_value_comes_back(
    whole: int, real: float, text: str, shape: dict[str, Any], data: bytes, yes: bool, name: str
) -> None:
    config = pb.ConnectionConfig()
    config.fake_database.SetInParent()
    store = MetadataStore(config)
    artifact = pb.Artifact(type_id=model_type(store), name="n", uri=text)
    for values in (artifact.properties, artifact.custom_properties):
        values["whole"].int_value = whole
        values["real"].double_value = real + 0.0  # SQLite keeps no negative zero
        values["text"].string_value = text
        values["shape"].struct_value.SetInParent()
        values["shape"].struct_value.update(shape)
        values["any"].proto_value.type_url = "type.googleapis.com/x"
        values["any"].proto_value.value = data
        values["yes"].bool_value = yes
    artifact.custom_properties[name].int_value = 1
    found = only(store.get_artifacts_by_id(store.put_artifacts([artifact])))
    assert found.properties == artifact.properties
    assert found.custom_properties == artifact.custom_properties
    assert found.uri == text
    store.close()


def test_text_that_looks_like_a_struct_stays_text(store: MetadataStore) -> None:
    type_id = model_type(store)
    for text in ("mlmd-struct", "mlmd-struct::%", "mlmd-struct::////"):
        artifact = pb.Artifact(type_id=type_id, properties={"text": pb.Value(string_value=text)})
        found = only(store.get_artifacts_by_id(store.put_artifacts([artifact])))
        assert found.properties["text"].string_value == text


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (pb.Value(double_value=math.nan), "NaN"),
        (pb.Value(), "no value"),
        (pb.Value(proto_value={}), "type_url"),
    ],
)
def test_values_that_cannot_be_stored(store: MetadataStore, value: Any, why: str) -> None:
    artifact = pb.Artifact(type_id=model_type(store), custom_properties={"p": value})
    with pytest.raises(errors.InvalidArgumentError, match=why):
        store.put_artifacts([pb.Artifact(type_id=artifact.type_id), artifact])
    assert store.get_artifacts() == []


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("whole", pb.Value(string_value="1"), "unmatched property type: whole is INT, not STRING"),
        ("shape", pb.Value(string_value="{}"), "shape is STRUCT, not STRING"),
        ("nobody", pb.Value(int_value=1), "unknown property: nobody"),
        ("text", pb.Value(), "text is STRING, not no value"),
    ],
)
def test_declared_properties_are_checked(store: MetadataStore, name: str, value: Any, why: str) -> None:
    type_id = model_type(store)
    with pytest.raises(errors.InvalidArgumentError, match=why):
        store.put_artifacts([pb.Artifact(type_id=type_id, properties={name: value})])
    (artifact_id,) = store.put_artifacts([pb.Artifact(type_id=type_id)])
    with pytest.raises(errors.InvalidArgumentError, match=why):
        store.put_artifacts([pb.Artifact(id=artifact_id, properties={name: value})])


def test_names_are_unique_within_a_type_and_external_ids_everywhere(store: MetadataStore) -> None:
    first, second = model_type(store), store.put_artifact_type(pb.ArtifactType(name="Other"))
    named, keyed = {"name": "n"}, {"external_id": "e"}
    store.put_artifacts([pb.Artifact(type_id=first, **named), pb.Artifact(type_id=second, **named, **keyed)])
    for refused in ({"type_id": first, **named}, {"type_id": first, **keyed}, {"id": 1, **keyed}):
        with pytest.raises(errors.AlreadyExistsError) as caught:
            store.put_artifacts([pb.Artifact(type_id=first), pb.Artifact(**refused)])
        assert caught.value.error_code == 6
    assert len(store.get_artifacts()) == 2  # nothing of the refused calls
    assert store.get_artifact_by_type_and_name("Other", "n").external_id == "e"
    assert store.get_artifact_by_type_and_name("Other", "m") is None


def test_an_update_replaces_all_but_type_and_name(store: MetadataStore) -> None:
    type_id = model_type(store)
    artifact = pb.Artifact(type_id=type_id, name="n", uri="u", state=pb.Artifact.PENDING, external_id="e")
    artifact.properties["whole"].int_value = 1
    artifact.custom_properties["whole"].string_value = "same name"
    (artifact_id,) = store.put_artifacts([artifact])
    before = only(store.get_artifacts_by_id([artifact_id]))
    new = pb.Artifact(id=artifact_id, name="ignored", uri="v")
    new.properties["text"].string_value = "t"
    assert store.put_artifacts([new]) == [artifact_id]
    after = only(store.get_artifacts_by_id([artifact_id]))
    assert (after.name, after.uri, after.type_id, after.state) == ("n", "v", type_id, pb.Artifact.UNKNOWN)
    assert not after.HasField("external_id")
    assert dict(after.properties) == dict(new.properties)
    assert not after.custom_properties
    assert after.create_time_since_epoch == before.create_time_since_epoch
    assert after.last_update_time_since_epoch > before.last_update_time_since_epoch
    assert store.put_artifacts([after]) == [artifact_id]  # as it is: no update
    assert only(store.get_artifacts_by_id([artifact_id])) == after


def test_the_same_node_twice_in_a_call(store: MetadataStore) -> None:
    """The calls of one list happen one after another."""
    (artifact_id,) = store.put_artifacts([pb.Artifact(type_id=model_type(store))])
    first = pb.Artifact(
        id=artifact_id, custom_properties={"a": pb.Value(int_value=1), "b": pb.Value(int_value=1)}
    )
    second = pb.Artifact(id=artifact_id, custom_properties={"a": pb.Value(int_value=2)})
    store.put_artifacts([first, second])
    assert dict(only(store.get_artifacts()).custom_properties) == dict(second.custom_properties)
    store.put_artifacts([second, first], ["custom_properties.b"])
    assert dict(only(store.get_artifacts()).custom_properties) == {
        "a": pb.Value(int_value=2),
        "b": pb.Value(int_value=1),
    }


def test_masks(store: MetadataStore) -> None:
    type_id = model_type(store)
    artifact = pb.Artifact(type_id=type_id, uri="u", state=pb.Artifact.LIVE)
    artifact.properties["whole"].int_value = 1
    artifact.custom_properties["k"].int_value = 1
    artifact.custom_properties["l"].int_value = 1
    (artifact_id,) = store.put_artifacts([artifact], ["state"])  # a mask does not touch new ones

    def put(mask: list[str], **fields: Any) -> Any:
        store.put_artifacts([pb.Artifact(id=artifact_id, **fields)], mask)
        return only(store.get_artifacts_by_id([artifact_id]))

    two = pb.Value(int_value=2)
    found = put(["uri", "no such field"], uri="v", state=pb.Artifact.DELETED, custom_properties={"k": two})
    assert (found.uri, found.state, found.custom_properties["k"].int_value) == ("v", pb.Artifact.LIVE, 1)
    found = put(["custom_properties.k"], uri="w", custom_properties={"k": two, "l": two})
    assert (found.uri, found.custom_properties["k"], found.custom_properties["l"].int_value) == ("v", two, 1)
    assert dict(put(["custom_properties.k"]).custom_properties) == {"l": pb.Value(int_value=1)}
    found = put(
        ["custom_properties", "properties.whole"], custom_properties={"m": two}, properties={"whole": two}
    )
    assert (dict(found.custom_properties), dict(found.properties)) == ({"m": two}, {"whole": two})
    assert put(["uri"], uri="x", properties={"nobody": two}).uri == "x"  # outside of the mask: not judged
    with pytest.raises(errors.InvalidArgumentError):
        put(["properties"], properties={"nobody": two})
    assert not put(["state"]).HasField("state")


def test_optimistic_updates(store: MetadataStore) -> None:
    (artifact_id,) = store.put_artifacts([pb.Artifact(type_id=model_type(store))])
    read = only(store.get_artifacts_by_id([artifact_id]))
    request = service.PutArtifactsRequest(artifacts=[read])
    request.options.abort_if_latest_updated_time_changed = True
    request.artifacts[0].uri = "first"
    store._call("PutArtifacts", request)
    request.artifacts[0].uri = "second"
    with pytest.raises(errors.FailedPreconditionError, match="was updated at"):
        store._call("PutArtifacts", request)
    found = only(store.get_artifacts_by_id([artifact_id]))
    assert found.uri == "first"
    request.artifacts[0].last_update_time_since_epoch = found.last_update_time_since_epoch
    store._call("PutArtifacts", request)
    assert only(store.get_artifacts_by_id([artifact_id])).uri == "second"


def test_what_nodes_must_have(store: MetadataStore) -> None:
    type_id = model_type(store)
    run = store.put_context_type(pb.ContextType(name="run"))
    for refused, error in (
        (pb.Artifact(), errors.InvalidArgumentError),
        (pb.Artifact(type_id=999), errors.NotFoundError),
        (pb.Artifact(type_id=run), errors.NotFoundError),
        (pb.Artifact(id=999), errors.InvalidArgumentError),
    ):
        with pytest.raises(error):
            store.put_artifacts([refused])
    (artifact_id,) = store.put_artifacts([pb.Artifact(type_id=type_id)])
    with pytest.raises(errors.InvalidArgumentError, match="type_id"):
        store.put_artifacts([pb.Artifact(id=artifact_id, type_id=1)])
    for name in (None, ""):
        with pytest.raises(errors.InvalidArgumentError, match="name"):
            store.put_contexts([pb.Context(type_id=run, name=name)])
    (context_id,) = store.put_contexts([pb.Context(type_id=run, name="a")])
    store.put_contexts([pb.Context(id=context_id, name="b")])  # contexts can be renamed
    assert store.get_context_by_type_and_name("run", "b").id == context_id
    with pytest.raises(errors.InvalidArgumentError, match="name"):
        store.put_contexts([pb.Context(id=context_id)])


def test_reading_nodes(store: MetadataStore) -> None:
    type_id = model_type(store)
    ids = store.put_artifacts(
        [pb.Artifact(type_id=type_id, uri=f"u{i % 2}", external_id=f"e{i}") for i in range(4)]
    )
    assert [a.id for a in store.get_artifacts_by_id(iter({*ids, 99}))] == ids
    assert [a.id for a in store.get_artifacts_by_uri("u1")] == [ids[1], ids[3]]
    assert [a.id for a in store.get_artifacts_by_external_ids(["e3", "e0", "none"])] == [ids[0], ids[3]]
    assert [a.id for a in store.get_artifacts_by_type("Model")] == ids
    assert store.get_artifacts_by_type("Model", "v9") == store.get_artifacts_by_id([]) == []
    artifacts, types = store.get_artifacts_and_types_by_artifact_ids(ids)
    assert ([a.type for a in artifacts], [t.name for t in types]) == (["Model"] * 4, ["Model"])
    for none, error in ((["none"], errors.NotFoundError), (["e0", ""], errors.InvalidArgumentError)):
        with pytest.raises(error):
            store.get_artifacts_by_external_ids(none)


@pytest.mark.parametrize("store", ["here"], indirect=True)  # it looks into the database
def test_a_batch_takes_few_statements(store: MetadataStore) -> None:
    """2,000 artifacts with two properties: what the limit on parameters makes of 4 tables, and no more."""
    type_id = model_type(store)
    batch = [pb.Artifact(type_id=type_id, name=f"n{i}", custom_properties={"a": pb.Value(int_value=i), "b":
             pb.Value(string_value=str(i))}) for i in range(2000)]  # fmt: skip
    statements: list[str] = []
    store._connection.database.connection().set_trace_callback(statements.append)
    ids = store.put_artifacts(batch)
    assert ids == sorted(ids)
    most = dialect.MOST_PARAMETERS
    assert len(statements) <= 2000 * 7 / most + 4000 * 8 / most + 8
    statements.clear()
    found = store.get_artifacts_by_id(ids)
    assert [a.name for a in found] == [a.name for a in batch]
    assert [a.custom_properties["a"].int_value for a in found] == list(range(2000))
    assert len(statements) <= 2 * 2000 / most + 6


@pytest.mark.parametrize("store", ["here"], indirect=True)  # it changes how the database is asked
def test_databases_that_return_no_ids(store: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite before 3.35 and MySQL refuse the statement; rows go in one by one then."""
    type_id = model_type(store)
    kind = type(store._connection.database.dialect)
    real = kind.execute

    def execute(self: Any, cursor: Any, sql: str, values: Any, before: Any) -> None:
        if "RETURNING" in sql:
            raise self.errors[0]('near "RETURNING": syntax error')
        real(self, cursor, sql, values, before)

    monkeypatch.setattr(kind, "execute", execute)
    ids = store.put_artifacts([pb.Artifact(type_id=type_id, name=name) for name in "abc"])
    assert [a.name for a in store.get_artifacts_by_id(ids)] == ["a", "b", "c"]
    with pytest.raises(errors.AlreadyExistsError):
        store.put_artifacts([pb.Artifact(type_id=type_id, name=name) for name in "da"])


def test_nodes_of_one_call_are_stored_in_their_order(store: MetadataStore) -> None:
    """An update may mean what was stored before it, and the first of two errors is the one that is told."""
    type_id = model_type(store)
    ids = store.put_artifacts([pb.Artifact(type_id=type_id, uri="new"), pb.Artifact(id=1, uri="changed")])
    assert (ids, only(store.get_artifacts()).uri) == ([1, 1], "changed")
    with pytest.raises(errors.InvalidArgumentError, match="given id 3"):
        store.put_artifacts([pb.Artifact(id=3), pb.Artifact(type_id=type_id)])
    assert len(store.get_artifacts()) == 1
    with pytest.raises(errors.NotFoundError):  # before anybody looks at the missing name
        store.put_contexts([pb.Context(type_id=type_id)])
