"""A fitted transform graph, ready to run: over Arrow tables in batch, over single rows in a server.

Both give the same results; a property test over every operation holds them to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from tidemill.data.transform.graph import Graph
from tidemill.data.transform.ops import op_of
from tidemill.data.transform.rows import run_rows
from tidemill.data.transform.values import from_python, to_python
from tidemill.errors import DataError, did_you_mean

ARROW: dict[str, pa.DataType] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "empty": pa.null(),
}
"""Type of a column -> Arrow type of the output."""


class FittedGraph:
    """What a preprocessing_fn became. Load one with `FittedGraph.load(folder)`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @classmethod
    def load(cls, folder: Path | str) -> FittedGraph:
        """Read `graph.json` of a TransformGraph's folder; DataError when missing, damaged or unfitted."""
        fitted = cls(Graph.load(Path(folder)))
        for node in fitted.graph.nodes:
            analyzes = node.op not in ("input", "constant") and op_of(node.op).analyzer
            if analyzes and node.id not in fitted.graph.fitted:
                raise DataError(f"the transform graph was never fitted: {node.op} lacks its values")
        return fitted

    @property
    def digest(self) -> str:
        """sha256 of the graph and all fitted values."""
        return self.graph.digest

    @property
    def output_types(self) -> dict[str, str]:
        """Type of each output column, in order: int, float, string, bool, timestamp."""
        return self.graph.output_types()

    @property
    def arrow_schema(self) -> pa.Schema:
        """Schema of the tables that `transform` gives when asked for all outputs."""
        return pa.schema([(name, ARROW[kind]) for name, kind in self.output_types.items()])

    def vocabulary(self, output: str) -> list[str]:
        """The terms of the vocabulary that output `output` indexes, in order; DataError if it has none."""
        id = self.graph.outputs[self.graph.select([output])[0]]
        if self.graph.node(id).op != "vocabulary":
            raise DataError(f"output {output!r} is not made by compute_and_apply_vocabulary")
        return list(self.graph.fitted[id]["values"])

    def transform(self, table: pa.Table, outputs: Iterable[str] | None = None) -> pa.Table:
        """`outputs` (all by default) of raw rows, in row order.

        Only the raw columns that these outputs need must be there: a server leaves out the label.
        """
        from tidemill.data.transform.batch import read_frame, run_frame  # servers lack polars

        names = self.graph.select(outputs)
        frame = read_frame(table, self.graph.inputs, self.graph.columns_for(names))
        ids = dict.fromkeys(self.graph.outputs[name] for name in names)
        found = run_frame(self.graph, self.prepared, frame, ids)
        arrow = found.to_arrow()
        types = self.output_types
        columns = [arrow.column(self.graph.outputs[name]).cast(ARROW[types[name]]) for name in names]
        return pa.table(dict(zip(names, columns, strict=True)))

    def transform_rows(
        self, rows: Sequence[Mapping[str, Any]], outputs: Iterable[str] | None = None
    ) -> dict[str, list[Any]]:
        """`outputs` (all by default) of a few raw rows, as lists; None for null. Needs no polars.

        A column that a row lacks is null there; DataError when no row has it.
        """
        names = self.graph.select(outputs)
        columns = {}
        for name in self.graph.columns_for(names):
            if rows and not any(name in row for row in rows):
                raise DataError(f"no row has the column {name!r}", hint=did_you_mean(name, rows[0]))
            items = [row.get(name) for row in rows]
            columns[name] = from_python(items, self.graph.inputs[name], name)
        ids = [self.graph.outputs[name] for name in names]
        found = run_rows(self.graph, self.prepared, columns, dict.fromkeys(ids))
        types = self.output_types
        return {name: to_python(found[id], types[name]) for name, id in zip(names, ids, strict=True)}

    @cached_property
    def prepared(self) -> dict[str, Mapping[str, Any]]:
        """Parameters of each node with its fitted values and lookup structures."""
        return prepare(self.graph)


def prepare(graph: Graph) -> dict[str, Mapping[str, Any]]:
    """Parameters by node id; an analyzing node that is not fitted yet is left out."""
    types = {node.id: node.type for node in graph.nodes}
    ready: dict[str, Mapping[str, Any]] = {}
    for node in graph.nodes:
        if node.op in ("input", "constant"):
            continue
        op = op_of(node.op)
        if op.analyzer and node.id not in graph.fitted:
            continue
        inputs = tuple(types[id] for id in node.inputs)
        params: Mapping[str, Any] = {**node.params, **graph.fitted.get(node.id, {}), "types": inputs}
        ready[node.id] = op.prepare(params) if op.prepare else params
    return ready
