"""The numpy backend: the graph over a few rows, as a server needs it. It knows nothing of polars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tidemill.data.transform.graph import Graph, Node
from tidemill.data.transform.ops import Op, op_of
from tidemill.data.transform.values import DTYPES, Values, all_valid, objects


def run_rows(
    graph: Graph, prepared: Mapping[str, Mapping[str, Any]], columns: Mapping[str, Values], ids: Iterable[str]
) -> dict[str, Values]:
    """The values of nodes `ids`, from raw `columns` of the types in `graph.inputs`.

    `prepared` has the parameters of each node, fitted values and lookup structures included.
    """
    wanted = list(ids)
    size = len(next(iter(columns.values()))) if columns else 0
    found: dict[str, Values] = {}
    for node in graph.needed(wanted):
        match node.op:
            case "input":
                found[node.id] = columns[node.params["name"]].settled(node.type)
            case "constant":
                found[node.id] = constant(node, size)
            case _:
                inputs = [found[id] for id in node.inputs]
                found[node.id] = call(op_of(node.op), prepared[node.id], inputs, node.type)
    return {id: found[id] for id in wanted}


def call(op: Op, params: Mapping[str, Any], inputs: list[Values], type: str) -> Values:
    """One operation over whole columns. Numeric oddities (x / 0, overflow) follow IEEE 754 silently."""
    with np.errstate(all="ignore"):
        given = inputs if op.sees_nulls else [column.data for column in inputs]
        result = op.numpy(*given, **op.arguments(params))
    if op.sees_nulls:
        decided: Values = result
        return decided.settled(type)
    valid = np.logical_and.reduce([column.valid for column in inputs])
    if isinstance(result, Values):
        return Values(result.data, result.valid & valid).settled(type)
    return Values(result, valid).settled(type)


def constant(node: Node, size: int) -> Values:
    """The node's value, `size` times."""
    value = node.params["value"]
    data = objects([value] * size) if node.type == "string" else np.full(size, value, DTYPES[node.type])
    return all_valid(data)
