"""Statistics against DuckDB and NumPy, which share no code with them, on tables that Hypothesis makes."""

from __future__ import annotations

import math
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from tidemill.data.analyze import analyze_tables
from tidemill.data.statistics import ColumnStatistics
from tidemill.data.summaries.analyzer import StatisticsAnalyzer

COLUMNS = {
    "whole": (pa.int64(), st.integers(-(2**40), 2**40) | st.integers(0, 5)),
    "small": (pa.int8(), st.integers(-128, 127)),
    "real": (pa.float64(), st.floats(-1e9, 1e9) | st.sampled_from([0.0, -0.0, 1.5])),
    "text": (pa.string(), st.text(max_size=4) | st.sampled_from(["a", "ü", "日本"])),
    "truth": (pa.bool_(), st.booleans()),
    "days": (pa.date32(), st.dates()),
    "lists": (pa.list_(pa.float64()), st.lists(st.none() | st.floats(-100, 100), max_size=3)),
}
rows = st.fixed_dictionaries({name: st.none() | values for name, (_, values) in COLUMNS.items()})
SCHEMA = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])
tables = st.lists(st.lists(rows, max_size=12), min_size=1, max_size=4).map(
    lambda parts: [pa.Table.from_pylist(part, SCHEMA) for part in parts]
)


oracle = duckdb.connect(config={"threads": 1})


def asked(query: str, data: pa.Table) -> Any:
    oracle.register("data", data)
    return oracle.execute(query).fetchall()


def columns_of(parts: list[pa.Table]) -> dict[str, ColumnStatistics]:
    return {column.name: column for column in analyze_tables(parts, SCHEMA).columns}


@settings(max_examples=25)
@given(tables)
def test_numbers_as_duckdb_has_them(parts: list[pa.Table]) -> None:
    found, data = columns_of(parts), pa.concat_tables(parts)
    for name in ("whole", "small", "real"):
        column = found[name]
        numeric = column.numeric
        assert numeric is not None
        (theirs,) = asked(
            f"""SELECT count({name}), count(*) - count({name}), min({name}), max({name}), avg({name}),
                stddev_pop({name}), count(*) FILTER ({name} = 0), count(DISTINCT {name}),
                quantile_disc({name}, 0.5 - 1e-12), quantile_disc({name}, 0.9 - 1e-12) FROM data""",
            data,
        )
        ours = (column.count, column.missing, numeric.min, numeric.max)
        assert ours == theirs[:4]
        assert numeric.zeros == theirs[6]
        if column.count:
            assert numeric.mean == pytest.approx(theirs[4], rel=1e-9, abs=1e-6)
            assert numeric.std == pytest.approx(theirs[5], rel=1e-6, abs=1e-6)
            assert (numeric.quantiles[50], numeric.quantiles[90]) == theirs[8:]
            assert numeric.median == theirs[8]
        assert numeric.distinct == (None if name == "real" else theirs[7])


@settings(max_examples=25)
@given(tables)
def test_texts_truth_days_and_lists_as_duckdb_has_them(parts: list[pa.Table]) -> None:
    found, data = columns_of(parts), pa.concat_tables(parts)
    text, truth, days, lists = (found[name] for name in ("text", "truth", "days", "lists"))
    assert text.string is not None
    ranked = asked("SELECT text, count(*) FROM data WHERE text IS NOT NULL GROUP BY text", data)
    assert dict(text.string.frequencies) == dict(ranked)
    (theirs,) = asked("SELECT avg(length(text)), min(length(text)), max(length(text)) FROM data", data)
    assert (text.string.min_length, text.string.max_length) == theirs[1:]
    assert text.string.avg_length == pytest.approx(theirs[0] or 0.0)
    assert truth.boolean is not None
    (counts,) = asked("SELECT count(*) FILTER (truth), count(*) FILTER (NOT truth) FROM data", data)
    assert (truth.boolean.true, truth.boolean.false) == counts
    assert days.timestamp is not None
    (ends,) = asked("SELECT min(days), max(days) FROM data", data)
    assert (days.timestamp.min, days.timestamp.max) == tuple(
        None if day is None else f"{day.isoformat()}T00:00:00.000000" for day in ends
    )
    query = "SELECT min(len(lists)), max(len(lists)), avg(len(lists)), sum(len(lists)) FROM data"
    (theirs,) = asked(query, data)
    (valency,) = lists.valency or (None,)
    if valency is not None:
        assert (valency.min, valency.max, valency.total) == (theirs[0], theirs[1], theirs[3] or 0)
        assert valency.avg == pytest.approx(theirs[2] or 0.0)
    (values,) = asked("SELECT count(v), avg(v), max(v) FROM (SELECT unnest(lists) AS v FROM data)", data)
    assert lists.numeric is not None
    assert (lists.type, lists.numeric.max) == ("float", values[2])
    assert lists.numeric.mean == pytest.approx(values[1], abs=1e-9)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(0, 5)), min_size=1, max_size=60), st.integers(1, 4)
)
def test_weights_repeat_rows_as_scikit_learn_has_it(pairs: list[tuple[float, int]], parts: int) -> None:
    data = pa.table({"x": [x for x, _ in pairs], "w": [w for _, w in pairs]})
    analyzer = StatisticsAnalyzer(weight_column="w")
    state = analyzer.empty()
    for part in np.array_split(np.arange(len(pairs)), parts):
        state = analyzer.merge(state, analyzer.add(analyzer.empty(), data.take(part)))
    found = analyzer.finish(state)
    weights, values = np.array(data["w"]), np.array(data["x"])
    assert found.weight == weights.sum()
    weighted = found.columns[0].weighted
    assert weighted is not None
    assert (weighted.count, weighted.missing) == (weights.sum(), 0)
    if not weights.sum():
        assert (weighted.mean, weighted.median) == (None, None)
        return
    scaler = StandardScaler().fit(values[:, None], sample_weight=weights)
    assert weighted.mean == pytest.approx(scaler.mean_[0], rel=1e-9, abs=1e-6)
    assert weighted.std == pytest.approx(math.sqrt(scaler.var_[0]), rel=1e-5, abs=1e-3)
    repeated = np.sort(np.repeat(values, weights))
    assert weighted.median == repeated[-(-len(repeated) // 2) - 1]
    assert sum(weight for _, _, weight in weighted.histogram) == pytest.approx(weights.sum())


@settings(max_examples=25)
@given(tables)
def test_states_come_back_from_their_bytes(parts: list[pa.Table]) -> None:
    analyzer = StatisticsAnalyzer()
    state = analyzer.empty()
    for part in parts:
        partial = analyzer.from_bytes(analyzer.to_bytes(analyzer.add(analyzer.empty(), part)))
        state = analyzer.merge(state, partial)
    data = analyzer.to_bytes(state)
    assert analyzer.to_bytes(analyzer.from_bytes(data)) == data
    assert analyzer.finish(analyzer.from_bytes(data)) == analyze_tables(parts, SCHEMA)


def test_ten_bins_as_numpy_has_them_for_few_distinct_values() -> None:
    values = np.random.default_rng(5).choice(np.random.default_rng(6).normal(size=900), 50_000)
    parts = [pa.table({"x": part}) for part in np.array_split(values, 9)]
    numeric = analyze_tables(parts, parts[0].schema).columns[0].numeric
    assert numeric is not None
    assert numeric.histogram is not None
    counts, edges = np.histogram(values, 10)
    assert list(numeric.histogram.counts) == counts.tolist()
    assert list(numeric.histogram.edges) == pytest.approx(edges.tolist())
