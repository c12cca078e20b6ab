"""Statistics of whole splits against exact results, and at the edges."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data import parquet
from tidemill.data.analyze import analyze_split, analyze_tables
from tidemill.data.parquet import write_split
from tidemill.data.statistics import (
    FILE,
    ColumnStatistics,
    NumericSummary,
    SplitStatistics,
    Statistics,
    StringSummary,
    read_statistics,
    write_statistics,
)
from tidemill.errors import DataError


def analyze(parts: list[list[Any]], type: pa.DataType) -> ColumnStatistics:
    tables = [pa.table({"x": pa.array(part, type)}) for part in parts]
    found = analyze_tables(tables, pa.schema([("x", type)]))
    assert found.num_rows == sum(map(len, parts))
    return found.columns[0]


def numeric(column: ColumnStatistics) -> NumericSummary:
    assert column.numeric is not None
    return column.numeric


def string(column: ColumnStatistics) -> StringSummary:
    assert column.string is not None
    return column.string


def parts_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[list[Any]]]:
    return st.lists(st.lists(st.none() | values, max_size=40), min_size=1, max_size=5)


@given(parts_of(st.integers(-(2**40), 2**40)))
def test_whole_numbers(parts: list[list[int | None]]) -> None:
    column = analyze(parts, pa.int64())
    values = [v for part in parts for v in part if v is not None]
    found = numeric(column)
    assert (column.count, column.missing) == (len(values), sum(p.count(None) for p in parts))
    if not values:
        assert (found.mean, found.min, found.quantiles, found.histogram) == (None, None, (), None)
        return
    assert (found.min, found.max, found.zeros) == (min(values), max(values), values.count(0))
    assert found.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-3)
    assert found.std == pytest.approx(np.std(values), rel=1e-9, abs=1e-3)
    ranks = [max(-(-k * len(values) // 100), 1) for k in range(101)]
    assert list(found.quantiles) == [sorted(values)[rank - 1] for rank in ranks]
    assert all(isinstance(q, int) for q in found.quantiles)


@given(parts_of(st.floats(-1e6, 1e6)))
def test_the_histogram_counts_every_value_in_its_bin(parts: list[list[float | None]]) -> None:
    values = np.array([v for part in parts for v in part if v is not None])
    histogram = numeric(analyze(parts, pa.float64())).histogram
    if histogram is None:
        assert not len(values)
        return
    assert sum(histogram.counts) == len(values)
    edges = np.array(histogram.edges)
    assert (edges[0], edges[-1]) == (values.min(), values.max())
    if len(histogram.counts) > 1 and (np.diff(edges) > 0).all():
        assert list(histogram.counts) == np.histogram(values, edges)[0].tolist()


@given(parts_of(st.floats()))
def test_nan_and_infinities_are_counted_apart(parts: list[list[float | None]]) -> None:
    column = analyze(parts, pa.float64())
    found = numeric(column)
    values = np.array([v for part in parts for v in part if v is not None])
    assert column.count == len(values)
    assert (found.nan, found.infinite) == (np.isnan(values).sum(), np.isinf(values).sum())
    finite = values[np.isfinite(values)]
    if len(finite):
        assert (found.min, found.max) == (finite.min(), finite.max())
    json.dumps(
        Statistics(splits={"s": SplitStatistics(num_rows=0, columns=(column,))}).to_json(), allow_nan=False
    )


@given(parts_of(st.text(max_size=5) | st.sampled_from("abc")))
def test_texts(parts: list[list[str | None]]) -> None:
    column = analyze(parts, pa.string())
    values = [v for part in parts for v in part if v is not None]
    found = string(column)
    ranked = sorted(Counter(values).items(), key=lambda pair: (-pair[1], pair[0].encode()))
    assert found.frequencies == tuple(ranked)
    assert found.top_values == tuple(ranked[:20])
    assert (found.distinct, found.exact, found.complete) == (len(ranked), True, True)
    assert found.avg_length == pytest.approx(np.mean([len(v) for v in values]) if values else 0.0)


@given(parts_of(st.booleans()))
def test_truth_values(parts: list[list[bool | None]]) -> None:
    column = analyze(parts, pa.bool_())
    values = [v for part in parts for v in part if v is not None]
    assert column.boolean is not None
    assert (column.boolean.true, column.boolean.false) == (values.count(True), values.count(False))


def test_time_stamps_and_dates() -> None:
    moments = [datetime.datetime(2024, 3, 5, 12, 30), None, datetime.datetime(1969, 12, 31, 23, 59, 59)]
    for type in (pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("ms", "UTC")):
        found = analyze([moments[:1], moments[1:]], type).timestamp
        assert found is not None
        assert (found.min, found.max) == ("1969-12-31T23:59:59.000000", "2024-03-05T12:30:00.000000")
    days = analyze([[datetime.date(2024, 3, 5)]], pa.date32())
    assert days.timestamp is not None
    assert days.timestamp.min == "2024-03-05T00:00:00.000000"


def test_columns_of_other_types_are_only_counted() -> None:
    pairs = analyze([[{"a": 1}, None]], pa.struct([("a", pa.int64())]))
    assert (pairs.type, pairs.count, pairs.missing) == ("other", 1, 1)
    nothing = analyze([[None, None]], pa.null())
    assert (nothing.type, nothing.count, nothing.missing) == ("empty", 0, 2)


def test_extreme_numbers_give_no_infinity() -> None:
    found = numeric(analyze([[1.7e308, -1.7e308]], pa.float64()))
    assert (found.min, found.max, found.std) == (-1.7e308, 1.7e308, None)
    assert found.histogram is not None
    assert np.isfinite(found.histogram.edges).all()
    assert sum(found.histogram.counts) == 2
    big = numeric(analyze([[2**63 - 1, -(2**63)]], pa.int64()))
    assert (big.min, big.max, big.quantiles[0], big.quantiles[-1]) == (
        -(2**63),
        2**63 - 1,
        -(2**63),
        2**63 - 1,
    )
    assert numeric(analyze([[2**64 - 1]], pa.uint64())).max == 2**64 - 1


def test_unique_texts_stay_small_and_close() -> None:
    parts: list[list[Any]] = [
        [f"trip-{at:07}" for at in range(start, start + 8000)] for start in range(0, 40_000, 8000)
    ]
    found = string(analyze(parts, pa.string()))
    assert not found.exact
    assert not found.complete
    assert found.distinct == pytest.approx(40_000, rel=0.05)
    assert len(found.frequencies) <= 20


def test_many_values_beside_one_frequent_one() -> None:
    values = ["often"] * 500 + [f"rare-{at}" for at in range(2000)]
    found = string(analyze([values], pa.string()))
    assert found.frequencies[0] == ("often", 500)
    assert (found.distinct, found.exact, found.complete, len(found.frequencies)) == (2001, True, False, 20)


def test_five_hundred_columns_of_one_row(tmp_path: Path) -> None:
    table = pa.table({f"column {at}": [at] for at in range(500)})
    assert write_split(tmp_path, table.schema, [table]) == 1
    found = analyze_split(tmp_path)
    assert [c.name for c in found.columns] == table.column_names
    assert numeric(found.columns[499]).max == 499


def test_a_split_without_rows_has_columns(tmp_path: Path) -> None:
    write_split(tmp_path, pa.schema([("a", pa.int64()), ("b", pa.string())]), [])
    found = analyze_split(tmp_path)
    assert found.num_rows == 0
    assert [(c.name, c.type, c.count, c.fraction_present) for c in found.columns] == [
        ("a", "int", 0, 0.0),
        ("b", "string", 0, 0.0),
    ]


def test_row_groups_and_threads_do_not_change_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    table = pa.table({"f": random.normal(size=20_000), "s": random.integers(0, 3000, 20_000).astype(str)})
    with parquet.SplitWriter(tmp_path / "split", table.schema, group_rows=3000) as writer:
        writer.write(table)
    texts = set()
    for cpus in (1, 4):
        monkeypatch.setattr("os.cpu_count", lambda n=cpus: n)
        write_statistics(tmp_path, Statistics(splits={"train": analyze_split(tmp_path / "split")}))
        texts.add((tmp_path / FILE).read_bytes())
    assert len(texts) == 1


@settings(max_examples=40)
@given(parts_of(st.floats()), parts_of(st.text(max_size=3)))
def test_the_file_gives_back_the_values(
    tmp_path_factory: pytest.TempPathFactory, floats: list[list[Any]], texts: list[list[Any]]
) -> None:
    columns = (
        analyze(floats, pa.float64()),
        analyze(texts, pa.string()),
        analyze([[True, None]], pa.bool_()),
    )
    statistics = Statistics(splits={"träin": SplitStatistics(num_rows=7, columns=columns)})
    folder = tmp_path_factory.mktemp("statistics")
    write_statistics(folder, statistics)
    assert read_statistics(folder) == statistics


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"format": "other/1"}', '{"format": "tidemill.statistics/1"}']
)
def test_a_broken_file_is_a_data_error(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(DataError, match="statistics"):
        read_statistics(tmp_path)


def test_version_1_can_be_read(tmp_path: Path) -> None:
    numeric = {"mean": 1.5, "std": 0.5, "min": 1, "max": 2, "zeros": 0, "nan": 0, "infinite": 0,
               "quantiles": [1, 2], "histogram": {"edges": [1.0, 2.0], "counts": [2]}}  # fmt: skip
    string = {"distinct": 1, "exact": True, "avg_length": 1.0, "frequencies": [["a", 2]]}
    columns = [{"name": "n", "type": "int", "count": 2, "missing": 0, "numeric": numeric},
               {"name": "s", "type": "string", "count": 2, "missing": 0, "string": string}]  # fmt: skip
    splits = {"train": {"num_rows": 2, "columns": columns}}
    (tmp_path / FILE).write_text(json.dumps({"format": "tidemill.statistics/1", "splits": splits}))
    first, second = read_statistics(tmp_path).split("train").columns
    assert first.numeric is not None
    assert first.numeric.histogram is not None
    assert (first.numeric.distinct, first.numeric.histogram.counts) == (None, (2,))
    assert second.string is not None
    assert (second.string.top_values, second.string.max_length, second.string.lost) == ((("a", 2),), None, 0)


def test_absent_statistics_and_splits(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no statistics here"):
        read_statistics(tmp_path)
    with pytest.raises(DataError, match="did you mean 'train'"):
        Statistics(splits={"train": SplitStatistics(num_rows=0, columns=())}).split("trian")
