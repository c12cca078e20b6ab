"""Each format becomes the same rows, with the types that it has; what is damaged is named."""

from __future__ import annotations

import datetime
import decimal
import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from tidemill.data import jsonl_source
from tidemill.types.source import Arrow, Avro, Csv, Jsonl, Parquet

NESTED = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int32()),
        "tags": pa.array([["a", "b"], [], None], pa.list_(pa.string())),
        "image": pa.array([b"\x00\xff", None, b""], pa.binary()),
        "day": pa.array([datetime.date(2024, 2, 29), None, datetime.date(1969, 1, 1)]),
        "price": pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("-2.35")], pa.decimal128(9, 2)),
        "place": pa.array([{"lat": 1.5, "name": "x"}, None, {"lat": None, "name": "y"}]),
        "zoned": pa.array([0, None, 1_700_000_000], pa.timestamp("s", "Europe/Berlin")).cast(
            pa.timestamp("us", "Europe/Berlin")
        ),
        "clock": pa.array([datetime.time(1, 2, 3), None, datetime.time(0)]),
        "marks": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        "grid": pa.array([[[1.0], []], None, []], pa.list_(pa.list_(pa.float32()))),
        "none": pa.nulls(3),
    }
)


def parquet_of(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def arrow_file_of(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    with pa.ipc.new_file(stream, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table, max_chunksize=2)
    return stream.getvalue()


def arrow_stream_of(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "encode"),
    [("a.parquet", parquet_of), ("a.arrow", arrow_file_of), ("a.arrows", arrow_stream_of)],
)
def test_types_beyond_numbers_and_text_are_carried_whole(
    reading: Any, name: str, encode: Callable[[pa.Table], bytes]
) -> None:
    table = reading.table(reading.write(name, encode(NESTED)))
    assert table.to_pylist() == NESTED.to_pylist()
    assert [str(t) for t in table.schema.types if not pa.types.is_nested(t)] == [
        str(t) for t in NESTED.schema.types if not pa.types.is_nested(t)
    ]
    halves = reading.examples(reading.write(name, encode(NESTED)), splits={"a": 1, "b": 1})
    ids = sorted(reading.rows(halves, "a")["id"].to_pylist() + reading.rows(halves, "b")["id"].to_pylist())
    assert ids == [1, 2, 3]


def test_encodings_of_a_library_are_not_types(reading: Any) -> None:
    table = pa.table(
        {
            "d": pa.array(["x", "y"]).dictionary_encode(),
            "l": pa.array([["x"], None], pa.large_list(pa.large_string())),
            "v": pa.array(["x", None], pa.string_view()),
            "s": pa.array([{"t": "x"}, None], pa.struct([("t", pa.large_string())])),
        }
    )
    found = reading.table(Arrow(reading.write("a.feather", arrow_file_of(table))))
    assert [str(t) for t in found.schema.types][0::2] == ["string", "string"]
    assert found.to_pylist() == table.to_pylist()


@pytest.mark.parametrize(
    ("encode", "keep"),
    [(arrow_file_of, 0.5), (arrow_file_of, 0.99), (arrow_stream_of, 0.5), (arrow_stream_of, 0.99)],
)
def test_truncated_arrow_is_named(reading: Any, encode: Callable[[pa.Table], bytes], keep: float) -> None:
    whole = encode(pa.table({"a": range(1000), "s": [str(at) for at in range(1000)]}))
    text = reading.refusal(reading.write("a.arrow", whole[: int(len(whole) * keep)]))
    assert "not readable as Arrow IPC" in text
    assert "a.arrow" in text


def test_an_arrow_stream_that_ends_between_two_batches_is_noticed(reading: Any) -> None:
    whole = arrow_stream_of(pa.table({"a": [1, 2, 3, 4]}))
    assert "no end mark" in reading.refusal(reading.write("a.arrows", whole[:-8]))


def test_two_columns_of_one_name(reading: Any) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert "two columns 'a'" in reading.refusal(reading.write("a.arrow", arrow_file_of(table)))
    assert "'a' twice" in reading.refusal(reading.write("a.csv", "a,b,a\n1,2,3\n"))
    assert "no columns" in reading.refusal(reading.write("b.arrow", arrow_file_of(pa.table({}))))


# -- CSV


def test_another_delimiter_and_no_header(reading: Any) -> None:
    source = reading.write("a.txt", "1;x;2,5\n2;y;3,5\n")
    table = reading.table(Csv(source, delimiter=";", column_names=["id", "name", "size"]))
    assert table.to_pylist() == [
        {"id": 1, "name": "x", "size": "2,5"}, {"id": 2, "name": "y", "size": "3,5"}
    ]  # fmt: skip
    assert "a.txt:2" in reading.refusal(
        Csv(reading.write("a.txt", "1;x\n2\n"), delimiter=";", column_names=["id", "name"])
    )
    assert "one character" in reading.refusal(Csv(source, delimiter=";;"))


@pytest.mark.parametrize("rows", [0, 1])
def test_ten_thousand_columns(reading: Any, rows: int) -> None:
    names = [f"c{at}" for at in range(10_000)]
    source = reading.write("a.csv", ",".join(names) + "\n" + f"{'1,' * 9_999}x\n" * rows)
    if not rows:
        assert "not one row" in reading.refusal(source)
        return
    table = reading.table(source)
    assert (table.num_rows, table.num_columns) == (1, 10_000)
    assert (table["c0"][0].as_py(), table["c9999"][0].as_py()) == (1, "x")


def test_a_byte_order_mark_belongs_to_no_column(reading: Any) -> None:
    for name, text in (("a.csv", "\ufeffid,b\n1,2\n"), ("a.jsonl", '\ufeff{"id": 1, "b": 2}\n')):
        assert reading.table(reading.write(name, text)).to_pylist() == [{"id": 1, "b": 2}]


def test_blanks_around_numbers_do_not_count(reading: Any) -> None:
    table = reading.table(reading.write("a.csv", "a, b\n1, 2.5\n 2 ,3\n"))
    assert table.to_pydict() == {"a": [1, 2], " b": [2.5, 3.0]}


# -- JSON Lines


def test_json_lines_keep_lists_and_objects(reading: Any) -> None:
    rows = [
        {
            "id": 1,
            "tags": ["x", "y"],
            "place": {"lat": 1.5},
            "at": "2024-03-05T10:00:00Z",
            "day": ["2024-03-05"],
        },
        {"id": 2.5, "tags": [], "place": {"lat": 2, "name": "z"}, "at": "2024-03-06", "ok": True},
        {"id": None, "tags": None, "deep": [{"a": [1]}, {"a": []}]},
    ]
    text = "\n".join(json.dumps(row) for row in rows)
    table = reading.table(reading.write("a.jsonl", text))
    assert str(table.schema.field("at").type) == "timestamp[us]"
    assert str(table.schema.field("id").type) == "double"
    assert table["place"].to_pylist() == [{"lat": 1.5, "name": None}, {"lat": 2.0, "name": "z"}, None]
    assert table["day"].to_pylist() == [["2024-03-05"], None, None]
    assert table["deep"].to_pylist() == [None, None, [{"a": [1]}, {"a": []}]]
    assert table["tags"].to_pylist() == [["x", "y"], [], None]
    assert table["at"].to_pylist()[:2] == [datetime.datetime(2024, 3, 5, 10), datetime.datetime(2024, 3, 6)]


@pytest.mark.parametrize(
    ("first", "later", "type"),
    [
        ({"a": 1}, {"a": 1.5}, "double"),
        ({"a": None}, {"a": "x"}, "string"),
        ({"a": "2024-01-01"}, {"a": "soon"}, "string"),
        ({"a": [1]}, {"a": [1.5, None]}, "list<element: double>"),
        ({"a": {"x": 1}}, {"a": {"x": 2, "y": "z"}}, "struct<x: int64, y: string>"),
        ({"b": 1}, {"a": True, "b": 2}, "bool"),
        ({"a": [{"x": 1}]}, {"a": [{"y": [2]}]}, "list<element: struct<x: int64, y: list<element: int64>>>"),
    ],
    ids=str,
)
def test_later_lines_widen_what_the_first_ones_said(
    reading: Any, monkeypatch: pytest.MonkeyPatch, first: Any, later: Any, type: str
) -> None:
    monkeypatch.setattr(jsonl_source, "BLOCK_BYTES", 64)
    rows = [first] * 20 + [later] * 3
    table = reading.table(reading.write("a.jsonl", "\n".join(map(json.dumps, rows)) + "\n"))
    assert str(table.schema.field("a").type) == type
    assert table.num_rows == 23
    last = table.slice(22).to_pylist()[0]["a"]
    assert last == later["a"] or last == [{"x": None, "y": [2]}]


def test_json_of_mixed_types(reading: Any) -> None:
    source = reading.write("a.jsonl", '{"a": 1}\n{"a": 2}\n{"a": {"b": 1}}\n')
    text = reading.refusal(source)
    assert "column 'a' has {\"b\": 1}, which is not int64" in text
    assert "a.jsonl:3" in text
    assert reading.table(source, column_types={"a": "string"})["a"].to_pylist() == ["1", "2", '{"b": 1}']
    assert "did you mean 'a'" in reading.refusal(source, column_types={"aa": "int"})
    twice = reading.write("e.jsonl", '{"a": 1}\n{"a": 1, "a": 2}\n')
    assert "key 'a' comes twice" in reading.refusal(twice)
    assert "e.jsonl:2" in reading.refusal(twice)
    deep = '{"a":' * 1500 + "1" + "}" * 1500
    assert "nested too deep" in reading.refusal(reading.write("f.jsonl", deep))
    assert "g.jsonl:1" in reading.refusal(reading.write("g.jsonl", '[{"a": 1}]\n'))
    two = reading.write("b.jsonl", '{"a": 1}{"a": 2}\n')
    assert "not JSON: Extra data" in reading.refusal(two)
    assert "no columns" in reading.refusal(reading.write("c.jsonl", "{}\n{}\n"))
    assert "empty" in reading.refusal(reading.write("d.jsonl", ""))


def test_json_compressed_in_any_order_of_keys(reading: Any) -> None:
    text = b'{"a": 1, "b": "x"}\r\n\r\n{"b": "y", "a": 2}'
    table = reading.table(Jsonl(reading.write("a.json.gz", gzip.compress(text))))
    assert table.to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


# -- Avro


def record(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": list(fields)}


AVRO: dict[str, Any] = {
    "type": "record", "name": "Trip",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "fare", "type": ["null", "double"], "default": None},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["CASH", "CARD"]}},
        {"name": "other", "type": ["null", "Kind"]},
        {"name": "stops", "type": {"type": "array", "items": "string"}},
        {"name": "marks", "type": {"type": "map", "values": "int"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "place", "type": record({"name": "x", "type": "float"})},
        {"name": "uid", "type": {"type": "string", "logicalType": "uuid"}},
    ],
}  # fmt: skip


