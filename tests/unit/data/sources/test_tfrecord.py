"""TFRecord: frames, checksums and tf.train messages, against protobuf's own encoder."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.data import tfrecord
from tidemill.data.tf_example import ExampleDecoder
from tidemill.data.tfrecord import write_records
from tidemill.types.source import TFRecord

_FIELD = descriptor_pb2.FieldDescriptorProto


def _messages() -> dict[str, Any]:
    """tf.train's messages, built here: the oracle must not share code with what it judges."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")

    def message(name: str, *fields: tuple[str, int, Any, str], repeated: bool = False) -> Any:
        made = file.message_type.add(name=name)
        for field, number, kind, type_name in fields:
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            added = made.field.add(name=field, number=number, type=kind, label=label)
            if type_name:
                added.type_name = type_name
        return made

    message("BytesList", ("value", 1, _FIELD.TYPE_BYTES, ""), repeated=True)
    message("FloatList", ("value", 1, _FIELD.TYPE_FLOAT, ""), repeated=True)
    message("Int64List", ("value", 1, _FIELD.TYPE_INT64, ""), repeated=True)
    kinds = [
        ("bytes_list", 1, ".t.BytesList"),
        ("float_list", 2, ".t.FloatList"),
        ("int64_list", 3, ".t.Int64List"),
    ]
    feature = message("Feature", *((n, i, _FIELD.TYPE_MESSAGE, t) for n, i, t in kinds))
    feature.oneof_decl.add(name="kind")
    for field in feature.field:
        field.oneof_index = 0
    message("FeatureList", ("feature", 1, _FIELD.TYPE_MESSAGE, ".t.Feature"), repeated=True)
    for outer, inner, name in (
        ("Features", "Feature", "feature"),
        ("FeatureLists", "FeatureList", "feature_list"),
    ):
        holder = message(outer, (name, 1, _FIELD.TYPE_MESSAGE, f".t.{outer}.Entry"), repeated=True)
        entry = holder.nested_type.add(name="Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL)
        entry.field.add(
            name="value",
            number=2,
            type=_FIELD.TYPE_MESSAGE,
            type_name=f".t.{inner}",
            label=_FIELD.LABEL_OPTIONAL,
        )
        holder.field[0].type_name = f".t.{outer}.Entry"
    message("Example", ("features", 1, _FIELD.TYPE_MESSAGE, ".t.Features"))
    message(
        "SequenceExample",
        ("context", 1, _FIELD.TYPE_MESSAGE, ".t.Features"),
        ("feature_lists", 2, _FIELD.TYPE_MESSAGE, ".t.FeatureLists"),
    )
    for (
        made
    ) in file.message_type:  # map fields are called Entry here, and protobuf wants its own name for them
        for nested in made.nested_type:
            nested.name = "FeatureEntry" if made.name == "Features" else "FeatureListEntry"
            made.field[0].type_name = f".t.{made.name}.{nested.name}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{name}"))
        for name in ("Example", "SequenceExample")
    }


MESSAGES = _messages()
KINDS = {bytes: "bytes_list", str: "bytes_list", float: "float_list", int: "int64_list"}


def fill(feature: Any, values: list[Any]) -> None:
    if not values:
        feature.SetInParent()
        return
    kind = KINDS[type(values[0])]
    getattr(feature, kind).value.extend(v.encode() if isinstance(v, str) else v for v in values)


def example(**features: list[Any]) -> bytes:
    made = MESSAGES["Example"]()
    for name, values in features.items():
        fill(made.features.feature[name], values)
    return bytes(made.SerializeToString())


def source(reading: Any, records: list[bytes], name: str = "a.tfrecord", **options: Any) -> TFRecord:
    write_records(str(reading.base / name), iter(records))
    return TFRecord(reading.files(name), **options)


def test_the_checksum_is_that_of_the_format(tmp_path: Path) -> None:
    assert (
        google_crc32c.value(b"123456789") == 0xE3069283
    )  # RFC 3720, B.4 has others; this one is everybody's
    write_records(str(tmp_path / "a"), iter([b""]))
    content = (tmp_path / "a").read_bytes()
    assert content[:8] == struct.pack("<Q", 0)
    # An empty record's file as TensorFlow's own writer makes it: crc32c(b"") is 0, masked 0xa282ead8.
    assert content[12:] == struct.pack("<I", 0xA282EAD8)


