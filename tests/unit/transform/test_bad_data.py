"""Data as it comes: a right answer or a clear error, in batch and for one row alike."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tidemill.data.transform as tft
from tidemill.data.hashing import hash_column
from tidemill.data.transform import analyzers_keyed, analyzers_text
from tidemill.data.transform.analyzers import ANALYZERS
from tidemill.data.transform.fit import fit, input_types
from tidemill.data.transform.text_hash import buckets_of, text_hash
from tidemill.errors import DataError


def fitted(preprocessing_fn: Callable[..., Any], rows: dict[str, Any]) -> tft.FittedGraph:
    table = pa.table(rows)
    graph = tft.trace(preprocessing_fn, input_types([table.schema]))
    return tft.FittedGraph(fit(graph, lambda columns: [table.select(list(columns))]))


def usual(c: tft.Inputs) -> dict[str, Any]:
    return {
        "z": tft.scale_to_z_score(c["x"]),
        "u": tft.scale_to_0_1(c["x"]),
        "b": tft.bucketize(c["x"], 4),
        "v": tft.compute_and_apply_vocabulary(c["t"], num_oov_buckets=2),
        "k": tft.scale_to_z_score_per_key(c["x"], c["t"]),
        "m": c["x"] - tft.mean(c["x"]),
    }


GOOD = {"x": [1.0, 2.0, 4.0], "t": ["a", "b", "a"]}
HARD: dict[str, dict[str, Any]] = {
    "nulls everywhere": {"x": pa.array([None] * 3, pa.float64()), "t": pa.array([None] * 3, pa.string())},
    "NaN and infinities": {"x": [math.nan, math.inf, -math.inf, 1.5], "t": ["a", "b", "c", "d"]},
    "one row": {"x": [3.0], "t": ["a"]},
    "all equal": {"x": [3.0] * 5, "t": ["a"] * 5},
    "unicode": {"x": [1.0, 2.0, 3.0], "t": ["ﬀ\u0301", "\U0001f600", "\x00\n"]},
    "smallest and largest": {"x": [5e-324, 1e300, -1e300], "t": ["", " ", "  "]},
}


@pytest.mark.parametrize("name", HARD)
def test_fitted_to_hard_rows_it_runs_on_good_ones_and_the_other_way_round(name: str) -> None:
    if name == "smallest and largest":
        with pytest.raises(DataError, match="too large to scale"):
            fitted(usual, HARD[name])
    else:
        assert fitted(usual, HARD[name]).transform(pa.table(GOOD)).num_rows == 3
    good = fitted(usual, GOOD)
    table = pa.table(HARD[name])
    batch = good.transform(table)
    assert str(good.transform_rows(table.to_pylist())) == str(batch.to_pydict())
    assert batch.column("v").drop_null().to_pylist() == [
        {"a": 0, "b": 1}.get(t, 2 + text_hash(t) % 2) for t in table.column("t").drop_null().to_pylist()
    ]


def test_no_rows_to_transform() -> None:
    graph = fitted(usual, GOOD)
    empty = graph.transform(pa.table(GOOD).slice(0, 0))
    assert empty.num_rows == 0
    assert empty.schema.equals(graph.arrow_schema)
    assert graph.transform_rows([]) == {name: [] for name in graph.output_types}
    assert all(len(found) == 0 for found in graph.transform_arrays([]).values())


def test_many_columns() -> None:
    """One node each: nothing grows with the square of their number."""
    rows = {f"c{i}": [float(i), 1.0, None] for i in range(2000)}
    graph = fitted(lambda c: {name: tft.scale_to_z_score(c[name]) for name in c}, rows)
    out = graph.transform(pa.table(rows))
    assert out.num_columns == 2000
    row = graph.transform_row(dict.fromkeys(rows, 1.0))
    assert row["c7"][0] == pytest.approx(-1)
    assert len(graph.features) == 2000


NAMES = ["", "a b", "raw:x", "n0", "x.valid", "input.x", "#add.1", "*", "^.*$", "日本", "x"]


def test_columns_of_any_name() -> None:
    rows = {name: [1.0, 2.0, None] for name in NAMES}
    graph = fitted(lambda c: {name: c[name] + 1 for name in c}, rows)
    want = {name: [2.0, 3.0, None] for name in NAMES}
    assert graph.transform(pa.table(rows)).to_pydict() == want
    assert graph.transform_rows(pa.table(rows).to_pylist()) == want
    for names in (["", "x"], ["#add.1"], ["x", "x.valid"], ["input.x", "x"]):
        with pytest.raises(DataError, match="cannot be a tensor of an ONNX model"):
            graph.to_onnx(names)
    assert set(graph.to_onnx(["a b", "raw:x", "n0", "*", "日本", "x"]).outputs) >= {"日本", "x"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"x": "1", "t": "a"}, "column 'x' has the value '1', and it was float"),
        ({"x": True, "t": "a"}, "column 'x' has the value True"),
        ({"x": [1.0], "t": "a"}, "column 'x'"),
        ({"x": 1.0, "t": 5}, "column 't' has the value 5, and it was string"),
        ({"x": 1.0, "t": b"a"}, "column 't'"),
        ({"x": 1.0, "t": "\ud800"}, "column 't'"),
        ({"x": 10**400, "t": "a"}, "column 'x' has a whole number of 401 digits"),
        ({"x": 1.0}, "no row has the column 't'"),
    ],
)
def test_one_row_of_another_form(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as raised:
        fitted(usual, GOOD).transform_row(row)
    assert message in raised.value.message


def test_lists_of_another_form() -> None:
    graph = fitted(lambda c: {"n": tft.list_sum(c["l"])}, {"l": [[1, None, 2], None, []]})
    assert graph.transform(pa.table({"l": [[4, None]]})).to_pydict() == {"n": [4]}
    assert graph.transform_rows([{"l": [4, None]}, {"l": (1, 2)}, {"l": None}]) == {"n": [4, 3, None]}
    assert graph.transform_row({"l": np.array([1, 2])})["n"].tolist() == [3]
    with pytest.raises(DataError, match=r"column 'l' has the value 3, and it had lists of int"):
        graph.transform_row({"l": 3})
    with pytest.raises(DataError, match="column 'l' has the value 'a'"):
        graph.transform_row({"l": ["a"]})
    with pytest.raises(DataError, match=r"column 'l' is list\[string\]"):
        graph.transform(pa.table({"l": [["a"]]}))
    assert graph.transform(pa.table({"l": pa.array([[], None], pa.list_(pa.null()))})).num_rows == 2
    fixed = pa.array([[1, 2], [3, 4]], pa.list_(pa.int32(), 2))
    assert graph.transform(pa.table({"l": fixed})).to_pydict() == {"n": [3, 7]}


def test_dictionaries_and_small_types_are_read() -> None:
    graph = fitted(usual, {"x": pa.array([1, 2, 4], pa.float32()), "t": pa.array(["a", "b", "a"])})
    table = pa.table({"x": pa.array([1, 2], pa.int8()), "t": pa.array(["a", "q"]).dictionary_encode()})
    assert graph.transform(table).column("v").to_pylist()[0] == 0


def test_a_vocabulary_of_unique_texts_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyzers_text, "LIMIT", 1000)
    rows = {"t": [f"id {i}" for i in range(3000)] + ["often"] * 2500}
    with pytest.raises(DataError, match=r"output 'v': the vocabulary has more than 1,000 distinct") as raised:
        fitted(lambda c: {"v": tft.compute_and_apply_vocabulary(c["t"])}, rows)
    assert "top_k" in raised.value.hint
    bounded = fitted(lambda c: {"v": tft.compute_and_apply_vocabulary(c["t"], top_k=1)}, rows)
    assert bounded.vocabulary("v") == ["often"]


def test_a_bounded_vocabulary_keeps_what_is_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyzers_text, "LIMIT", 500)
    params = {"top_k": 3, "frequency_threshold": 1, "frequency": True}
    whole = ANALYZERS["vocabulary"](params)
    for part in range(40):
        state = ANALYZERS["vocabulary"](params)
        texts = [f"rare {part} {i}" for i in range(300)] + ["x"] * 90 + ["y"] * 60 + ["z"] * 30
        state.add([pl.Series(texts)])
        whole.merge(state)
        assert len(whole.plain()[3]) <= 1000
    found = whole.finish()
    assert found["values"] == ["x", "y", "z"]
    assert 3600 - found["off_by"] <= found["counts"][0] <= 3600


def test_too_many_keys_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyzers_keyed, "LIMIT", 10)
    monkeypatch.setattr(analyzers_keyed, "QUANTILES_LIMIT", 10)
    rows = {"x": list(range(20)), "k": [f"k{i}" for i in range(20)]}
    for use in (tft.scale_to_z_score_per_key, lambda x, k: tft.bucketize_per_key(x, k, 2)):
        with pytest.raises(DataError, match="more than 10 distinct values") as raised:
            fitted(lambda c, use=use: {"z": use(c["x"], c["k"])}, rows)
        assert "hash_bucket" in raised.value.hint


def test_a_sum_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(DataError, match="does not fit in 64 bits"):
        fitted(lambda c: {"s": c["n"] - tft.sum(c["n"])}, {"n": [2**62, 2**62, 5]})
    exact = fitted(lambda c: {"s": tft.sum(c["n"])}, {"n": [2**62, 2**61 + 1, -5]})
    assert exact.transform_rows([{}]) == {"s": [2**62 + 2**61 - 4]}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), max_size=5))
def test_the_hash_of_few_texts_is_that_of_many(texts: list[str]) -> None:
    frozen: Any = pa.array(texts, pa.large_string())
    assert [text_hash(text) for text in texts] == hash_column(frozen).tolist()
    many = np.array([*texts, *map(str, range(100))], dtype=object)
    assert buckets_of(many, 7).tolist() == [text_hash(text) % 7 for text in many.tolist()]


def test_a_server_loads_neither_arrow_nor_polars(tmp_path: Path) -> None:
    graph = fitted(
        lambda c: usual(c) | {"h": tft.cross(c["t"], c["t"], buckets=9), "w": tft.split(c["t"])}, GOOD
    )
    graph.graph.save(tmp_path)
    code = f"""
import sys
from tidemill.data.transform import FittedGraph
graph = FittedGraph.load({str(tmp_path)!r})
found = graph.transform_row({{"x": 1.0, "t": "new"}})
assert found["v"][0] >= 2, found
assert not {{"polars", "pyarrow", "onnx"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