def avro_of(schema: Any, rows: list[dict[str, Any]]) -> bytes:
    stream = io.BytesIO()
    fastavro.writer(stream, fastavro.parse_schema(schema), rows, codec="deflate")
    return stream.getvalue()


def avro_rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": at, "fare": None if at % 3 else at / 2, "kind": "CARD", "other": None,
            "stops": ["x"] * (at % 3), "marks": {"a": at}, "day": datetime.date(2024, 3, 5),
            "place": {"x": 0.5},
            "at": datetime.datetime(2024, 3, 5, 1, 2, 3, 4, tzinfo=datetime.UTC),
            "price": decimal.Decimal("12.34"), "uid": "00000000-0000-0000-0000-000000000001",
        }
        for at in range(count)
    ]  # fmt: skip


def test_avro(reading: Any) -> None:
    table = reading.table(reading.write("a.avro", avro_of(AVRO, avro_rows(50))))
    expected = [{**row, "marks": list(row["marks"].items())} for row in avro_rows(50)]
    assert table.to_pylist() == expected
    assert str(table.schema.field("price").type) == "decimal128(9, 2)"


def test_avro_that_cannot_be_read_is_named(reading: Any) -> None:
    whole = avro_of(AVRO, avro_rows(500))
    for name, content in (("cut", whole[:-40]), ("head", whole[:20]), ("none", b"Obj\x02 nothing of it")):
        text = reading.refusal(Avro(reading.write(f"{name}.avro", content)))
        assert "not readable as Avro" in text
        assert f"{name}.avro" in text
    union = record({"name": "u", "type": ["int", "string"]})
    assert "'u' is a union of 2 types" in reading.refusal(
        reading.write("u.avro", avro_of(union, [{"u": 1}, {"u": "x"}]))
    )


