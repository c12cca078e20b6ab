"""Rows and parameters for every operation of a transform graph: what the skew guard draws from."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from hypothesis import strategies as st

from tidemill.data.transform.cast import cast_problem
from tidemill.data.transform.graph import LISTS
from tidemill.data.transform.ops import OPS
from tidemill.data.transform.values import element

INTS = st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5)
FLOATS = st.floats() | st.sampled_from([0.0, -0.0, 0.5, 1.0, 2.5, 1e-320, 49.0, math.nan])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["a", "B", "12", "-7", "1.5", "1e3", "nan", " 1", "1_0", "ΑΣ", "İ", "٣", "a b\ta", "x,y,,x", "ab12\n"]
)
MOMENTS = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999))
VECTOR = "vector"
"""Stands for a list column whose rows have one length, made of two float columns: ONNX knows no others."""
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": INTS,
    "float": FLOATS,
    "string": TEXTS,
    "bool": st.booleans(),
    "timestamp": MOMENTS,
    "empty": st.none(),
    "list[int]": st.lists(INTS, max_size=4),
    "list[float]": st.lists(FLOATS, max_size=4),
    "list[string]": st.lists(TEXTS, max_size=4),
}
FINITE = st.floats(-1e9, 1e9) | st.sampled_from([1e-200, 1e-9])
SPREAD = st.just(0.0) | st.floats(1e-9, 1e9) | st.just(1 + 1e-12)
KEYS = ["a", "12", ""]
EDGES = st.lists(FINITE, max_size=5, unique=True).map(sorted)
NONE: st.SearchStrategy[dict[str, Any]] = st.just({})

SCALE = st.tuples(FINITE, SPREAD).map(
    lambda p: {"subtract": "mean", "divide": "std", "mean": p[0], "std": p[1]}
)
BY_KEY = st.lists(st.tuples(FINITE, SPREAD), max_size=3).map(
    lambda rows: {
        "subtract": "min",
        "divide": "width",
        "keys": KEYS[: len(rows)],
        "min": [r[0] for r in rows],
        "width": [r[1] for r in rows],
    }
)
VOCABULARIES = [
    {"values": ["a", "12", ""], "oov_buckets": 0, "default": -1},
    {"values": ["B"], "oov_buckets": 3, "default": -1},
    {"values": [], "oov_buckets": 2, "default": -1},
    {"values": [], "oov_buckets": 0, "default": 7},
]
PATTERNS = ["[a-z]+", r"\d*", "a|b", "(a)?.*", "^x", "1$", r"\w+\s?"]


def _in(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    values = VALUES[kind].filter(lambda v: not isinstance(v, float) or math.isfinite(v))
    return st.lists(values, max_size=4).map(lambda given: {"values": given})


PLAIN = """
    add sub mul div mod minimum maximum pow abs sign exp log log1p sqrt floor ceil is_nan is_finite
    eq lt le gt ge and or not where is_null fill_null lower upper strip text_length
    from_unix to_unix year month day day_of_year weekday hour minute second
    list_length list_sum list_mean list_min list_max stack
"""
"""Operations without parameters."""

PARAMS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    **dict.fromkeys(PLAIN.split(), NONE),
    "round": st.integers(-15, 15).map(lambda n: {"decimals": n}),
    "clip": st.sampled_from([{"lower": -1.0, "upper": 2.0}, {"lower": None, "upper": 0.5}]),
    "is_in": NONE,  # depends on the type: see `draw_params`
    "cast": NONE,  # its types are the parameter: see `signatures`
    "substring": st.tuples(st.integers(0, 4), st.integers(0, 4)).map(
        lambda p: {"start": p[0], "length": p[1]}
    ),
    "contains": st.sampled_from([{"text": "a"}, {"text": ""}, {"text": "."}, {"text": "\x00"}]),
    "concat": st.sampled_from([{"separator": ""}, {"separator": "_x_"}]),
    "split": st.sampled_from([{"separator": ""}, {"separator": ","}, {"separator": "ab"}]),
    "regex_full_match": st.sampled_from(PATTERNS).map(lambda p: {"pattern": p}),
    "regex_extract": st.sampled_from([{"pattern": "(a)?(.)", "group": g} for g in (0, 1, 2)]),
    "regex_replace": st.sampled_from(PATTERNS).map(lambda p: {"pattern": p, "replacement": r"<\1>"}),
    "hash_bucket": st.integers(1, 1000).map(lambda n: {"buckets": n}),
    "list_get": st.integers(-3, 3).map(lambda n: {"index": n}),
    "list_join": st.sampled_from([{"separator": ""}, {"separator": ", "}]),
    "to_dense": st.integers(1, 3).map(lambda n: {"size": n}),
    "one_hot": st.integers(1, 4).map(lambda n: {"depth": n}),
    "multi_hot": st.integers(1, 4).map(lambda n: {"depth": n}),
    "ngrams": st.tuples(st.integers(1, 2), st.integers(2, 3), st.booleans()).map(
        lambda p: {"least": p[0], "most": p[1], "separator": "-", "distinct": p[2]}
    ),
    "distinct_ids": st.integers(1, 5).map(lambda n: {"size": n}),
    "tfidf": st.booleans().map(
        lambda smooth: {"size": 4, "rows": 9, "documents": {"0": 3, "2": 9}, "smooth": smooth}
    ),
    "scale": SCALE,
    "scale_by_key": BY_KEY,
    "apply_buckets": EDGES.map(lambda edges: {"boundaries": edges}),
    "apply_buckets_by_key": st.lists(EDGES, max_size=3).map(
        lambda rows: {"keys": KEYS[: len(rows)], "boundaries": rows}
    ),
    "apply_vocabulary": st.sampled_from(VOCABULARIES),
    "project": st.lists(st.floats(-10, 10), min_size=6, max_size=6).map(
        lambda v: {"mean": v[:2], "axes": [v[2:4], v[4:6]]}
    ),
}
"""By operation, all of them: what its parameters may be, learned values included."""


def draw_params(data: st.DataObject, name: str, types: tuple[str, ...]) -> dict[str, Any]:
    """Parameters for one operation on these types."""
    types = tuple("list[float]" if kind == VECTOR else kind for kind in types)
    if name == "is_in":
        return data.draw(_in(types[0]))
    params = data.draw(PARAMS[name])
    kind = element(types[0]) or types[0]
    if name == "clip" and kind == "int":
        params = {"lower": -1, "upper": 3}
    if name == "to_dense":
        params = {**params, "default": {"int": 7, "float": 0.5, "string": "-"}[kind]}
    return params


def signatures() -> list[tuple[str, tuple[str, ...], dict[str, Any]]]:
    """Every operation with every accepted combination of input types, those of list columns included."""
    found: list[tuple[str, tuple[str, ...], dict[str, Any]]] = []
    for name, op in OPS.items():
        kinds = list(op.takes[op.same[0]] if op.same else op.takes[0])
        if op.lifts:
            kinds += [kind for kind in LISTS if element(kind) in kinds]
        for kind in kinds:
            types = tuple(
                kind if i in op.same or (not op.same and i == 0) else op.takes[i][0]
                for i in range(len(op.takes))
            )
            types = types * 3 if op.many else types
            if types == ("list[float]",):
                found.append((name, (VECTOR,), {"to": "string"} if name == "cast" else {}))
            if name == "cast":
                targets = ("bool", "float", "int", "string")
                found += [(name, types, {"to": to}) for to in targets if not cast_problem(kind, to)]
            else:
                found.append((name, types, {}))
    return found
