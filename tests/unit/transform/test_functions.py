"""What users call: each function gives what its docstring says, on rows that can be checked by eye."""

from __future__ import annotations

import datetime as dt
import inspect
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import tidemill.data.transform as tft
from tidemill.data.transform.fit import fit, input_types
from tidemill.errors import DataError

MOMENTS = [dt.datetime(2024, 2, 29, 13, 5, 59), dt.datetime(1969, 12, 31, 23, 59, 59), None]
ROWS: dict[str, list[Any]] = {
    "x": [1.0, -4.0, None],
    "n": [7, -7, None],
    "t": [" Ab ", "b,,a", None],
    "b": [True, False, None],
    "m": MOMENTS,
    "l": [[3.0, 1.0], [], None],
    "i": [[0, 1, 1], [2], None],
    "w": [["a", "b", "a"], [], None],
    "k": ["p", "p", "q"],
}
E = math.e
CASES: dict[str, tuple[Callable[[tft.Inputs], Any], list[Any]]] = {
    "apply_buckets": (lambda c: tft.apply_buckets(c["x"], [-4, 0]), [2, 1, None]),
    "apply_vocabulary": (lambda c: tft.apply_vocabulary(c["k"], tft.vocabulary(c["w"])), [-1, -1, -1]),
    "bag_of_words": (
        lambda c: tft.bag_of_words(c["w"], (1, 2)),
        [["a", "a b", "b", "b a"], [], None],
    ),
    "bucketize": (lambda c: tft.bucketize(c["x"], 2), [1, 0, None]),
    "bucketize_per_key": (lambda c: tft.bucketize_per_key(c["x"], c["k"], 2), [1, 0, None]),
    "cast": (lambda c: tft.cast(c["x"], "int"), [1, -4, None]),
    "ceil": (lambda c: tft.ceil(c["x"] / 3), [1.0, -1.0, None]),
    "clip": (lambda c: tft.clip(c["n"], 0), [7, 0, None]),
    "compute_and_apply_vocabulary": (
        lambda c: tft.compute_and_apply_vocabulary(c["w"], num_oov_buckets=1),
        [[0, 1, 0], [], None],
    ),
    "concat": (lambda c: tft.concat(c["k"], "!", separator="-"), ["p-!", "p-!", "q-!"]),
    "contains": (lambda c: tft.contains(c["t"], "b"), [True, True, None]),
    "count": (lambda c: tft.count(c["x"]), [2, 2, 2]),
    "cross": (lambda c: tft.cross(c["k"], c["n"], buckets=1), [0, 0, None]),
    "day": (lambda c: tft.day(c["m"]), [29, 31, None]),
    "day_of_year": (lambda c: tft.day_of_year(c["m"]), [60, 365, None]),
    "exp": (lambda c: tft.exp(c["x"]), [E, pytest.approx(E**-4), None]),
    "fill_nan": (lambda c: tft.fill_nan(tft.sqrt(c["x"]), 9), [1.0, 9.0, None]),
    "fill_null": (lambda c: tft.fill_null(c["t"], "?"), [" Ab ", "b,,a", "?"]),
    "floor": (lambda c: tft.floor(c["x"] / 3), [0.0, -2.0, None]),
    "from_unix": (lambda c: tft.from_unix(c["n"]), [dt.datetime(1970, 1, 1, 0, 0, 7), ..., None]),
    "hash_bucket": (lambda c: tft.hash_bucket(c["i"], 1), [[0, 0, 0], [0], None]),
    "hour": (lambda c: tft.hour(c["m"]), [13, 23, None]),
    "is_finite": (lambda c: tft.is_finite(c["x"] / 0), [False, False, None]),
    "is_in": (lambda c: tft.is_in(c["n"], [7, 8]), [True, False, None]),
    "is_nan": (lambda c: tft.is_nan(tft.sqrt(c["x"])), [False, True, None]),
    "is_null": (lambda c: tft.is_null(c["l"]), [False, False, True]),
    "label": (lambda c: tft.label(c["n"]), [7, -7, None]),
    "list_get": (lambda c: tft.list_get(c["l"], -1), [1.0, None, None]),
    "list_join": (lambda c: tft.list_join(c["w"], "+"), ["a+b+a", "", None]),
    "list_length": (lambda c: tft.list_length(c["l"]), [2, 0, None]),
    "list_max": (lambda c: tft.list_max(c["l"]), [3.0, None, None]),
    "list_mean": (lambda c: tft.list_mean(c["i"]), [2 / 3, 2.0, None]),
    "list_min": (lambda c: tft.list_min(c["i"]), [0, 2, None]),
    "list_sum": (lambda c: tft.list_sum(c["i"]), [2, 2, None]),
    "log": (lambda c: tft.log(c["x"] + 5), [pytest.approx(math.log(6)), 0.0, None]),
    "log1p": (lambda c: tft.log1p(c["x"]), [pytest.approx(math.log(2)), ..., None]),
    "lower": (lambda c: tft.lower(c["t"]), [" ab ", "b,,a", None]),
    "max": (lambda c: tft.max(c["n"]), [7, 7, 7]),
    "maximum": (lambda c: tft.maximum(c["n"], 0), [7, 0, None]),
    "mean": (lambda c: tft.mean(c["x"]), [-1.5, -1.5, -1.5]),
    "min": (lambda c: tft.min(c["l"]), [1.0, 1.0, 1.0]),
    "minimum": (lambda c: tft.minimum(c["n"], 0), [0, -7, None]),
    "minute": (lambda c: tft.minute(c["m"]), [5, 59, None]),
    "month": (lambda c: tft.month(c["m"]), [2, 12, None]),
    "multi_hot": (lambda c: tft.multi_hot(c["i"], 2), [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]),
    "ngrams": (lambda c: tft.ngrams(c["w"], (2, 3), "_"), [["a_b", "a_b_a", "b_a"], [], None]),
    "one_hot": (lambda c: tft.one_hot(c["n"] - 6, 2), [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]),
    "pca": (
        lambda c: tft.pca(c["x"], c["n"], output_dim=1),
        [[pytest.approx(math.hypot(2.5, 7))], [pytest.approx(-math.hypot(2.5, 7))], None],
    ),
    "pow": (lambda c: tft.pow(2, c["n"]), [128.0, 2.0**-7, None]),
    "regex_extract": (lambda c: tft.regex_extract(c["t"], "([a-z])(,*)", 1), ["b", "b", None]),
    "regex_full_match": (lambda c: tft.regex_full_match(c["t"], r"[a-z,]+$"), [False, True, None]),
    "regex_replace": (lambda c: tft.regex_replace(c["t"], ",+", r"\0"), [" Ab ", r"b\0a", None]),
    "round": (lambda c: tft.round(c["x"] / 8, 1), [0.1, -0.5, None]),
    "scale_by_min_max": (lambda c: tft.scale_by_min_max(c["x"], -1, 1), [1.0, -1.0, None]),
    "scale_by_min_max_per_key": (
        lambda c: tft.scale_by_min_max_per_key(c["x"], c["k"], -1, 1),
        [1.0, -1.0, None],
    ),
    "scale_to_0_1": (lambda c: tft.scale_to_0_1(c["l"]), [[1.0, 0.0], [], None]),
    "scale_to_0_1_per_key": (lambda c: tft.scale_to_0_1_per_key(c["x"], c["k"]), [1.0, 0.0, None]),
    "scale_to_z_score": (lambda c: tft.scale_to_z_score(c["x"]), [1.0, -1.0, None]),
    "scale_to_z_score_per_key": (lambda c: tft.scale_to_z_score_per_key(c["x"], c["k"]), [1.0, -1.0, None]),
    "second": (lambda c: tft.second(c["m"]), [59, 59, None]),
    "sign": (lambda c: tft.sign(c["n"]), [1, -1, None]),
    "size": (lambda c: tft.size(c["x"]), [3, 3, 3]),
    "split": (lambda c: tft.split(c["t"], ","), [[" Ab "], ["b", "a"], None]),
    "sqrt": (lambda c: tft.sqrt(c["x"]), [1.0, ..., None]),
    "stack": (lambda c: tft.stack(c["x"], c["n"]), [[1.0, 7.0], [-4.0, -7.0], None]),
    "std": (lambda c: tft.std(c["x"]), [2.5, 2.5, 2.5]),
    "strip": (lambda c: tft.strip(c["t"]), ["Ab", "b,,a", None]),
    "substring": (lambda c: tft.substring(c["t"], 1, 2), ["Ab", ",,", None]),
    "sum": (lambda c: tft.sum(c["i"]), [4, 4, 4]),
    "text_length": (lambda c: tft.text_length(c["t"]), [4, 4, None]),
    "to_dense": (lambda c: tft.to_dense(c["i"], 2, -1), [[0, 1], [2, -1], [-1, -1]]),
    "to_unix": (lambda c: tft.to_unix(c["m"]), [1709211959, -1, None]),
    "upper": (lambda c: tft.upper(c["w"]), [["A", "B", "A"], [], None]),
    "var": (lambda c: tft.var(c["x"]), [6.25, 6.25, 6.25]),
    "weekday": (lambda c: tft.weekday(c["m"]), [4, 3, None]),
    "where": (lambda c: tft.where(c["b"], c["n"], 0), [7, 0, 0]),
    "year": (lambda c: tft.year(c["m"]), [2024, 1969, None]),
}
"""By function: a use of it, and what it gives for ROWS; ... stands for one that is looked at elsewhere."""
LEARNED = {"covariance", "histogram", "quantiles", "tfidf", "vocabulary", "trace"}
"""Tested below."""


