"""Tracing, fitting and the file: what a preprocessing_fn becomes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidemill.data.transform as tft
from tidemill.data.transform.analyzers import ANALYZERS
from tidemill.data.transform.fit import fit, input_types
from tidemill.data.transform.graph import FILE, Graph
from tidemill.errors import DataError

Rows = dict[str, list[Any]]
RIDES: Rows = {
    "fare": [5.0, 7.5, None, 30.0, 12.5],
    "seconds": [300, 600, 120, None, 900],
    "company": ["Blue", "Sun", "Blue", None, "Sun"],
    "started": [1_400_269_500, 0, None, 951_782_400, -1],
}


def reader(*tables: pa.Table) -> Callable[[Sequence[str]], Iterator[pa.Table]]:
    return lambda columns: (table.select(list(columns)) for table in tables)


def fitted(preprocessing_fn: Callable[..., Any], rows: Rows = RIDES, parts: int = 2) -> tft.FittedGraph:
    table = pa.table(rows)
    step = -(-table.num_rows // parts)
    tables = [table.slice(i * step, step) for i in range(parts)]
    return tft.FittedGraph(fit(tft.trace(preprocessing_fn, input_types([table.schema])), reader(*tables)))


def test_a_preprocessing_fn_end_to_end() -> None:
    def preprocessing(inputs: tft.Inputs) -> dict[str, tft.Column]:
        when = tft.from_unix(inputs["started"])
        return {
            "fare_z": tft.scale_to_z_score(tft.fill_null(inputs["fare"], 0)),
            "company_id": tft.compute_and_apply_vocabulary(inputs["company"], num_oov_buckets=1),
            "hour": tft.hour(when),
            "per_minute": inputs["fare"] / (inputs["seconds"] / 60),
            "long": tft.cast(inputs["seconds"] >= 600, "int"),
        }

    graph = fitted(preprocessing)
    out = graph.transform(pa.table(RIDES)).to_pydict()
    fares = np.array([5.0, 7.5, 0.0, 30.0, 12.5])
    assert out["fare_z"] == pytest.approx((fares - fares.mean()) / fares.std())
    assert out["company_id"] == [0, 1, 0, None, 1]
    assert out["hour"] == [19, 0, None, 0, 23]
    assert out["per_minute"] == [1.0, 0.75, None, None, pytest.approx(12.5 / 15)]
    assert out["long"] == [0, 1, 0, None, 1]
    assert graph.output_types == {
        "fare_z": "float",
        "company_id": "int",
        "hour": "int",
        "per_minute": "float",
        "long": "int",
    }
    assert graph.transform_rows([{"company": "New", "fare": 1.0}], ["company_id"]) == {"company_id": [2]}


def test_dates_follow_the_calendar() -> None:
    graph = fitted(
        lambda inputs: {
            "weekday": tft.weekday(tft.from_unix(inputs["started"])),
            "day": tft.day(tft.from_unix(inputs["started"])),
            "month": tft.month(tft.from_unix(inputs["started"])),
        }
    )
    out = graph.transform(pa.table(RIDES)).to_pydict()
    assert out["weekday"] == [5, 4, None, 2, 3]  # Fri 2014-05-16, Thu 1970-01-01, Tue 2000-02-29, Wed
    assert out["day"] == [16, 1, None, 29, 31]
    assert out["month"] == [5, 1, None, 2, 12]


def test_the_file_round_trips_and_has_no_code(tmp_path: Path) -> None:
    graph = fitted(lambda inputs: {"b": tft.bucketize(inputs["fare"], 2), "c": tft.lower(inputs["company"])})
    graph.graph.save(tmp_path)
    again = tft.FittedGraph.load(tmp_path)
    assert again.graph == graph.graph
    assert again.digest == graph.digest
    assert again.transform(pa.table(RIDES)).equals(graph.transform(pa.table(RIDES)))
    assert set(json.loads((tmp_path / FILE).read_text())) == {
        "analyses", "fitted", "format", "inputs", "labels", "learned", "nodes", "outputs", "source",
        "version",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not a transform graph"),
        ({"version": 99}, "this tidemill reads 1"),
        ({"outputs": [["x", "n99"]]}, "output 'x' has no node"),
        ({"nodes": [{"id": "n0"}]}, "damaged"),
        ({"fitted": {}}, "never fitted"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = fitted(lambda inputs: {"b": tft.bucketize(inputs["fare"], 2)}).graph.save(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=message):
        tft.FittedGraph.load(tmp_path)


def test_a_missing_or_truncated_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        Graph.load(tmp_path)
    (tmp_path / FILE).write_text('{"format": "tidemill')
    with pytest.raises(DataError, match="not JSON"):
        Graph.load(tmp_path)


def test_an_unknown_operation_is_refused(tmp_path: Path) -> None:
    path = fitted(lambda inputs: {"c": tft.lower(inputs["company"])}).graph.save(tmp_path)
    path.write_text(path.read_text().replace('"lower"', '"lowre"'))
    with pytest.raises(DataError, match="operation 'lowre'") as raised:
        tft.FittedGraph.load(tmp_path)
    assert "'lower'" in raised.value.hint


@pytest.mark.parametrize(
    ("preprocessing", "message", "hint"),
    [
        (lambda x: {"a": x["fair"]}, "no column 'fair'", "did you mean 'fare'"),
        (lambda x: {"a": tft.log1p(x["company"])}, "log1p takes float", 'cast(column, "float")'),
        (lambda x: {"a": tft.fill_null(x["fare"], "none")}, "float and string", "cast"),
        (lambda x: {"a": tft.cast(x["fare"], "strin")}, "cast cannot make 'strin'", "did you mean 'string'"),
        (lambda x: {"a": tft.cast(x["fare"], "bool")}, "no cast from float to bool", ""),
        (lambda x: {"a": tft.lower(x["fare"])}, "lower takes string", 'cast(column, "string")'),
        (lambda x: {"a": tft.hour(x["started"])}, "hour takes timestamp", ""),
        (lambda x: {"a": 1 if x["fare"] > 2 else 0}, "no truth value", "where"),
        (lambda x: {"a": x["fare"] + "1"}, "add takes columns of one type, not float and string", ""),
        (lambda x: {"a": tft.bucketize(x["fare"], 1)}, "at least 2 buckets", ""),
        (lambda x: {"a": x["fare"] * float("nan")}, "cannot be a constant", ""),
        (lambda x: {"a": x["seconds"] + 2**63}, "64 bits", ""),
        (lambda x: {"a": tft.apply_buckets(x["fare"], [2, 1])}, "ascending", ""),
    ],
)
def test_mistakes_name_the_line(preprocessing: Callable[..., Any], message: str, hint: str) -> None:
    with pytest.raises(DataError) as raised:
        fitted(preprocessing)
    assert message in raised.value.message
    assert hint in raised.value.hint
    assert Path(__file__).name in raised.value.where


@pytest.mark.parametrize("result", [{}, None, [1], {"a": 1.5}, {"a": None}])
def test_results_that_are_not_columns_are_refused(result: Any) -> None:
    with pytest.raises(DataError, match="returned"):
        fitted(lambda inputs: result)


def test_an_analyzer_of_an_analyzer_takes_a_second_pass() -> None:
    passes = []

    def read(columns: Sequence[str]) -> Iterator[pa.Table]:
        passes.append(list(columns))
        yield pa.table({"x": [1.0, 2.0, 3.0, 10.0]}).select(list(columns))

    graph = tft.trace(
        lambda inputs: {
            "y": tft.scale_to_0_1(tft.scale_to_z_score(inputs["x"])),
            "z": tft.scale_to_0_1(inputs["x"]),
        },
        {"x": "float", "unused": "string"},
    )
    out = tft.FittedGraph(fit(graph, read)).transform(pa.table({"x": [1.0, 10.0]})).to_pydict()
    assert passes == [["x"], ["x"]]
    assert out == {"y": [0.0, 1.0], "z": [0.0, 1.0]}


def test_equal_operations_are_fitted_once() -> None:
    def preprocessing(inputs: tft.Inputs) -> dict[str, tft.Column]:
        return {name: tft.scale_to_z_score(inputs["fare"]) for name in ("a", "b")}

    assert len(fitted(preprocessing).graph.nodes) == 2


def test_a_server_needs_no_label_and_no_polars(tmp_path: Path) -> None:
    fitted(
        lambda inputs: {"x": tft.scale_to_0_1(inputs["fare"]), "label": inputs["seconds"] > 500}
    ).graph.save(tmp_path)
    code = f"""
