"""Splits on disk: row groups, footers, and broken files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.data.parquet import (
    SplitWriter,
    count_rows,
    open_parquet,
    read_schema,
    read_tables,
    row_group_fingerprints,
    select_splits,
    split_files,
    split_folder,
    write_split,
)
from tidemill.errors import DataError


@given(st.lists(st.integers(0, 25), max_size=12), st.integers(1, 10))
def test_batches_of_any_size_become_full_row_groups(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], group_rows: int
) -> None:
    folder = tmp_path_factory.mktemp("split")
    rows = pa.table({"a": pa.array(range(sum(sizes)), pa.int64())})
    start = 0
    with SplitWriter(folder, rows.schema, group_rows=group_rows) as writer:
        for size in sizes:
            writer.write(rows.slice(start, size))
            start += size
    groups = [table.num_rows for table in read_tables(folder)]
    assert groups == [group_rows] * (start // group_rows) + (
        [start % group_rows] if start % group_rows else []
    )
    assert [v for table in read_tables(folder) for v in table["a"].to_pylist()] == list(range(start))
    assert count_rows(folder) == writer.num_rows == start
    assert read_schema(folder) == rows.schema


def test_columns_are_read_in_the_order_asked_for(tmp_path: Path) -> None:
    table = pa.table({"a": [1], "b": [2], "c": [3]})
    write_split(tmp_path, table.schema, [table])
    assert [t.column_names for t in read_tables(tmp_path, ["c", "a"])] == [["c", "a"]]
    with pytest.raises(DataError, match="known: a, b, c"):
        list(read_tables(tmp_path, ["d"]))


def test_files_are_compressed_and_checked(tmp_path: Path) -> None:
    table = pa.table({"a": range(50_000)})
    write_split(tmp_path, table.schema, [table])
    (path,) = split_files(tmp_path)
    assert path.name == "part-00000.parquet"
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="not readable as Parquet") as caught:
        list(read_tables(tmp_path))
    assert str(path) in caught.value.where


def test_a_failing_writer_does_not_hide_the_cause(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), SplitWriter(tmp_path, pa.schema([("a", pa.int64())])):
        raise ZeroDivisionError


def test_missing_folders_and_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        split_files(split_folder(tmp_path, "train"))
    with pytest.raises(DataError, match="no Parquet files"):
        count_rows(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        open_parquet(tmp_path / "a.parquet")


def test_splits_are_selected_by_leaving_out() -> None:
    assert select_splits(["train", "eval"], []) == ["train", "eval"]
    assert select_splits(["train", "eval"], ["train"]) == ["eval"]
    with pytest.raises(DataError, match="did you mean 'eval'"):
        select_splits(["train", "eval"], ["evl"])
    with pytest.raises(DataError, match="no split is left"):
        select_splits(["train"], ["train"])


def test_row_groups_have_fingerprints_of_their_content(tmp_path: Path) -> None:
    def fingerprints(name: str, *tables: pa.Table) -> list[str]:
        with SplitWriter(tmp_path / name, tables[0].schema, group_rows=100) as writer:
            for table in tables:
                writer.write(table)
        with open_parquet(tmp_path / name / "part-00000.parquet") as file:
            assert file.metadata.num_rows == sum(table.num_rows for table in tables)
            return row_group_fingerprints(file)

    table = pa.table({"a": range(250), "b": [str(at) for at in range(250)]})
    first = fingerprints("one", table)
    assert len(set(first)) == 3
    assert fingerprints("two", table.slice(0, 30), table.slice(30)) == first
    longer = pa.concat_tables([table.slice(0, 200), table])
    assert fingerprints("three", longer)[:2] == first[:2]
    assert set(fingerprints("four", table.rename_columns(["a", "c"]))) & set(first) == set()
    pq.write_table(table, tmp_path / "other.parquet")
    with open_parquet(tmp_path / "other.parquet") as file:
        assert row_group_fingerprints(file) == []


def test_groups_of_very_wide_tables_are_short(tmp_path: Path) -> None:
    schema = pa.schema([(f"c{at}", pa.int8()) for at in range(500)])
    with SplitWriter(tmp_path / "wide", schema) as writer:
        writer.write(pa.table([pa.nulls(50_000, pa.int8())] * 500, schema=schema))
    with open_parquet(tmp_path / "wide" / "part-00000.parquet") as file:
        assert [file.metadata.row_group(at).num_rows for at in range(2)] == [40_000, 10_000]
