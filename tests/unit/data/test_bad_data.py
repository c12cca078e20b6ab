"""Statistics of data that nobody wants: a right answer, or an error that says what is wrong."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidemill.data.analyze import MOST_SLICES, Choices, analyze_split, analyze_tables
from tidemill.data.parquet import SplitWriter, write_split
from tidemill.data.statistics import (
    ColumnStatistics,
    SplitStatistics,
    Statistics,
    StringSummary,
    read_statistics,
    write_statistics,
)
from tidemill.errors import DataError


def analyze(values: Any, kind: pa.DataType | None = None, at_once: int = 4) -> ColumnStatistics:
    array = values if isinstance(values, pa.Array) else pa.array(values, kind)
    table = pa.table({"x": array})
    parts = [table.slice(start, at_once) for start in range(0, max(table.num_rows, 1), at_once)]
    found = analyze_tables(parts, table.schema)
    text = json.dumps(Statistics(splits={"s": found}).to_json(), allow_nan=False)
    assert Statistics.from_json(json.loads(text)).split("s") == found
    return found.columns[0]


def string(column: ColumnStatistics | None) -> StringSummary:
    assert column is not None
    assert column.string is not None
    return column.string


ANY_TYPE: dict[str, pa.DataType] = {
    "int": pa.int32(), "float": pa.float32(), "half": pa.float16(), "text": pa.string(),
    "large": pa.large_string(), "view": pa.string_view(), "bytes": pa.binary(), "fixed": pa.binary(3),
    "bool": pa.bool_(), "null": pa.null(), "day": pa.date64(), "at": pa.timestamp("ns", "Europe/Berlin"),
    "clock": pa.time64("us"), "span": pa.duration("s"), "money": pa.decimal128(9, 2),
    "list": pa.list_(pa.string()), "nested": pa.large_list(pa.list_(pa.int8())),
    "pair": pa.list_(pa.float32(), 2), "map": pa.map_(pa.string(), pa.int8()),
    "struct": pa.struct([("a", pa.int8())]), "category": pa.dictionary(pa.int8(), pa.string()),
    "codes": pa.dictionary(pa.int8(), pa.int64()),
}  # fmt: skip


@pytest.mark.parametrize("rows", [0, 1, 9])
def test_nulls_everywhere_of_every_type(tmp_path: Path, rows: int) -> None:
    table = pa.table({name: pa.nulls(rows, kind) for name, kind in ANY_TYPE.items()})
    found = analyze_tables([table.slice(0, 5), table.slice(5)], table.schema)
    assert found.num_rows == rows
    assert [(c.name, c.count, c.missing) for c in found.columns] == [(name, 0, rows) for name in ANY_TYPE]
    write_statistics(tmp_path, Statistics(splits={"train": found}))
    assert read_statistics(tmp_path).split("train") == found


def test_one_row() -> None:
    column = analyze([7])
    assert column.numeric is not None
    assert (column.numeric.mean, column.numeric.std, column.numeric.median) == (7, 0, 7)
    assert column.numeric.histogram is not None
    assert (column.numeric.histogram.edges, column.numeric.histogram.counts) == ((7, 7), (1,))


def test_nothing_but_nan_and_infinities() -> None:
    column = analyze([float("nan"), float("inf"), float("-inf"), None, float("nan"), float("inf")])
    assert (column.count, column.missing) == (5, 1)
    assert column.numeric is not None
    assert (column.numeric.nan, column.numeric.infinite) == (2, 3)
    assert (column.numeric.mean, column.numeric.min, column.numeric.quantiles) == (None, None, ())


def test_unicode_in_names_and_values(tmp_path: Path) -> None:
    names = ["ü", "a\nb", "日本", "\U0001f600", " ", "<script>", '"', "\u202e"]
    table = pa.table({name: [name, name[::-1], "e\u0301", "\x00"] for name in names})
    write_split(tmp_path / "rows", table.schema, [table])
    write_statistics(tmp_path, Statistics(splits={"ü/..": analyze_split(tmp_path / "rows")}))
    found = read_statistics(tmp_path).split("ü/..")
    assert [c.name for c in found.columns] == names
    assert dict(string(found.column("日本")).frequencies) == {"日本": 1, "本日": 1, "e\u0301": 1, "\x00": 1}
    assert string(found.column("ü")).max_length == 2


def test_ten_thousand_columns(tmp_path: Path) -> None:
    table = pa.table({f"c{at}": ["a", "b"] if at % 10 == 0 else [at, None] for at in range(10_000)})
    write_split(tmp_path / "rows", table.schema, [table])
    statistics = Statistics(splits={"train": analyze_split(tmp_path / "rows")})
    columns = statistics.split("train").columns
    assert len(columns) == 10_000
    assert columns[9_999].numeric is not None
    assert (columns[9_999].numeric.max, columns[9_999].missing) == (9_999, 1)


UNIQUE = [f"trip-{at:08}" for at in range(40_000)]


@pytest.mark.parametrize("dictionary", [False, True])
def test_unique_texts_are_not_counted_one_by_one(tmp_path: Path, dictionary: bool) -> None:
    texts = pa.array(UNIQUE)
    found = string(analyze(texts.dictionary_encode() if dictionary else texts, at_once=20_000))
    assert not found.exact
    assert found.distinct == pytest.approx(40_000, rel=0.05)
    assert found.frequencies == ()
    assert (found.min_length, found.max_length, found.avg_length) == (13, 13, 13)
    assert found.lost <= 4


def test_a_frequent_text_among_unique_ones_is_seen() -> None:
    texts = ["" if at % 12 == 0 else text for at, text in enumerate(UNIQUE)]
    found = string(analyze(texts, at_once=20_000))
    (value, rows), *rest = found.frequencies
    assert value == ""
    assert texts.count("") - found.lost <= rows <= texts.count("")
    assert rest == []
    assert found.lost <= 2


def test_texts_that_stop_being_unique() -> None:
    texts = UNIQUE[:20_000] + ["same"] * 20_000
    found = string(analyze(texts, at_once=20_000))
    assert found.frequencies[0] == ("same", 20_000)
    assert found.distinct == pytest.approx(20_001, rel=0.05)


def test_a_dictionary_that_names_a_text_twice() -> None:
    twice = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array(["a", "b", "a"]))
    found = string(analyze(twice))
    assert found.frequencies == (("a", 2), ("b", 1))


def test_dictionaries_count_as_their_values() -> None:
    codes = pa.array([5, 7, None, 5]).dictionary_encode()
    column = analyze(codes)
    assert column.type == "int"
    assert column.numeric is not None
    assert (column.numeric.max, column.numeric.distinct, column.missing) == (7, 2, 1)


def test_lists_in_lists() -> None:
    column = analyze([[[1, 2], None, []], None, [], [[3, None]]], pa.list_(pa.list_(pa.int16())))
    assert (column.type, column.count, column.missing) == ("int", 3, 1)
    outer, inner = column.valency
    assert (outer.min, outer.max, outer.avg, outer.total, outer.nulls) == (0, 3, 4 / 3, 4, 1)
    assert (inner.min, inner.max, inner.total, inner.nulls) == (0, 2, 4, 1)
    assert column.numeric is not None
    assert (column.numeric.mean, column.numeric.distinct) == (2, 3)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2)])
def test_bytes(kind: pa.DataType) -> None:
    column = analyze([b"\x00\xff", b"ab", None, b"ab"], kind)
    assert (column.type, column.count) == ("other", 3)
    assert column.bytes is not None
    assert (column.bytes.distinct, column.bytes.avg_length, column.bytes.max_length) == (2, 2, 2)


def test_decimals() -> None:
    column = analyze([decimal.Decimal("1.50"), None, decimal.Decimal("-2.50")])
    assert (column.type, column.count) == ("other", 2)
    assert column.numeric is not None
    assert (column.numeric.mean, column.numeric.min, column.numeric.distinct) == (-0.5, -2.5, None)


def test_moments_have_percentiles_and_bins() -> None:
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=at) for at in range(101)]
    found = analyze(days).timestamp
    assert found is not None
    assert found.quantiles[50] == int(datetime.datetime(2024, 2, 20, tzinfo=datetime.UTC).timestamp() * 1e6)
    assert found.histogram is not None
    assert (sum(found.histogram.counts), found.histogram.edges[0]) == (101, found.quantiles[0])


def test_half_precision_and_extension_types() -> None:
    halves = analyze(pa.array(np.array([1, 2], np.float16)))
    assert halves.numeric is not None
    assert halves.numeric.mean == 1.5
    unique = analyze(
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16, b"1" * 16], pa.binary(16)))
    )
    assert unique.bytes is not None
    assert unique.bytes.distinct == 2


def write(folder: Path, table: pa.Table, group_rows: int = 500) -> Path:
    with SplitWriter(folder, table.schema, group_rows=group_rows) as writer:
        writer.write(table)
    return folder


def part_of(found: SplitStatistics, column: str, value: str) -> SplitStatistics:
    return next(s.statistics for s in found.slices if (s.column, s.value) == (column, value))


def test_slices_are_statistics_of_their_rows(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    kinds, seats = random.choice(["a", "b", "ü"], 3000), random.integers(0, 4, 3000)
    paid = seats > 1
    table = pa.table({"kind": kinds, "seats": seats, "paid": paid, "fare": random.random(3000)})
    found = analyze_split(write(tmp_path, table), Choices(slice_by=("kind", "seats", "paid")))
    assert len(found.slices) == 3 + 4 + 2
    assert found.slices_left_out == ()
    for column, value, mask in (
        ("kind", "ü", kinds == "ü"),
        ("seats", "2", seats == 2),
        ("paid", "true", paid),
    ):
        part = part_of(found, column, value)
        assert (
            part == analyze_tables([table.filter(pa.array(mask))], table.schema)
            or part.num_rows == mask.sum()
        )
        fare = part.column("fare")
        assert fare is not None
        assert fare.numeric is not None
        assert fare.numeric.mean == pytest.approx(table["fare"].to_numpy()[mask].mean())


def test_too_many_values_for_slices_are_said(tmp_path: Path) -> None:
    values = [f"v{at:03}" for at in range(150) for _ in range(2 if at < 10 else 1)]
    table = pa.table({"kind": [*values, None], "x": range(len(values) + 1)})
    found = analyze_split(write(tmp_path, table), Choices(slice_by=("kind",)))
    assert len(found.slices) == MOST_SLICES
    assert found.slices_left_out == (("kind", 50),)
    assert found.slices[0].statistics.num_rows == 2


def test_a_sample_is_a_share_of_the_rows_and_always_the_same(tmp_path: Path) -> None:
    folder = write(tmp_path, pa.table({"x": np.arange(20_000)}), group_rows=3000)
    sample = analyze_split(folder, Choices(sample_rate=0.1))
    assert sample.num_rows == pytest.approx(2000, rel=0.1)
    assert sample == analyze_split(folder, Choices(sample_rate=0.1), backend="pool")
    x = sample.columns[0].numeric
    assert x is not None
    assert x.mean == pytest.approx(10_000, rel=0.05)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"slice_by": ("kidn",)}, "no column 'kidn'"),
        ({"slice_by": ("fare",)}, "column 'fare' is double"),
        ({"weight_column": "fair"}, "no weight column 'fair'"),
        ({"weight_column": "kind"}, "is string, not a number"),
        ({"weight_column": "fare"}, "1 values that are no weights"),
        ({"sample_rate": 0.0}, "sample_rate is 0.0"),
        ({"sample_rate": 1.5}, "sample_rate is 1.5"),
    ],
)
def test_wrong_choices_are_said(tmp_path: Path, choices: dict[str, Any], message: str) -> None:
    folder = write(tmp_path, pa.table({"kind": ["a", "b"], "fare": [1.0, -1.0]}))
    with pytest.raises(DataError, match=message):
        analyze_split(folder, Choices(**choices))
