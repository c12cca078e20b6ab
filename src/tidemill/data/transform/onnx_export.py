"""A fitted graph as an ONNX model, for servers that have ONNX Runtime and no Python.

ONNX has no nulls, so each column is two tensors of shape (rows,): its values, and a second, false where it
is null (the value is 0, "" or false then). Inputs are called `input.NAME` and `input.NAME.valid`, outputs
`NAME` and `NAME.valid`; an output that is never null has no `.valid`. Ints, timestamps (microseconds since
1970) and floats have 64 bits; a vector has shape (rows, width). The model gives what the numpy backend gives:
exactly, but for exp, log, log1p, pow, sums of vectors and pca, which may differ by 1e-9 of the value.
Operators are those of ONNX's opset 20 and of ai.onnx.ml 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tidemill.data.transform.graph import Graph, Node
from tidemill.data.transform.onnx_build import Builder, Cannot, Col, input_names, library
from tidemill.data.transform.onnx_ops import OPERATORS
from tidemill.data.transform.ops import op_of
from tidemill.data.transform.rows import Program, fixed_value
from tidemill.data.transform.values import Array, Lists, Values, element
from tidemill.errors import DataError

if TYPE_CHECKING:
    from tidemill.data.transform.fitted import FittedGraph

WIDTHS = {"to_dense": "size", "one_hot": "depth", "multi_hot": "depth"}
"""Operations whose lists have the length that this parameter says."""


@dataclass(frozen=True)
class OnnxExport:
    """The model, and what it takes and gives."""

    model: Any
    """An `onnx.ModelProto`."""
    inputs: Mapping[str, str]
    """Type of each column to be fed; each is two tensors."""
    outputs: Mapping[str, str]
    """Type of each output column."""
    nullable: tuple[str, ...]
    """Outputs that have a `NAME.valid` beside them."""
    before: Mapping[str, str]
    """Inputs that are not raw columns: results of operations that ONNX cannot say -> why. See `feeds`."""
    _fitted: FittedGraph
    _fed: Mapping[str, str]

    def to_bytes(self) -> bytes:
        """The model as bytes, the same for equal graphs."""
        data: bytes = self.model.SerializeToString(deterministic=True)
        return data

    def save(self, path: Path) -> None:
        """Write the model to a file."""
        path.write_bytes(self.to_bytes())

    def feeds(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
        """What to feed the model for raw rows: its inputs by name, those of `before` computed in numpy."""
        graph = self._fitted.graph
        ids = list(self._fed.values())
        raw = [n.params["name"] for n in graph.needed(ids) if n.op == "input"]
        columns = self._fitted.columns_of(rows, dict.fromkeys(raw))
        found = Program(graph, self._fitted.prepared, ids).run(columns, len(rows))
        fed: dict[str, Array] = {}
        for name, id in self._fed.items():
            data, valid = input_names(name)
            fed[data], fed[valid] = _tensor(found[id]), found[id].valid
        return {item.name: fed[item.name] for item in self.model.graph.input}


def export(fitted: FittedGraph, outputs: Iterable[str], partial: bool) -> OnnxExport:
    """See `FittedGraph.to_onnx`."""
    library()
    graph, names = fitted.graph, list(outputs)
    translation = _Translation(graph, fitted.prepared, partial)
    translation.begin(graph.needed([graph.outputs[name] for name in names]))
    columns: dict[str, Col] = {}
    problems: dict[str, str] = {}
    for name in names:
        try:
            columns[name] = translation.column(graph.outputs[name])
        except Cannot as cannot:
            problems[name] = f"output {name!r}: {cannot}"
    if problems:
        hint = "leave these outputs out" if partial else "partial=True leaves these before the model"
        raise DataError(
            "ONNX cannot say all of the transform graph: " + "; ".join(dict.fromkeys(problems.values())),
            hint=hint,
        )
    builder = translation.builder
    _check_names({name: bool(column.valid) for name, column in columns.items()}, translation.fed)
    for name in names:
        builder.output(name, columns[name], graph.output_types()[name])
    model = builder.model(fitted.digest)
    fed = {name: id for name, id in translation.fed.items() if builder.used.intersection(input_names(name))}
    types = {node.id: node.type for node in graph.nodes}
    return OnnxExport(
        model=model,
        inputs={name: types[id] for name, id in fed.items()},
        outputs={name: graph.output_types()[name] for name in names},
        nullable=tuple(name for name in names if columns[name].valid),
        before={name: why for name, why in translation.before.items() if name in fed},
        _fitted=fitted,
        _fed=fed,
    )


def _check_names(outputs: Mapping[str, bool], fed: Iterable[str]) -> None:
    """DataError for outputs (and whether they have a `.valid`) whose tensors would not have a name each."""
    taken = {tensor for name in fed for tensor in input_names(name)}
    for name, nullable in outputs.items():
        for tensor in [name, f"{name}.valid"] if nullable else [name]:
            if not name or tensor in taken or tensor.startswith("#"):
                raise DataError(
                    f"output {name!r} cannot be a tensor of an ONNX model: "
                    + (f"{tensor!r} is another's name" if tensor in taken else "its name is not possible"),
                    hint="call the output something else in preprocessing_fn",
                )
            taken.add(tensor)


class _Translation:
    """Nodes to columns of the model, each once."""

    def __init__(self, graph: Graph, prepared: Mapping[str, Mapping[str, Any]], partial: bool) -> None:
        self.builder = Builder()
        self.fed: dict[str, str] = {}
        self.before: dict[str, str] = {}
        self._prepared = prepared
        self._partial = partial
        self._nodes = {node.id: node for node in graph.nodes}
        self._known: dict[str, Col] = {}

    def begin(self, nodes: Iterable[Node]) -> None:
        """Take in a first column, so that constants know how many rows there are."""
        for node in nodes:
            if node.op == "input" and not element(node.type):
                self.column(node.id)
                break

    def column(self, id: str) -> Col:
        """The column of node `id`; Cannot when ONNX has no words for it, or for what it is made of."""
        if id not in self._known:
            self._known[id] = self._made(self._nodes[id])
        return self._known[id]

    def _made(self, node: Node) -> Col:
        if node.op == "input":
            return self._input(node, node.params["name"])
        if node.op in ("constant", "value"):
            return self.builder.constant(fixed_value(node, self._prepared), node.type)
        try:
            return self._operation(node)
        except Cannot as cannot:
            if not self._partial or (element(node.type) and self._width(node) is None):
                raise
            name = f"{node.op}:{node.id}"
            self.before[name] = str(cannot)
            return self._input(node, name)

    def _operation(self, node: Node) -> Col:
        inputs = [self.column(id) for id in node.inputs]
        operator = OPERATORS[node.op]
        if isinstance(operator, str):
            raise Cannot(f"{node.op} ({operator})")
        op, params = op_of(node.op), self._prepared[node.id]
        result = operator(self.builder, inputs, {**params, "type": node.type})
        if op.sees_nulls:
            return result
        valid = self.builder.all_of([column.valid for column in inputs] + [result.valid])
        return Col(result.data, valid, result.width)

    def _input(self, node: Node, name: str) -> Col:
        width = self._width(node)
        if element(node.type) and width is None:
            raise Cannot(f"{name!r} has lists of any length, and ONNX knows tensors only")
        self.fed[name] = node.id
        return self.builder.input(name, node.type, width)

    def _width(self, node: Node) -> int | None:
        params = self._prepared.get(node.id, {})
        if node.op in WIDTHS:
            return int(params[WIDTHS[node.op]])
        if node.op == "stack":
            return len(node.inputs)
        return int(params["axes"].shape[1]) if node.op == "project" else None


def _tensor(values: Values) -> Array:
    if isinstance(values.data, Lists):
        width = int(values.data.lengths[0]) if len(values) else 0
        return values.data.flat.reshape(len(values), width)
    return np.asarray(values.data)
