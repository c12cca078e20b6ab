"""The skew guard: for every operation, polars over batches and numpy over rows give the same values."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data.transform import FittedGraph
from tidemill.data.transform.graph import Graph, Node
from tidemill.data.transform.ops import OPS, cast_problem

INTS = st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5)
FLOATS = st.floats() | st.sampled_from([0.0, -0.0, 0.5, 1.0, 2.5, 1e-320, 49.0, math.nan])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["a", "B", "12", "-7", "1.5", "1e3", "nan", " 1", "1_0", "ΑΣ", "İ", "٣"]
)
MOMENTS = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": INTS,
    "float": FLOATS,
    "string": TEXTS,
    "bool": st.booleans(),
    "timestamp": MOMENTS,
    "empty": st.none(),
}
ARROW = {
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "empty": pa.null(),
}
FINITE = st.floats(-1e9, 1e9)
PARAMS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "clip": st.sampled_from([{"lower": -1.0, "upper": 2.0}, {"lower": None, "upper": 0.5}]),
    "concat": st.sampled_from([{"separator": ""}, {"separator": "_x_"}]),
    "hash_bucket": st.integers(1, 1000).map(lambda n: {"buckets": n}),
    "scale_to_z_score": st.tuples(FINITE, st.just(0.0) | st.floats(1e-9, 1e9)).map(
        lambda p: {"center": p[0], "width": p[1]}
    ),
    "scale_to_0_1": st.tuples(FINITE, st.just(0.0) | st.floats(1e-9, 1e9)).map(
        lambda p: {"center": p[0], "width": p[1]}
    ),
    "bucketize": st.sampled_from([{"boundaries": []}, {"boundaries": [0.0, 0.5, 2.5]}]),
    "apply_buckets": st.lists(FINITE, min_size=1, max_size=5, unique=True).map(
        lambda edges: {"boundaries": sorted(edges)}
    ),
    "vocabulary": st.sampled_from(
        [
            {"values": ["a", "12", ""], "oov_buckets": 0, "default": -1},
            {"values": ["B"], "oov_buckets": 3, "default": -1},
            {"values": [], "oov_buckets": 2, "default": -1},
        ]
    ),
}
INEXACT = {"log1p"}
"""Where the two libraries may round differently; held to 4 units in the last place."""


def signatures() -> list[Any]:
    """Every operation with every accepted combination of input types."""
    found: list[tuple[str, tuple[str, ...], dict[str, Any]]] = []
    for name, op in OPS.items():
        kinds = op.takes[op.same[0]] if op.same else op.takes[0]
        for kind in kinds:
            types = tuple(
                kind if i in op.same or not op.same else op.takes[i][0] for i in range(len(op.takes))
            )
            types = types * 3 if op.many else types
            if name == "cast":
                targets = {"int", "float", "string", "bool"}
                found += [(name, types, {"to": to}) for to in sorted(targets) if not cast_problem(kind, to)]
            else:
                found.append((name, types, {}))
    return [pytest.param(*item, id="-".join([item[0], *item[1], *item[2].values()])) for item in found]


def graph_of(
    name: str, types: Sequence[str], params: dict[str, Any], constants: Sequence[Any]
) -> FittedGraph:
    """A graph of this one operation; `constants[i]`, where not None, replaces input i."""
    nodes = []
    for i, kind in enumerate(types):
        if constants[i] is None:
            nodes.append(Node(f"i{i}", "input", (), {"name": f"c{i}"}, kind))
        else:
            nodes.append(Node(f"i{i}", "constant", (), {"value": constants[i]}, kind))
    ids = tuple(node.id for node in nodes)
    result = Node("out", name, ids, params, OPS[name].result(params, list(types)))
    inputs = {node.params["name"]: node.type for node in nodes if node.op == "input"}
    return FittedGraph(Graph(inputs, (*nodes, result), {"out": "out"}, {"out": {}}))


def same(a: Any, b: Any, exact: bool) -> bool:
    """Equal values: null with null, NaN with NaN, both zeros alike; floats within 4 ulp unless exact."""
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        if exact or math.isinf(a) or math.isinf(b):
            return a == b
        return abs(a - b) <= 4 * max(math.ulp(a), math.ulp(b))
    return type(a) is type(b) and bool(a == b)


@pytest.mark.parametrize(("name", "types", "fixed"), signatures())
def test_polars_equals_numpy(name: str, types: tuple[str, ...], fixed: dict[str, Any]) -> None:
    check = check_of(name, types, fixed)
    check()


def check_of(name: str, types: tuple[str, ...], fixed: dict[str, Any]) -> Callable[[], None]:
    @settings(max_examples=25, deadline=None, database=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        params = {**data.draw(PARAMS.get(name, st.just({}))), **fixed}
        if name == "clip" and types == ("int",):
            params = {"lower": -1, "upper": 3}
        constants: list[Any] = [None] * len(types)
        if len(types) == 2 and data.draw(st.booleans()):
            finite = VALUES[types[1]].filter(lambda v: not isinstance(v, float) or math.isfinite(v))
            constants[1] = data.draw(finite) if types[1] != "timestamp" else None
        graph = graph_of(name, types, params, constants)
        size = data.draw(st.integers(0, 6))
        columns = {
            name: data.draw(st.lists(st.none() | VALUES[kind], min_size=size, max_size=size))
            for name, kind in graph.graph.inputs.items()
        }
        table = pa.table({n: pa.array(v, ARROW[graph.graph.inputs[n]]) for n, v in columns.items()})
        batch = graph.transform(table).column("out").to_pylist()
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        single = [graph.transform_rows([row])["out"][0] for row in rows]
        assert graph.transform_rows(rows)["out"] == single or any(isinstance(v, float) for v in single)
        assert len(batch) == len(single)
        for got, want, row in zip(batch, single, rows, strict=True):
            assert same(got, want, name not in INEXACT), (got, want, row, params, constants)

    return check
