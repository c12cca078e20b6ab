"""The numpy backend: the graph over a few rows, as a server needs it. It knows nothing of polars or Arrow.

A `Program` is the graph made ready once: one step for each node, in order, so that a row costs a few
microseconds for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidemill.data.transform.graph import Graph, Node
from tidemill.data.transform.op import Op
from tidemill.data.transform.ops import SOURCES, op_of
from tidemill.data.transform.values import DTYPES, STAND_INS, Lists, Values, all_valid, element, objects


@dataclass(frozen=True, slots=True)
class Step:
    """One node: `run` of the columns in places `inputs` goes to place `at`."""

    at: int
    inputs: tuple[int, ...]
    run: Callable[[list[Values]], Values]


class Program:
    """The nodes that some outputs need, ready to run over any number of rows."""

    def __init__(self, graph: Graph, prepared: Mapping[str, Mapping[str, Any]], ids: Iterable[str]) -> None:
        self.ids = list(ids)
        nodes = graph.needed(self.ids)
        self._place = {node.id: place for place, node in enumerate(nodes)}
        self._columns = [(self._place[n.id], n.params["name"], n.type) for n in nodes if n.op == "input"]
        self._fixed = [(self._place[n.id], n) for n in nodes if n.op in ("constant", "value")]
        self._values = {n.id: fixed_value(n, prepared) for _, n in self._fixed}
        self._one = {n.id: repeated(self._values[n.id], n.type, 1) for _, n in self._fixed}
        self._steps = [
            Step(self._place[n.id], tuple(self._place[i] for i in n.inputs), _runner(n, prepared[n.id]))
            for n in nodes
            if n.op not in SOURCES
        ]

    def run(self, columns: Mapping[str, Values], size: int) -> dict[str, Values]:
        """The values of `ids`, from raw `columns` of `size` rows of the types in `graph.inputs`."""
        found: list[Any] = [None] * len(self._place)
        for place, name, type in self._columns:
            found[place] = columns[name].settled(type)
        for place, node in self._fixed:
            one = self._one[node.id]
            found[place] = one if size == 1 else repeated(self._values[node.id], node.type, size)
        with np.errstate(all="ignore"):
            for step in self._steps:
                found[step.at] = step.run([found[i] for i in step.inputs])
        return {id: found[self._place[id]] for id in self.ids}


def _runner(node: Node, params: Mapping[str, Any]) -> Callable[[list[Values]], Values]:
    op = op_of(node.op)
    arguments = op.arguments(params)
    lifted = op.lifted(list(params["types"]))
    type = node.type
    return lambda inputs: call(op, arguments, inputs, type, lifted=lifted)


def call(op: Op, arguments: Mapping[str, Any], inputs: list[Values], type: str, *, lifted: bool) -> Values:
    """One operation over whole columns, within `np.errstate(all="ignore")`: oddities follow IEEE 754."""
    if lifted:
        lists: Lists = inputs[0].data
        flat = call(op, arguments, [all_valid(lists.flat)], element(type), lifted=False)
        found = Lists(flat.data, lists.offsets).kept(flat.valid)
        return Values(found, inputs[0].valid).settled(type)
    if op.sees_nulls:
        decided: Values = op.numpy(*inputs, **arguments)
        return decided.settled(type)
    result = op.numpy(*[column.data for column in inputs], **arguments)
    valid = inputs[0].valid
    for column in inputs[1:]:
        valid = valid & column.valid
    if isinstance(result, Values):
        return Values(result.data, result.valid & valid).settled(type)
    return Values(result, valid).settled(type)


def fixed_value(node: Node, prepared: Mapping[str, Mapping[str, Any]]) -> Any:
    """What a node without inputs stands for: a constant, or a number that was learned; None for null."""
    if node.op == "constant":
        return node.params["value"]
    params = prepared[node.id]
    return params.get(params["field"])


def repeated(value: Any, type: str, size: int) -> Values:
    """A column that has `value` (None for null) in each of `size` rows."""
    filled = STAND_INS[type] if value is None else value
    data = objects([filled] * size) if type == "string" else np.full(size, filled, DTYPES[type])
    return Values(data, np.full(size, value is not None))
