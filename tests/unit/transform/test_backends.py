"""The skew guard: for every operation, polars over batches, numpy over rows and ONNX give the same values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import onnxruntime
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transform_strategies import PARAMS, VALUES, VECTOR, draw_params, signatures

from tidemill.data.transform import FittedGraph
from tidemill.data.transform.fitted import arrow_type
from tidemill.data.transform.graph import LISTS, Analysis, Graph, Node
from tidemill.data.transform.onnx_ops import OPERATORS
from tidemill.data.transform.ops import OPS
from tidemill.errors import DataError

ONNX_INEXACT = {"exp", "log", "log1p", "pow", "list_sum", "list_mean", "project", "sqrt"}
"""Where ONNX Runtime may round or add differently: held to 1e-9 of the value, as the export's page says.
numpy and polars agree to the bit, everywhere."""


ONNX_REFUSES = {
    *((name, ("string", "string"), "") for name in ("lt", "le", "gt", "ge")),
    *(("cast", *types) for types in [(("float",), "string"), (("string",), "int"), (("string",), "float")]),
    *(("cast", (VECTOR,), to) for to in ("int", "string")),
    ("apply_buckets", (VECTOR,), ""),
}
"""Operations that ONNX can say, on types for which it cannot; where it is asked, it names them."""


def test_every_operation_is_drawn_and_has_an_answer_to_onnx() -> None:
    """An operation that is added without these fails here."""
    assert set(PARAMS) == set(OPS)
    assert set(OPERATORS) == set(OPS)
    drawn = {name for name, _, _ in signatures()}
    assert drawn == set(OPS)


def graph_of(
    name: str, types: Sequence[str], params: dict[str, Any], constants: Sequence[Any]
) -> FittedGraph:
    """A graph of this one operation; `constants[i]`, where not None, replaces input i."""
    nodes = []
    for i, kind in enumerate(types):
        if kind == VECTOR:
            nodes += [Node(f"f{n}", "input", (), {"name": f"c{n}"}, "float") for n in (0, 1)]
            nodes.append(Node("i0", "stack", ("f0", "f1"), {}, "list[float]"))
        elif constants[i] is None:
            nodes.append(Node(f"i{i}", "input", (), {"name": f"c{i}"}, kind))
        else:
            nodes.append(Node(f"i{i}", "constant", (), {"value": constants[i]}, kind))
    ids = tuple(node.id for node in nodes if node.id.startswith("i"))
    op, kinds = OPS[name], ["list[float]" if kind == VECTOR else kind for kind in types]
    result = Node("out", name, ids, params, op.result(params, kinds), "a0" if op.learns else "")
    inputs = {node.params["name"]: node.type for node in nodes if node.op == "input"}
    analyses = (Analysis("a0", "any", ids[:1], {}),) if op.learns else ()
    return FittedGraph(Graph(inputs, (*nodes, result), {"out": "out"}, analyses, {"a0": {}}))


def same(a: Any, b: Any, exact: bool) -> bool:
    """Equal values: null with null, NaN with NaN, both zeros alike; floats within 1e-9 unless exact."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y, exact) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        if exact or math.isinf(a) or math.isinf(b):
            return a == b
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=5e-324)
    return type(a) is type(b) and bool(a == b)


@pytest.mark.parametrize(
    ("name", "types", "fixed"),
    [pytest.param(*item, id="-".join([item[0], *item[1], *item[2].values()])) for item in signatures()],
)
def test_backends_agree(name: str, types: tuple[str, ...], fixed: dict[str, Any]) -> None:
    exported: list[bool] = []
    check = check_of(name, types, fixed, exported)
    check()
    said = not isinstance(OPERATORS[name], str) and not any(kind in LISTS for kind in types)
    # whether a vocabulary can be said depends on the parameters drawn
    assert name == "apply_vocabulary" or any(exported) == (
        said and (name, types, fixed.get("to", "")) not in ONNX_REFUSES
    )


def check_of(
    name: str, types: tuple[str, ...], fixed: dict[str, Any], exported: list[bool]
) -> Callable[[], None]:
    @settings(max_examples=12, deadline=None, database=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        params = {**draw_params(data, name, types), **fixed}
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
        table = pa.table({n: pa.array(v, arrow_type(graph.graph.inputs[n])) for n, v in columns.items()})
        batch = graph.transform(table).column("out").to_pylist()
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        single = [graph.transform_rows([row])["out"][0] for row in rows]
        together = graph.transform_rows(rows)["out"]
        assert len(batch) == len(single) == len(together)
        for got, want, beside, row in zip(batch, single, together, rows, strict=True):
            assert same(got, want, True), (got, want, row, params, constants)
            assert same(beside, want, True), (beside, want, row, params, constants)
        found = by_onnx(graph, rows)
        exported.append(found is not None)
        if found is not None:
            for got, want, row in zip(found, single, rows, strict=True):
                assert same(got, want, name not in ONNX_INEXACT), ("onnx", got, want, row, params, constants)

    return check


def by_onnx(graph: FittedGraph, rows: list[dict[str, Any]]) -> list[Any] | None:
    """The output by ONNX Runtime; None where the export says that it cannot."""
    try:
        exported = graph.to_onnx()
    except DataError as error:
        if "ONNX cannot say all" in error.message:
            return None
        raise
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(exported.to_bytes(), options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    found = dict(zip(names, session.run(None, exported.feeds(rows)), strict=True))
    items = found["out"].tolist()
    if exported.outputs["out"] == "timestamp":
        import datetime as dt

        items = [dt.datetime(1970, 1, 1) + item * dt.timedelta(microseconds=1) for item in items]
    valid = found["out.valid"].tolist() if exported.nullable else [True] * len(items)
    return [item if ok else None for item, ok in zip(items, valid, strict=True)]
