"""External files become splits: every row once, typed, or one clear error with its place."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data import csv_source
from tidemill.data import ingest as ingesting
from tidemill.data.hashing import hash_column
from tidemill.data.ingest import ingest
from tidemill.data.opening import open_source
from tidemill.data.parquet import read_tables, split_folder
from tidemill.errors import DataError, StorageError
from tidemill.storage.pattern import resolve_files

HALVES = {"train": 1, "eval": 1}


def read(
    base: Path,
    pattern: str,
    splits: Mapping[str, int] | None = None,
    *,
    format: str = "auto",
    column_types: Mapping[str, str] | None = None,
    null_values: tuple[str, ...] = ("",),
    **options: Any,
) -> dict[str, pa.Table]:
    """Ingest the files of a pattern; the tables of the splits."""
    source = open_source(resolve_files(pattern, base=base), format, column_types or {}, null_values)
    out = base / f"out{len(list(base.glob('out*')))}"
    rows = ingest(source, out, {"all": 1} if splits is None else splits, **options)
    tables = {}
    for split, count in rows.items():
        parts = list(read_tables(split_folder(out, split)))
        tables[split] = pa.concat_tables(parts) if parts else source.schema.empty_table()
        assert tables[split].num_rows == count
    return tables


def read_text(base: Path, text: str, **options: Any) -> pa.Table:
    """Ingest one CSV file with that content, as one split."""
    (base / "rows.csv").write_bytes(text.encode())
    return read(base, "rows.csv", **options)["all"]


def refusal(base: Path, text: str, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_text(base, text, **options)
    return str(caught.value)


def types(table: pa.Table) -> dict[str, str]:
    return {field.name: str(field.type) for field in table.schema}


# -- CSV: types


def test_each_column_gets_the_type_of_its_values(tmp_path: Path) -> None:
    table = read_text(
        tmp_path,
        "i,f,s,b,d,t,z,n\n"
        "1,1,a,true,2024-03-05,2024-03-05 10:11:12,2024-03-05T10:00:00+02:00,\n"
        "-2,1e3,,FALSE,2024-03-06,2024-03-05T10:11,2024-03-05T10:00:00Z,\n",
    )
    assert types(table) == {
        "i": "int64", "f": "double", "s": "string", "b": "bool", "d": "timestamp[us]",
        "t": "timestamp[us]", "z": "timestamp[us]", "n": "null",
    }  # fmt: skip
    assert [str(v) for v in table["z"].to_pylist()] == ["2024-03-05 08:00:00", "2024-03-05 10:00:00"]
    assert [str(v) for v in table["t"].to_pylist()] == ["2024-03-05 10:11:12", "2024-03-05 10:11:00"]
    assert table["b"].to_pylist() == [True, False]
    assert table["s"].to_pylist() == ["a", None]


def test_quotes_line_breaks_and_unicode_survive(tmp_path: Path) -> None:
    rows = [["größe", "a"], ['say "hi"', "x,y"], ["two\nlines", ""], ["日本", "\t"]]
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    table = read_text(tmp_path, "\ufeff" + text.getvalue())
    assert table.column_names == rows[0]
    assert table["größe"].to_pylist() == [row[0] for row in rows[1:]]
    assert table["a"].to_pylist() == ["x,y", None, "\t"]


def test_a_quoted_line_break_may_lie_anywhere_in_a_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [f"{'x' * (at % 17)}\n{at}" for at in range(100)]
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 64)
    table = read_text(tmp_path, "a,b\n" + "".join(f'"{value}",1\n' for value in values))
    assert table["a"].to_pylist() == values


def test_a_quoted_nothing_is_an_empty_text(tmp_path: Path) -> None:
    assert read_text(tmp_path, 'a,b\n"",1\n,2\nx,3\n')["a"].to_pylist() == ["", None, "x"]


def test_null_values_and_declared_types(tmp_path: Path) -> None:
    text = "zip,size\n01234,NA\n10115,3\n"
    table = read_text(tmp_path, text, null_values=("", "NA"), column_types={"zip": "string"})
    assert table.to_pylist() == [{"zip": "01234", "size": None}, {"zip": "10115", "size": 3}]
    assert "size" in refusal(tmp_path, text)


def test_compressed_csv(tmp_path: Path) -> None:
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"a\n1\n2\n"))
    assert read(tmp_path, "rows.csv.gz")["all"]["a"].to_pylist() == [1, 2]


@pytest.mark.parametrize(
    ("blocks", "kind", "values"),
    [
        (["1\n2\n", "3\n1.5\n"], "double", [1.0, 2.0, 3.0, 1.5]),
        (['""\n""\n'.replace('""', "NA"), "7\n8\n"], "int64", [None, None, 7, 8]),
        (["NA\nNA\n", "x\nNA\n"], "string", [None, None, "x", None]),
        (["NA\nNA\n", "1\nNA\n", "2.5\nNA\n"], "double", [None, None, 1.0, None, 2.5, None]),
    ],
)
def test_later_blocks_widen_a_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: list[str], kind: str, values: list[Any]
) -> None:
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 6)
    table = read_text(tmp_path, "a\n" + "".join(blocks), null_values=("NA",))
    assert types(table) == {"a": kind}
    assert table["a"].to_pylist() == values


# -- CSV: refusals


def test_a_ragged_row_is_named_by_its_line(tmp_path: Path) -> None:
    short = refusal(tmp_path, 'a,b\n"x\ny",2\n3\n4,5\n')
    assert "the row has 1 values, the header has 2 columns" in short
    assert "rows.csv:4" in short
    assert "rows.csv:2" in refusal(tmp_path, "a,b\n1,2,3\n")


def test_a_ragged_row_in_a_later_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 64)
    assert "rows.csv:502" in refusal(tmp_path, "a,b\n" + "1,2\n" * 500 + "3\n")


def test_a_column_of_mixed_types_is_named_with_the_value(tmp_path: Path) -> None:
    text = refusal(tmp_path, "id,fare\n1,2.5\n2,3\n3,free\n")
    assert "column 'fare' has mixed types: most of its values are float, but there is 'free'" in text
    assert "rows.csv:4" in text
    assert "column_types={'fare': 'string'}" in text
    assert read_text(tmp_path, "s\n1\nb\nc\n")["s"].to_pylist() == ["1", "b", "c"]


def test_a_value_of_another_type_in_a_later_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 64)
    text = refusal(tmp_path, "a,b\n" + "1,2\n" * 500 + "3,many\n")
    assert "column 'b' has 'many', which is not int: its other values are int" in text
    assert "rows.csv:502" in text


def test_a_value_that_is_not_of_the_declared_type(tmp_path: Path) -> None:
    text = refusal(tmp_path, "a\nx\ny\n", column_types={"a": "int"})
    assert "'x', which is not int as declared in column_types" in text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "the file is empty"),
        ("\n\n", "no header"),
        ("a,b\n", "not one row"),
        ("a,b", "not one row"),
        ("a,a\n1,2\n", "column 'a' twice"),
        ("a,\n1,2\n", "column 2 of the header has no name"),
        ('a,b\n1,"x\n2,3\n', "double quote is never closed"),
    ],
)
def test_unusable_files(tmp_path: Path, content: str, says: str) -> None:
    assert says in refusal(tmp_path, content)


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    for content in (b"a,b\n1,\xff\n", b"\xff\xfe,b\n1,2\n"):
        (tmp_path / "rows.csv").write_bytes(content)
        with pytest.raises(DataError, match="UTF-8"):
            read(tmp_path, "rows.csv")


def test_a_row_larger_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 64)
    text = "a\n" + "x\n" * 50 + '"' + "y" * 500 + '"\nz\n'
    assert read_text(tmp_path, text)["a"].to_pylist() == ["x"] * 50 + ["y" * 500, "z"]
    monkeypatch.setattr(csv_source, "LONGEST_ROW", 64)
    assert "longer than" in refusal(tmp_path, "a\n" + "x\n" * 50 + '"' + "y" * 500 + '"\n')


def test_a_file_that_changed_since_it_was_resolved(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    resolved = resolve_files("rows.csv", base=tmp_path)
    (tmp_path / "rows.csv").write_text("a\n1\n2\n")
    with pytest.raises(DataError, match="changed while it was used"):
        open_source(resolved, "auto", {}, ("",))
    (tmp_path / "rows.csv").unlink()
    with pytest.raises(StorageError, match="cannot read"):
        open_source(resolved, "auto", {}, ("",))


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_files_must_have_the_same_columns(tmp_path: Path, format: str) -> None:
    for name, columns in (("1", {"a": [1], "b": [2]}), ("2", {"b": [3], "c": [4]})):
        write(tmp_path / f"{name}.{format}", pa.table(columns))
    with pytest.raises(DataError) as caught:
        read(tmp_path, f"*.{format}")
    assert "lacks 'a' and adds 'c'" in str(caught.value)
    assert f"2.{format}" in caught.value.where


def write(path: Path, table: pa.Table, **options: Any) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path, **options)
        return
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([table.column_names, *zip(*table.to_pydict().values(), strict=True)])


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_columns_may_come_in_another_order_and_an_empty_file_beside_a_full_one(
    tmp_path: Path, format: str
) -> None:
    write(tmp_path / f"1.{format}", pa.table({"a": [1], "b": ["x"]}))
    write(tmp_path / f"2.{format}", pa.table({"b": ["y"], "a": [2]}))
    write(tmp_path / f"3.{format}", pa.table({"a": [1], "b": ["x"]}).slice(1))
    table = read(tmp_path, f"*.{format}")["all"]
    assert table.to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


# -- Parquet


def test_parquet_keeps_its_types_without_encodings(tmp_path: Path) -> None:
    table = pa.table(
        {
            "c": pa.array(["x", "y", "x"]).dictionary_encode(),
            "l": pa.array(["x", None, "z"], pa.large_string()),
            "n": pa.array([[1], [], None], pa.list_(pa.int64())),
            "f": pa.array([1, 2, 3], pa.float32()),
        }
    )
    write(tmp_path / "a.parquet", table)
    found = read(tmp_path, "a.parquet", column_types={"f": "int"})["all"]
    assert types(found) == {"c": "string", "l": "string", "n": "list<element: int64>", "f": "int64"}
    assert found.to_pydict() == table.to_pydict()


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.999])
def test_truncated_parquet_is_named(tmp_path: Path, keep: float) -> None:
    write(tmp_path / "a.parquet", pa.table({"a": range(1000)}))
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(DataError, match=r"(?s)truncated|changed") as caught:
        read(tmp_path, "a.parquet")
    assert "a.parquet" in caught.value.where


def test_parquet_with_broken_pages_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", pa.table({"a": range(100_000)}), write_page_checksum=True)
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[1000] ^= 1
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(tmp_path, "a.parquet")
    assert "a.parquet" in caught.value.where


def test_one_column_of_two_types_in_two_files(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", pa.table({"a": [None], "b": [1]}))
    write(tmp_path / "2.parquet", pa.table({"a": [1], "b": [2]}))
    write(tmp_path / "3.parquet", pa.table({"a": ["x"], "b": [3]}))
    with pytest.raises(DataError, match="column 'a' has mixed types: string in this file, int64 in"):
        read(tmp_path, "*.parquet")
    assert read(tmp_path, "*.parquet", column_types={"a": "string"})["all"]["a"].to_pylist() == [
        None,
        "1",
        "x",
    ]
    with pytest.raises(DataError, match="cannot be read as int64"):
        read(tmp_path, "*.parquet", column_types={"a": "int"})


def test_remote_files(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2]}), stream)
    memory.pipe("/bucket-of-test-ingest/rows.parquet", stream.getvalue())
    memory.pipe("/bucket-of-test-ingest/rows.csv.gz", gzip.compress(b"a\n3\n4\n"))
    try:
        assert read(tmp_path, "memory://bucket-of-test-ingest/*.parquet")["all"]["a"].to_pylist() == [1, 2]
        assert read(tmp_path, "memory://bucket-of-test-ingest/*.csv.gz")["all"]["a"].to_pylist() == [3, 4]
    finally:
        memory.rm("/bucket-of-test-ingest", recursive=True)


# -- splits


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 20), st.text("ab", max_size=3)), min_size=1, max_size=60), st.data())
def test_every_row_lands_in_one_split_by_its_hash(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]], data: st.DataObject
) -> None:
    base = tmp_path_factory.mktemp("splits")
    buckets = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    table = pa.table({"id": [r[0] for r in rows], "s": [r[1] for r in rows]})
    write(base / "a.parquet", table)
    splits = {f"split{at}": n for at, n in enumerate(buckets)}
    found = read(base, "a.parquet", splits, partition_by="id")
    everything = [tuple(row.values()) for part in found.values() for row in part.to_pylist()]
    assert Counter(everything) == Counter(rows)
    bounds = [sum(buckets[: at + 1]) for at in range(len(buckets))]
    for (name, part), upper, size in zip(found.items(), bounds, buckets, strict=True):
        positions = [int(h) % sum(buckets) for h in hash_column(part["id"])]
        assert all(upper - size <= position < upper for position in positions), name


def test_csv_and_parquet_of_the_same_rows_split_alike(tmp_path: Path) -> None:
    table = pa.table({"id": [f"u{at}" for at in range(300)], "x": range(300)})
    write(tmp_path / "a.parquet", table, row_group_size=7)
    write(tmp_path / "a.csv", table)
    by_row = [read(tmp_path, f"a.{format}", {"train": 2, "eval": 1}) for format in ("csv", "parquet")]
    assert by_row[0] == by_row[1]
    assert 70 < by_row[0]["eval"].num_rows < 130


def test_order_by_cuts_where_the_weights_say(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", pa.table({"at": [*range(50, 100), *range(50)], "x": range(100)}))
    found = read(tmp_path, "a.csv", {"train": 8, "eval": 1, "test": 1}, order_by="at")
    assert sorted(found["train"]["at"].to_pylist()) == list(range(80))
    assert sorted(found["eval"]["at"].to_pylist()) == list(range(80, 90))
    assert sorted(found["test"]["at"].to_pylist()) == list(range(90, 100))


@pytest.mark.parametrize(
    ("cut", "train"),
    [
        ("18:00", ["d1 17", "d1 19", "d2 17"]),
        ("2024-03-01T18:00", ["d1 17"]),
        ("2024-03-02", ["d1 17", "d1 19"]),
    ],
)
def test_a_cut_point_is_a_clock_time_of_the_last_day_or_a_moment(
    tmp_path: Path, cut: str, train: list[str]
) -> None:
    (tmp_path / "a.csv").write_text(
        "t,x\n2024-03-01T17:59:59,d1 17\n2024-03-01T19:00:00,d1 19\n"
        "2024-03-02T17:59:59,d2 17\n2024-03-02T18:00:00,d2 18\n"
    )
    found = read(tmp_path, "a.csv", HALVES, order_by="t", cut_points=[cut])
    assert found["train"]["x"].to_pylist() == train
    assert found["train"].num_rows + found["eval"].num_rows == 4


def test_a_numeric_cut_point(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t\n1\n2\n3\n")
    assert read(tmp_path, "a.csv", HALVES, order_by="t", cut_points=[2])["train"]["t"].to_pylist() == [1]


def test_order_by_survives_a_widened_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 6)
    (tmp_path / "a.csv").write_text("t\n1\n2\n3\n4.5\n")
    assert read(tmp_path, "a.csv", HALVES, order_by="t")["eval"]["t"].to_pylist() == [3.0, 4.5]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"splits": {}}, "splits is empty"),
        ({"splits": {"a/b": 1}}, "no name for a split"),
        ({"splits": {"a": 0}}, "at least 1"),
        ({"splits": {"a": True}}, "at least 1"),
        ({"partition_by": "idd"}, "did you mean 'id'"),
        ({"order_by": "idd"}, "did you mean 'id'"),
        ({"order_by": "s"}, "'s' is string"),
        ({"order_by": "gap"}, "1 have none"),
        ({"order_by": "id", "partition_by": "id"}, "not both"),
        ({"cut_points": [1]}, "needs order_by"),
        ({"order_by": "id", "cut_points": [1, 2], "splits": HALVES}, "need 1 cut_points"),
        ({"order_by": "id", "cut_points": [2, 1], "splits": {**HALVES, "test": 1}}, "ascend"),
        ({"order_by": "id", "cut_points": ["18:00"], "splits": HALVES}, "not a number"),
        ({"order_by": "t", "cut_points": ["25:00"], "splits": HALVES}, "neither HH:MM nor"),
        ({"column_types": {"ids": "int"}}, "did you mean 'id'"),
        ({"column_types": {"id": "integer"}}, "unknown type 'integer'"),
        ({"format": "cvs"}, "did you mean 'csv'"),
    ],
    ids=str,
)
def test_parameters_that_do_not_fit(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    (tmp_path / "a.csv").write_text("id,s,t,gap\n1,x,2024-01-01,5\n2,y,2024-01-02,\n")
    with pytest.raises(DataError) as caught:
        read(tmp_path, "a.csv", **options)
    assert says in str(caught.value)


def test_the_format_must_be_known(tmp_path: Path) -> None:
    (tmp_path / "rows.data").write_text("a\n1\n")
    with pytest.raises(DataError, match="format='csv'"):
        read(tmp_path, "rows.data")
    assert read(tmp_path, "rows.data", format="csv")["all"].num_rows == 1


def test_a_lost_row_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n2\n3\n")
    keep = ingesting.rows_of
    monkeypatch.setattr(ingesting, "rows_of", lambda table, at, split: keep(table, at, split).slice(split))
    with pytest.raises(DataError, match=r"3 rows were read, but 2 are in the written files"):
        read(tmp_path, "a.csv", HALVES, order_by="a", cut_points=[2])


def test_nothing_is_left_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\nx\n")
    source = open_source(resolve_files("a.csv", base=tmp_path), "csv", {"a": "int"}, ("",))
    with pytest.raises(DataError, match="'x'"):
        ingest(source, tmp_path / "out", HALVES)
    assert list((tmp_path / "out").iterdir()) == []