def test_examples_become_columns(reading: Any) -> None:
    records = [
        example(id=[1], name=["x"], score=[0.5], tags=["a", "b"], none=[]),
        example(id=[-(2**63)], name=["größe"], tags=["c"], none=[], only=[7]),
        example(id=[2**63 - 1], name=[], score=[float("inf")], none=[]),
    ]
    table = reading.table(source(reading, records))
    assert table.to_pydict() == {
        "id": [1, -(2**63), 2**63 - 1],
        "name": ["x", "größe", None],
        "none": [None, None, None],
        "only": [None, 7, None],
        "score": [0.5, None, float("inf")],
        "tags": [["a", "b"], ["c"], None],
    }
    assert str(table.schema.field("score").type) == "float"


def test_gzip_is_seen_whatever_the_name(reading: Any) -> None:
    source(reading, [example(a=[1]), example(a=[2])], "plain")
    whole = gzip.compress((reading.base / "plain").read_bytes())
    assert reading.table(TFRecord(reading.write("data_tfrecord-00000", whole)))["a"].to_pylist() == [1, 2]
    assert "cut off or damaged" in reading.refusal(TFRecord(reading.write("cut.gz", whole[:-12])))


def test_later_records_widen_the_columns(reading: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfrecord, "BATCH_RECORDS", 2)
    records = [example(a=[1], s=["x"])] * 4 + [example(a=[1, 2], s=[b"\xff"], z=[1.0])]
    table = reading.table(source(reading, records))
    assert table["a"].to_pylist() == [[1]] * 4 + [[1, 2]]
    assert table["s"].to_pylist() == [b"x"] * 4 + [b"\xff"]
    assert table["z"].to_pylist() == [None] * 4 + [1.0]


def test_one_feature_of_two_kinds(reading: Any) -> None:
    text = reading.refusal(source(reading, [example(a=[1]), example(a=[1.5])]))
    assert "feature 'a' has float and int64 values" in text


def test_sequence_examples(reading: Any) -> None:
    made = MESSAGES["SequenceExample"]()
    fill(made.context.feature["id"], [5])
    for values in ([1.0, 2.0], [], [3.0]):
        fill(made.feature_lists.feature_list["steps"].feature.add(), values)
    nothing = MESSAGES["SequenceExample"]()
    fill(nothing.context.feature["id"], [6])
    records = [made.SerializeToString(), nothing.SerializeToString()]
    table = reading.table(source(reading, records, payload="sequence_example"))
    assert table.to_pydict() == {"id": [5, 6], "steps": [[[1.0, 2.0], [], [3.0]], None]}


def test_records_as_they_are(reading: Any) -> None:
    table = reading.table(source(reading, [b"x", b"\xff\x00"], payload="bytes"))
    assert table.to_pydict() == {"record": [b"x", b"\xff\x00"]}
    assert "did you mean 'example'" in reading.refusal(source(reading, [b"x"], payload="exampel"))


@pytest.mark.parametrize(
    ("at", "says"),
    [
        (3, "record 0 at byte 0: the checksum of its length is wrong"),
        (15, "record 0 at byte 0: the checksum of its bytes is wrong"),
        (-2, "record 2 at byte"),
    ],
)
def test_a_flipped_bit_is_found(reading: Any, at: int, says: str) -> None:
    source(reading, [example(a=[1])] * 3)
    content = bytearray((reading.base / "a.tfrecord").read_bytes())
    content[at] ^= 1
    assert says in reading.refusal(reading.write("a.tfrecord", bytes(content)))


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_file_that_ends_in_the_middle(reading: Any, cut: int) -> None:
    source(reading, [example(a=[1])] * 3)
    content = (reading.base / "a.tfrecord").read_bytes()
    text = reading.refusal(reading.write("a.tfrecord", content[:-cut]))
    assert "record 2 at byte" in text
    assert "ends in the middle" in text


def test_what_is_no_example(reading: Any) -> None:
    assert "record 1: not a tf.train message" in reading.refusal(
        source(reading, [example(a=[1]), b"\x0a\xff"])
    )
    assert "have no feature" in reading.refusal(source(reading, [b""]))


VALUES = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
    st.lists(st.floats(width=32, allow_nan=False), max_size=4),
    st.lists(st.binary(max_size=8), max_size=4),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), min_size=1, max_size=6))
def test_the_decoder_agrees_with_protobuf(rows: list[dict[str, list[Any]]]) -> None:
    for name in "abc":
        kinds = {type(v) for row in rows for v in row.get(name, [])}
        if len(kinds) > 1:
            return
    columns = ExampleDecoder("example").columns([example(**row) for row in rows])
    for name in {name for row in rows for name in row}:
        for found, row in zip(columns[name].to_pylist(), rows, strict=True):
            expected = row.get(name) or None
            found = [found] if found is not None and not isinstance(found, list) else found
            found = [v.encode() if isinstance(v, str) else v for v in found] if found else None
            assert found == expected
