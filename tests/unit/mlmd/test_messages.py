"""The messages are MLMD's: in their description, on the wire, and beside the real package."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import struct_pb2

from tidemill.mlmd import metadata_store_pb2 as pb
from tidemill.mlmd import metadata_store_service_pb2 as service
from tidemill.mlmd import mlmd_types
from tidemill.mlmd.descriptors import message_class

PEER = Path(__file__).with_name("messages_peer.py")
SOURCE = Path(__file__).parents[3] / "src"


@pytest.fixture(scope="module")
def peer() -> Any:
    """The functions of the peer, for our own classes."""
    spec = importlib.util.spec_from_file_location("messages_peer", PEER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ask(python: str, *arguments: str, given: object = None) -> Any:
    done = subprocess.run(
        [python, *arguments], input=json.dumps(given), capture_output=True, text=True,
        env={"PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_descriptions_are_the_same_field_by_field(mlmd_python: str, peer: Any) -> None:
    theirs = ask(mlmd_python, str(PEER), "describe")
    for found, module in zip(theirs, (pb, service), strict=True):
        ours = json.loads(json.dumps(peer.describe(module.DESCRIPTOR)))
        assert ours.keys() == found.keys()
        for name in found:
            assert ours[name] == found[name], name


def test_bytes_are_read_the_same_in_both_directions(mlmd_python: str, peer: Any) -> None:
    ours = peer.make(peer.classes(pb, service), 2)
    assert len(ours) == 3 * 144
    assert sum(bool(said) for _, _, said in ours) > 250
    read = ask(mlmd_python, str(PEER), "read", given=[made[:2] for made in ours])
    assert read == json.loads(json.dumps([said for _, _, said in ours]))
    theirs = ask(mlmd_python, str(PEER), "make")
    found = peer.read(peer.classes(pb, service), [made[:2] for made in theirs])
    assert json.loads(json.dumps(found)) == [said for _, _, said in theirs]


def test_both_packages_live_in_one_process(mlmd_python: str) -> None:
    """Whichever comes first; and with the protobuf of ml-metadata 1.17.1, which is 4.25."""
    ours = "from tidemill.mlmd import MetadataStore, metadata_store_pb2 as ours"
    theirs = "from ml_metadata.proto import metadata_store_pb2 as theirs"
    exchange = (
        "data = ours.Artifact(id=3, state=ours.Artifact.LIVE).SerializeToString()\n"
        "made = theirs.Artifact.FromString(data)\n"
        "config = ours.ConnectionConfig(fake_database=ours.FakeDatabaseConfig())\n"
        "name = MetadataStore(config).put_artifact_type(ours.ArtifactType(name='A'))\n"
        "print([made.id, made.state, name])"
    )
    for first, second in ((ours, theirs), (theirs, ours)):
        assert ask(mlmd_python, "-c", f"{first}\n{second}\n{exchange}") == [3, 2, 10]


def test_every_message_packs_and_unpacks_itself(peer: Any) -> None:
    for name, data, said in peer.make(peer.classes(pb, service), 3):
        assert peer.content(message_class(name).FromString(bytes.fromhex(data))) == said


def test_defaults_and_enums() -> None:
    options = pb.ListOperationOptions()
    assert options.max_result_size == 20
    assert options.order_by_field.field == pb.ListOperationOptions.OrderByField.ID
    assert options.order_by_field.is_asc is True
    assert service.PutTypesRequest().all_fields_match is True
    assert pb.MigrationOptions().downgrade_to_schema_version == -1
    assert tuple(range(7)) == (pb.UNKNOWN, pb.INT, pb.DOUBLE, pb.STRING, pb.STRUCT, pb.PROTO, pb.BOOLEAN)
    assert pb.Artifact.State.Name(pb.Artifact.REFERENCE) == "REFERENCE"
    assert pb.Execution.State.Value("CANCELED") == 6
    assert pb.PropertyType.keys()[-1] == "BOOLEAN"
    with pytest.raises(AttributeError):
        _ = pb.Nothing


def test_a_value_holds_one_thing() -> None:
    value = pb.Value(int_value=3)
    value.struct_value.update({"a": [1, None]})
    assert value.WhichOneof("value") == "struct_value"
    assert not value.HasField("int_value")
    value.proto_value.Pack(pb.Event(artifact_id=3))
    event = pb.Event()
    assert value.proto_value.Unpack(event)
    assert event.artifact_id == 3


def test_structs_of_others() -> None:
    """A struct of protobuf's own class can be given to a constructor; it cannot be copied over ours."""
    other = struct_pb2.Struct()
    other.update({"a": 1})
    assert pb.Value(struct_value=other).struct_value["a"] == 1
    with pytest.raises(TypeError):
        pb.Value().struct_value.CopyFrom(other)
    value = pb.Value()
    value.struct_value.update(other)
    assert value.struct_value.SerializeToString() == other.SerializeToString()


def test_all_calls_have_a_request_and_a_response() -> None:
    methods = service.DESCRIPTOR.services_by_name["MetadataStoreService"].methods
    assert len(methods) == 52
    for method in methods:
        assert method.input_type.name == f"{method.name}Request"
        assert method.output_type.name == f"{method.name}Response"


def test_system_types_have_the_names_of_their_options() -> None:
    for group in (mlmd_types.ArtifactType, mlmd_types.ExecutionType):
        base = getattr(pb, group.__name__).SystemDefinedBaseType
        kinds = {kind.system_type: kind().name for kind in group.__subclasses__()}
        assert len(kinds) == len(base.values()) - 1
        for number, name in kinds.items():
            options = base.DESCRIPTOR.values_by_number[number].GetOptions().SerializeToString()
            assert options.endswith(name.encode())
