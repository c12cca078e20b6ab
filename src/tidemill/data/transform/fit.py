"""Fitting: a traced graph and rows become a fitted graph.

Rows are read one row group at a time, and as few times as possible: once, unless an analyzing operation
depends on the result of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from tidemill.data.column_types import kind_of
from tidemill.data.transform.analyzers import ANALYZERS
from tidemill.data.transform.batch import read_frame, run_frame
from tidemill.data.transform.fitted import prepare
from tidemill.data.transform.graph import Graph, Node
from tidemill.data.transform.ops import OPS
from tidemill.errors import DataError

Reader = Callable[[Sequence[str]], Iterator[pa.Table]]
"""Gives the rows to analyze, these columns only, from the start each time it is called."""


def fit(graph: Graph, read: Reader) -> Graph:
    """`graph` with every analyzing operation fitted to the rows that `read` gives.

    DataError when there are no rows but something to analyze, or a column has another type than traced.
    """
    for nodes in _passes(graph):
        states = {node.id: ANALYZERS[OPS[node.op].analyzer]() for node in nodes}
        wanted = dict.fromkeys(node.inputs[0] for node in nodes)
        raw = [node.params["name"] for node in graph.needed(wanted) if node.op == "input"]
        prepared = prepare(graph)
        rows = 0
        for table in read(raw):
            frame = run_frame(graph, prepared, read_frame(table, graph.inputs, raw), wanted)
            rows += table.num_rows
            for node in nodes:
                states[node.id].add(frame[node.inputs[0]])
        if not rows:
            raise DataError(
                f"there are no rows to analyze, and {nodes[0].op} needs some",
                hint="check the splits in analyze_splits and the examples' row counts",
            )
        graph = replace(graph, fitted={**graph.fitted, **_finish(graph, nodes, states)})
    return graph


def input_types(schemas: Iterable[pa.Schema]) -> dict[str, str]:
    """Type of each column over all files: what has no value in one file takes its type from another.

    Int and float meet at float. A column that a graph cannot read, or whose types contradict, is `other`.
    """
    found: dict[str, str] = {}
    for schema in schemas:
        for field in schema:
            kinds = {found.get(field.name, "empty"), kind_of(field.type)}
            kinds = kinds - {"empty"} or kinds
            found[field.name] = kinds.pop() if len(kinds) == 1 else "other"
            if kinds == {"int", "float"}:
                found[field.name] = "float"
    return found


def _finish(graph: Graph, nodes: list[Node], states: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    fitted = {}
    for node in nodes:
        try:
            fitted[node.id] = states[node.id].finish(node.params)
        except DataError as error:
            names = [name for name, id in graph.outputs.items() if node in graph.needed([id])]
            raise DataError(f"{node.op}, for output {names[0]!r}: {error.message}", hint=error.hint) from None
    return fitted


def _passes(graph: Graph) -> list[list[Node]]:
    """The analyzing nodes by the pass over the data in which they can be fitted."""
    depth: dict[str, int] = {}
    passes: list[list[Node]] = []
    for node in graph.nodes:
        depth[node.id] = max((depth[id] for id in node.inputs), default=0)
        if node.op in OPS and OPS[node.op].analyzer:
            while len(passes) <= depth[node.id]:
                passes.append([])
            passes[depth[node.id]].append(node)
            depth[node.id] += 1
    return passes
