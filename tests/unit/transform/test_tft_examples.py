"""The examples that TensorFlow Transform's reference publishes give the same here, where it says no other.

Source: the docstrings of tensorflow_transform/mappers.py (rows and results as data). Differences are told in
docs/decisions/0028: float64 in place of float32, order of equally frequent terms, keys that were not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import tidemill.data.transform as tft
from tidemill.data.transform.fit import fit, input_types

Rows = dict[str, list[Any]]


def transformed(preprocessing_fn: Callable[[tft.Inputs], Any], rows: Rows) -> dict[str, list[Any]]:
    table = pa.table(rows)
    graph = tft.trace(preprocessing_fn, input_types([table.schema]))
    fitted = tft.FittedGraph(fit(graph, lambda columns: [table.select(list(columns))]))
    return fitted.transform(table).to_pydict()


def test_tfidf() -> None:
    rows: Rows = {"x": [["I", "like", "pie", "pie", "pie"], ["yum", "yum", "pie"]]}

    def preprocessing(c: tft.Inputs) -> dict[str, Any]:
        ids = tft.compute_and_apply_vocabulary(c["x"])
        index, weight = tft.tfidf(ids, 4)
        return {"index": index, "tf_idf": weight, "ids": ids}

    out = transformed(preprocessing, rows)
    assert out["index"] == [[0, 2, 3], [0, 1]]
    assert out["ids"] == [[2, 3, 0, 0, 0], [1, 1, 0]]  # TFT numbers "I" and "like" the other way round
    assert out["tf_idf"][0] == pytest.approx([0.6, 0.28109303, 0.28109303], rel=1e-6)
    assert out["tf_idf"][1] == pytest.approx([0.33333334, 0.9369768], rel=1e-6)


def test_ngrams_and_bag_of_words() -> None:
    rows: Rows = {"t": [["One", "was", "Johnny"], ["Two", "was", "a", "rat"]]}
    out = transformed(
        lambda c: {"n": tft.ngrams(c["t"], (1, 3)), "b": tft.bag_of_words(c["t"], (1, 3))}, rows
    )
    first = ["One", "One was", "One was Johnny", "was", "was Johnny", "Johnny"]
    second = ["Two", "Two was", "Two was a", "was", "was a", "was a rat", "a", "a rat", "rat"]
    assert out["n"] == out["b"] == [first, second]
    again = transformed(lambda c: {"b": tft.bag_of_words(c["t"])}, {"t": [["Yum", "yum", "Yum"]]})
    assert again["b"] == [["Yum", "yum"]]


def test_scaling_by_key() -> None:
    rows: Rows = {"x": [1.0, 0.0, 3.0], "s": ["a", "b", "a"]}
    out = transformed(lambda c: {"scaled": tft.scale_by_min_max_per_key(c["x"], c["s"])}, rows)
    assert out["scaled"] == [0.0, 0.0, 1.0]  # TFT: 0.5 for b, the sigmoid of the only value
    rows = {"x": [1.0, 2.0, 2.0, 4.0], "s": ["a", "b", "a", "b"]}
    out = transformed(lambda c: {"z": tft.scale_to_z_score_per_key(c["x"], c["s"])}, rows)
    assert out["z"] == [-1.0, -1.0, 1.0, 1.0]


def test_scaling_and_buckets() -> None:
    rows: Rows = {"x": [3.0, 100.0, 0.0, 2.0]}
    out = transformed(
        lambda c: {
            "buckets": tft.bucketize(c["x"], 4),
            "given": tft.apply_buckets(c["x"], [1.0, 3.0]),
            "unit": tft.scale_to_0_1(c["x"]),
            "wide": tft.scale_by_min_max(c["x"], -1.0, 1.0),
        },
        rows,
    )
    assert out["given"] == [2, 2, 0, 1]
    assert out["buckets"] == [2, 3, 0, 1]
    assert out["unit"] == [0.03, 1.0, 0.0, 0.02]
    assert out["wide"] == pytest.approx([-0.94, 1.0, -1.0, -0.96])