def fitted(preprocessing_fn: Callable[..., Any], rows: dict[str, list[Any]] = ROWS) -> tft.FittedGraph:
    table = pa.table(rows)
    graph = tft.trace(preprocessing_fn, input_types([table.schema]))
    return tft.FittedGraph(fit(graph, lambda columns: [table.select(list(columns))]))


def test_every_function_is_here() -> None:
    public = {name for name in tft.__all__ if inspect.isfunction(getattr(tft, name))}
    assert public == set(CASES) | LEARNED


def test_the_page_for_users_names_every_function() -> None:
    page = (Path(__file__).parents[3] / "docs" / "transform.md").read_text(encoding="utf-8")
    public = {name for name in tft.__all__ if inspect.isfunction(getattr(tft, name))}
    assert {name for name in public if f"`{name}`" not in page} == {"trace"}
    named = set(re.findall(r"`([a-z_0-9]+)`", page.partition("## Labels")[0]))
    assert named <= public | {"abs", "preprocessing_fn"}


def test_the_example_of_the_page_runs() -> None:
    page = (Path(__file__).parents[3] / "docs" / "transform.md").read_text(encoding="utf-8")
    scope: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], scope)
    rows = {"fare": [5.0, 9.5], "company": ["a", "a"], "pickup": ["x", "y"], "dropoff": ["y", None]}
    graph = fitted(scope["preprocessing_fn"], {**rows, "started": [0, 1], "tips": [2.0, 0.0]})
    assert graph.transform(pa.table({**rows, "started": [0, 1], "tips": [2.0, 0.0]})).num_columns == 7
    found = graph.transform_row(
        {"fare": 12.5, "company": None, "pickup": "z", "dropoff": "x", "started": 7200}
    )
    assert set(found) == set(graph.features) == set(graph.output_types) - {"tipped"}
    assert found["hour"].tolist() == [2]
    assert np.isnan(found["fare_of_company"][0])