import sys
from tidemill.data.transform import FittedGraph
graph = FittedGraph.load({str(tmp_path)!r})
assert graph.graph.columns_for(["x"]) == ["fare"]
assert graph.transform_rows([{{"fare": 17.5}}], ["x"]) == {{"x": [0.5]}}
assert "polars" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rows_of_another_form_are_refused() -> None:
    graph = fitted(lambda inputs: {"x": inputs["fare"] + 1, "n": inputs["seconds"] + 1})
    with pytest.raises(DataError, match="needs column 'fare'") as raised:
        graph.transform(pa.table({"fair": [1.0], "seconds": [1]}))
    assert "did you mean 'fair'" in raised.value.hint
    with pytest.raises(DataError, match="'fare' is string"):
        graph.transform(pa.table({"fare": ["1"], "seconds": [1]}))
    with pytest.raises(DataError, match="'seconds' is float"):
        graph.transform(pa.table({"fare": [1], "seconds": [1.5]}))
    with pytest.raises(DataError, match="value '1'"):
        graph.transform_rows([{"fare": "1"}], ["x"])
    with pytest.raises(DataError, match="no row has the column 'fare'"):
        graph.transform_rows([{"fair": 1}], ["x"])
    with pytest.raises(DataError, match="no output 'y'"):
        graph.transform_rows([{"fare": 1}], ["y"])
    whole = graph.transform(pa.table({"fare": [1, None], "seconds": [1.0, None]})).to_pydict()
    assert whole == {"x": [2.0, None], "n": [2, None]}