# -- all


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.arrow", "a.avro"])
def test_one_row(reading: Any, name: str) -> None:
    content = {
        "a.csv": b"a\n7\n", "a.jsonl": b'{"a": 7}', "a.parquet": parquet_of(pa.table({"a": [7]})),
        "a.arrow": arrow_file_of(pa.table({"a": [7]})),
        "a.avro": avro_of(record({"name": "a", "type": "long"}), [{"a": 7}]),
    }[name]  # fmt: skip
    examples = reading.examples(reading.write(name, content), splits={"train": 2, "eval": 1})
    assert examples.num_rows == 1
    both = [reading.rows(examples, split)["a"].to_pylist() for split in ("train", "eval")]
    assert sorted(both) == [[], [7]]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.avro"])
def test_no_row(reading: Any, name: str) -> None:
    nothing = pa.table({"a": pa.array([], pa.int64())})
    content = {
        "a.parquet": parquet_of(nothing), "a.arrow": arrow_file_of(nothing),
        "a.avro": avro_of(record({"name": "a", "type": "long"}), []),
    }[name]  # fmt: skip
    assert "not one row" in reading.refusal(reading.write(name, content))


def test_the_same_rows_of_any_format_split_alike(reading: Any) -> None:
    table = pa.table({"id": [f"u{at}" for at in range(300)], "x": [float(at) / 3 for at in range(300)]})
    schema = record({"name": "id", "type": "string"}, {"name": "x", "type": "double"})
    sources = [
        reading.write("a.csv", "id,x\n" + "".join(f"{r['id']},{r['x']!r}\n" for r in table.to_pylist())),
        reading.write("a.jsonl", "".join(json.dumps(r) + "\n" for r in table.to_pylist())),
        Parquet(reading.write("a.parquet", parquet_of(table))),
        reading.write("a.arrow", arrow_file_of(table)),
        reading.write("a.avro", avro_of(schema, table.to_pylist())),
    ]
    made = [reading.examples(source, splits={"train": 2, "eval": 1}) for source in sources]
    evaluation = [reading.rows(examples, "eval") for examples in made]
    assert all(found == evaluation[0] for found in evaluation)
    assert 60 < evaluation[0].num_rows < 140