@pytest.mark.parametrize("name", CASES)
def test_it_gives_what_it_says(name: str) -> None:
    use, expected = CASES[name]
    graph = fitted(lambda inputs: {"out": use(inputs)})
    table = pa.table(ROWS)
    batch = graph.transform(table).column("out").to_pylist()
    rows = graph.transform_rows(table.to_pylist())["out"]
    for found, wanted in zip(batch, expected, strict=True):
        assert wanted is ... or found == wanted, (batch, expected)
    assert str(rows) == str(batch)


def test_operators_of_columns() -> None:
    graph = fitted(
        lambda c: {
            "mod": c["n"] % 4,
            "by": 10 % c["n"],
            "power": c["x"] ** 2,
            "of": 2 ** c["x"],
            "not": ~(c["x"] > 0) | (c["n"] != 7),
        }
    )
    out = graph.transform(pa.table(ROWS)).to_pydict()
    assert out["mod"] == [3, 1, None]
    assert out["by"] == [3, -4, None]
    assert out["power"] == [1.0, 16.0, None]
    assert out["of"] == [2.0, 1 / 16, None]
    assert out["not"] == [False, True, None]


def test_a_vocabulary_can_be_shared() -> None:
    def preprocessing(c: tft.Inputs) -> dict[str, Any]:
        terms = tft.vocabulary(c["k"], c["w"], store_frequency=True)
        return {
            "k": tft.apply_vocabulary(c["k"], terms),
            "w": tft.apply_vocabulary(c["w"], terms, num_oov_buckets=2),
            "terms": terms,
        }

    graph = fitted(preprocessing)
    assert graph.learned("terms") == {"values": ["a", "p", "b", "q"], "counts": [2, 2, 1, 1]}
    assert graph.transform(pa.table(ROWS)).to_pydict() == {"k": [1, 1, 3], "w": [[0, 2, 0], [], None]}
    assert graph.vocabulary("k") == graph.vocabulary("w") == ["a", "p", "b", "q"]
    with pytest.raises(DataError, match="no analysis 'term'") as raised:
        graph.learned("term")
    assert "'terms'" in raised.value.hint