def test_a_column_without_values_may_be_used_but_not_filled_later() -> None:
    graph = fitted(
        lambda inputs: {
            "id": tft.compute_and_apply_vocabulary(inputs["tract"], num_oov_buckets=1),
            "z": tft.scale_to_z_score(inputs["tract"]),
            "filled": tft.fill_null(inputs["tract"], "none"),
            "missing": tft.is_null(inputs["tract"]),
        },
        {"tract": [None, None]},
    )
    out = graph.transform(pa.table({"tract": [None]})).to_pydict()
    assert out == {"id": [None], "z": [None], "filled": ["none"], "missing": [True]}
    with pytest.raises(DataError, match="had no value when the graph was fitted"):
        graph.transform(pa.table({"tract": ["x"]}))


def test_types_meet_over_files() -> None:
    first = pa.schema([("a", pa.int32()), ("b", pa.null()), ("c", pa.string()), ("d", pa.list_(pa.int8()))])
    second = pa.schema([("a", pa.float32()), ("b", pa.date32()), ("c", pa.int64())])
    assert input_types([first, second]) == {"a": "float", "b": "timestamp", "c": "other", "d": "list[int]"}
    with pytest.raises(DataError, match="contradict"):
        tft.trace(lambda inputs: {"c": inputs["c"]}, input_types([first, second]))


def test_no_rows_to_analyze_is_an_error() -> None:
    with pytest.raises(DataError, match="no rows to analyze"):
        fitted(lambda inputs: {"z": tft.scale_to_z_score(inputs["x"])}, {"x": []})


def test_vocabulary_rules() -> None:
    rows: Rows = {"t": ["b", "a", "b", "c", "a", "d", None, "", ""]}
    ranked = fitted(lambda inputs: {"v": tft.compute_and_apply_vocabulary(inputs["t"])}, rows, parts=4)
    assert ranked.vocabulary("v") == ["", "a", "b", "c", "d"]
    top = fitted(
        lambda inputs: {
            "v": tft.compute_and_apply_vocabulary(inputs["t"], top_k=2, default_value=-7),
            "w": tft.compute_and_apply_vocabulary(inputs["t"], frequency_threshold=2, num_oov_buckets=4),
        },
        rows,
    )
    assert top.vocabulary("v") == ["", "a"]
    assert top.transform(pa.table(rows)).column("v").to_pylist() == [-7, 1, -7, -7, 1, -7, None, 0, 0]
    assert all(3 <= n < 7 for n in top.transform(pa.table({"t": ["new", "c"]})).column("w").to_pylist())
    with pytest.raises(DataError, match="not made by compute_and_apply_vocabulary"):
        fitted(lambda inputs: {"x": inputs["t"]}, rows).vocabulary("x")


def test_buckets_hold_equal_shares() -> None:
    rng = np.random.default_rng(7)
    rows: Rows = {"x": rng.lognormal(size=50_000).tolist()}
    graph = fitted(lambda inputs: {"b": tft.bucketize(inputs["x"], 10)}, rows, parts=7)
    counts = np.bincount(graph.transform(pa.table(rows)).column("b").to_numpy())
    assert len(counts) == 10
    assert abs(counts - 5000).max() < 100


def test_values_too_large_to_scale_are_an_error() -> None:
    with pytest.raises(DataError, match=r"output 'z'.*too large"):
        fitted(lambda inputs: {"z": tft.scale_to_0_1(inputs["x"])}, {"x": [-1.7e308, 1.7e308]})


NUMBERS = st.lists(
    st.none() | st.floats(-1e6, 1e6) | st.sampled_from([float("nan"), float("inf")]), max_size=30
)


@settings(max_examples=60, deadline=None)
@given(NUMBERS, NUMBERS)
def test_merged_states_equal_the_whole(first: list[Any], second: list[Any]) -> None:
    import polars as pl

    kept = np.array([v for v in first + second if v is not None and np.isfinite(v)])
    results: dict[str, Any] = {}
    for name in ("moments", "range", "quantiles"):
        states: list[Any] = [ANALYZERS[name]({"buckets": 2}), ANALYZERS[name]({"buckets": 2})]
        for state, part in zip(states, (first, second), strict=True):
            state.add([pl.Series(part, dtype=pl.Float64)])
        states[0].merge(states[1])
        results[name] = states[0].finish()
    if not len(kept):
        assert results["moments"] == {"mean": 0.0, "var": 0.0, "std": 0.0, "count": 0}
        assert results["range"] == {"min": 0.0, "max": 0.0, "width": 0.0, "count": 0}
        return
    assert results["moments"]["mean"] == pytest.approx(kept.mean(), rel=1e-9, abs=1e-6)
    assert results["moments"]["std"] == pytest.approx(kept.std(), rel=1e-6, abs=1e-3)
    assert results["range"]["min"] == kept.min()
    assert results["range"]["width"] == kept.max() - kept.min()
    for edge in results["quantiles"]["boundaries"]:
        assert (kept < edge).mean() <= 0.5 <= (kept <= edge).mean()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdé"), max_size=8), max_size=4))
def test_vocabulary_counts_do_not_depend_on_batches(parts: list[list[str]]) -> None:
    import polars as pl

    params = {"frequency_threshold": 1, "top_k": None}
    whole, merged = ANALYZERS["vocabulary"](params), ANALYZERS["vocabulary"](params)
    whole.add([pl.Series([t for part in parts for t in part], dtype=pl.String)])
    for part in parts:
        state = ANALYZERS["vocabulary"](params)
        state.add([pl.Series(part, dtype=pl.String)])
        again = ANALYZERS["vocabulary"](params)
        again.restore(state.plain())
        merged.merge(again)
    assert whole.finish() == merged.finish()