def test_tfidf_by_its_formula() -> None:
    rows = {"ids": [[0, 0, 1], [1, 5, -1], [], None]}
    graph = fitted(lambda c: dict(zip(("ids", "weights"), tft.tfidf(c["ids"], 3), strict=True)), rows)
    out = graph.transform(pa.table(rows)).to_pydict()
    assert out["ids"] == [[0, 1], [1], [], None]
    idf = [math.log(4 / 2) + 1, math.log(4 / 3) + 1]  # three lists; one has 0, two have 1
    assert out["weights"][0] == pytest.approx([2 / 3 * idf[0], 1 / 3 * idf[1]])
    assert out["weights"][1:] == [pytest.approx([idf[1]]), [], None]


def test_histograms_and_covariance_are_learned() -> None:
    rows = {"x": [0.0, 1.0, 2.0, 10.0, None], "y": [0.0, 2.0, 4.0, math.nan, 1.0]}

    def preprocessing(c: tft.Inputs) -> dict[str, Any]:
        return {
            "x": c["x"],
            "ten": tft.histogram(c["x"], 5),
            "given": tft.histogram(c["x"], [1, 2]),
            "together": tft.covariance(c["x"], c["y"]),
            "shares": tft.quantiles(c["x"], 4),
        }

    graph = fitted(preprocessing, rows)
    assert graph.learned("ten") == {"counts": [2, 1, 0, 0, 1]}
    assert graph.learned("given") == {"counts": [1, 1, 2]}
    assert graph.learned("shares") == {"boundaries": [1.0, 2.0, 10.0], "count": 4}
    found = graph.learned("together")
    assert found["count"] == 3
    assert found["mean"] == [1.0, 2.0]
    assert np.allclose(found["covariance"], np.cov([[0, 1, 2], [0, 2, 4]], bias=True))


def test_the_label_is_not_for_serving() -> None:
    def preprocessing(c: tft.Inputs) -> dict[str, Any]:
        tip = tft.label(c["x"])
        return {
            "feature": c["n"] - tft.mean(c["x"]),  # a mean of the label is a number by then
            "target": tft.cast(tip > 0, "int"),
            "leak": tft.scale_to_z_score(c["x"]) + 1,
        }

    graph = fitted(preprocessing)
    assert graph.features == ["feature"]
    assert graph.graph.columns_for(graph.features) == ["n"]
    assert {n: v.tolist() for n, v in graph.transform_row({"n": 7}).items()} == {"feature": [8.5]}
    with pytest.raises(DataError, match="no row has the column 'x'"):
        graph.transform_row({"n": 7}, ["target"])


def test_one_row_as_arrays_for_a_model() -> None:
    graph = fitted(
        lambda c: {
            "n": c["n"],
            "t": c["t"],
            "m": c["m"],
            "vector": tft.stack(c["x"], c["n"]),
            "ragged": c["w"],
            "b": c["b"],
        }
    )
    row = {name: values[0] for name, values in ROWS.items()}
    found = graph.transform_row(row)
    assert {name: (v.shape, v.dtype.kind) for name, v in found.items()} == {
        "n": ((1,), "i"), "t": ((1,), "O"), "m": ((1,), "M"), "vector": ((1, 2), "f"),
        "ragged": ((1, 3), "O"), "b": ((1,), "b"),
    }  # fmt: skip
    missing = graph.transform_arrays([dict.fromkeys(ROWS), row])
    assert np.isnan(missing["n"][0])
    assert missing["n"][1] == 7
    assert missing["t"].tolist() == [None, " Ab "]
    assert np.isnat(missing["m"][0])
    assert missing["vector"][0] is None
    assert missing["b"].tolist()[1] == 1.0


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda c: tft.list_sum(c["x"]), "list_sum takes list"),
        (lambda c: tft.is_nan(c["l"]), "is_nan takes float"),
        (lambda c: tft.contains(c["w"], "a"), "list_join"),
        (lambda c: tft.is_in(c["n"], ["7"]), "'7' is not of the column's type int"),
        (lambda c: tft.is_in(c["x"], [math.nan]), "cannot be a constant"),
        (lambda c: tft.round(c["x"], 99), "99 decimals"),
        (lambda c: tft.substring(c["t"], -1, 2), "counts from 0"),
        (lambda c: tft.one_hot(c["n"], 10**9), "1000000000 values in each row"),
        (lambda c: tft.to_dense(c["i"], 2, 0.5), "not of the column's type int"),
        (lambda c: tft.to_dense(c["n"], 2), "takes lists"),
        (lambda c: tft.ngrams(c["w"], (0, 1)), "ngram_range"),
        (lambda c: tft.regex_extract(c["t"], "a", 1), "has 0 groups"),
        (lambda c: tft.regex_replace(c["t"], "(a", "b"), "not a regular expression"),
        (lambda c: tft.cross(c["k"], buckets=9), "two columns"),
        (lambda c: tft.vocabulary(c["x"]), "a vocabulary takes texts or ints"),
        (lambda c: tft.apply_vocabulary(c["k"], tft.quantiles(c["x"], 4)), "takes what vocabulary learned"),
        (lambda c: tft.apply_buckets(c["x"], tft.vocabulary(c["k"])), "takes what quantiles learned"),
        (lambda c: c["x"] + tft.vocabulary(c["k"]), "and <learned vocabulary> is none"),
        (lambda c: tft.pca(c["x"], output_dim=2), "1 columns have no 2 axes"),
        (lambda c: tft.tfidf(c["w"], 3)[0], "takes lists of ids"),
        (lambda c: tft.scale_by_min_max(c["x"], 1, 1), "is not below"),
        (lambda c: tft.mean(c["t"]), "an analysis of numbers"),
        (lambda c: tft.min(c["t"]), "an analysis of numbers"),
        (lambda c: tft.apply_buckets(c["x"], tft.quantiles(c["t"], 4)), "an analysis of numbers"),
        (lambda c: tft.scale_to_0_1_per_key(c["x"], c["b"]), "a key is text or int"),
    ],
)
def test_mistakes_are_told_with_their_line(use: Callable[[tft.Inputs], Any], message: str) -> None:
    with pytest.raises(DataError) as raised:
        fitted(lambda inputs: {"out": use(inputs)})
    assert message in f"{raised.value.message} {raised.value.hint}"
    assert "test_functions.py" in raised.value.where
