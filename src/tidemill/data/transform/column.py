"""Symbolic columns: what a preprocessing_fn is given, and how its calls become a graph.

Nothing is computed here. Each operation checks the types of its inputs at once, so that a mistake is
reported with the line of the user's code on which it was made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tidemill.data.transform.graph import TYPES, Graph, Node
from tidemill.data.transform.ops import OPS, cast_problem
from tidemill.errors import DataError, did_you_mean
from tidemill.types.json import canonical

Scalar = bool | int | float | str
INT_RANGE = range(-(2**63), 2**63)
_TIDEMILL = str(Path(__file__).resolve().parents[2])


class Column:
    """A column of a preprocessing_fn: raw, or computed. Python's operators build new columns.

    `+ - *` keep int when both sides are int, `/` always gives float. Comparisons follow IEEE 754: any
    with NaN is false, except `!=`. `& | ~` work on bool columns, with SQL's rules for null. Everything
    else gives null where any input is null.
    """

    __slots__ = ("_tracer", "id", "type")
    __hash__ = None  # type: ignore[assignment]  # because == builds a column, a hash would be a trap

    def __init__(self, tracer: Tracer, id: str, type: str) -> None:
        self._tracer = tracer
        self.id = id
        self.type = type

    def __add__(self, other: Column | Scalar) -> Column:
        return apply("add", self, other)

    def __radd__(self, other: Scalar) -> Column:
        return apply("add", other, self)

    def __sub__(self, other: Column | Scalar) -> Column:
        return apply("sub", self, other)

    def __rsub__(self, other: Scalar) -> Column:
        return apply("sub", other, self)

    def __mul__(self, other: Column | Scalar) -> Column:
        return apply("mul", self, other)

    def __rmul__(self, other: Scalar) -> Column:
        return apply("mul", other, self)

    def __truediv__(self, other: Column | Scalar) -> Column:
        return apply("div", self, other)

    def __rtruediv__(self, other: Scalar) -> Column:
        return apply("div", other, self)

    def __neg__(self) -> Column:
        return apply("mul", self, -1)

    def __abs__(self) -> Column:
        return apply("abs", self)

    def __eq__(self, other: Column | Scalar) -> Column:  # type: ignore[override]  # symbolic
        return apply("eq", self, other)

    def __ne__(self, other: Column | Scalar) -> Column:  # type: ignore[override]  # symbolic
        return apply("not", apply("eq", self, other))

    def __lt__(self, other: Column | Scalar) -> Column:
        return apply("lt", self, other)

    def __le__(self, other: Column | Scalar) -> Column:
        return apply("le", self, other)

    def __gt__(self, other: Column | Scalar) -> Column:
        return apply("gt", self, other)

    def __ge__(self, other: Column | Scalar) -> Column:
        return apply("ge", self, other)

    def __and__(self, other: Column | bool) -> Column:
        return apply("and", self, other)

    def __or__(self, other: Column | bool) -> Column:
        return apply("or", self, other)

    def __invert__(self) -> Column:
        return apply("not", self)

    def __bool__(self) -> bool:
        raise problem(
            "a symbolic column has no truth value: preprocessing_fn runs once, before any row is read",
            hint="choose per row with where(condition, a, b); combine conditions with & | ~",
        )

    def __repr__(self) -> str:
        return f"<{self.type} column {self._tracer.describe(self.id)}>"


class Inputs(Mapping[str, Column]):
    """The raw columns by name. A column is read only if something is computed from it."""

    def __init__(self, tracer: Tracer, types: Mapping[str, str]) -> None:
        self._tracer = tracer
        self._types = types

    def __getitem__(self, name: str) -> Column:
        if name not in self._types:
            raise problem(f"the examples have no column {name!r}", hint=did_you_mean(name, self._types))
        if self._types[name] == "other":
            raise problem(
                f"column {name!r} is of a kind that a transform cannot read, or of kinds that contradict",
                hint="a transform reads int, float, string, bool and timestamp columns",
            )
        return self._tracer.add("input", (), {"name": name}, self._types[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __contains__(self, name: object) -> bool:
        return name in self._types


class Tracer:
    """Collects nodes; equal operations on equal inputs become one node."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, Node] = {}

    def add(self, op: str, inputs: tuple[Column, ...], params: Mapping[str, Any], type: str) -> Column:
        """The column for this operation, new or already known."""
        key = canonical([op, [column.id for column in inputs], params, type])
        if key not in self.nodes:
            ids = tuple(column.id for column in inputs)
            self.nodes[key] = Node(f"n{len(self.nodes)}", op, ids, params, type)
        return Column(self, self.nodes[key].id, type)

    def describe(self, id: str) -> str:
        """A short formula of node `id`, for messages."""
        node = next(n for n in self.nodes.values() if n.id == id)
        if node.op in ("input", "constant"):
            return repr(node.params.get("name", node.params.get("value")))
        return f"{node.op}({', '.join(self.describe(i) for i in node.inputs)})"


def trace(preprocessing_fn: Callable[..., Any], types: Mapping[str, str]) -> Graph:
    """Call `preprocessing_fn` once over symbolic columns; the graph of what it returned, not yet fitted.

    `types` gives the type of every raw column that exists. DataError for an unknown column, a wrong
    type, or a result that is not a dict of columns.
    """
    tracer = Tracer()
    reference = f"{preprocessing_fn.__module__}:{preprocessing_fn.__qualname__}"
    result = preprocessing_fn(Inputs(tracer, types))
    if not isinstance(result, Mapping) or not result:
        raise DataError(
            f"{reference} returned {type(result).__name__}, not a dict of columns",
            hint='return {"name": column, ...} with at least one column',
        )
    for name, column in result.items():
        if not isinstance(name, str) or not isinstance(column, Column):
            raise DataError(
                f"{reference} returned {name!r}: {type(column).__name__}, not a column by name",
                hint="values are made from inputs[...] and the functions of tidemill.data.transform",
            )
    graph = Graph({}, tuple(tracer.nodes.values()), {n: c.id for n, c in result.items()}, source=reference)
    nodes = graph.needed(graph.outputs.values())
    used = {node.params["name"] for node in nodes if node.op == "input"}
    return Graph({n: types[n] for n in types if n in used}, nodes, graph.outputs, source=reference)


def apply(name: str, *arguments: Column | Scalar, **params: Any) -> Column:
    """The column `name(*arguments)`: constants and mixed int/float inputs are brought to one type."""
    tracer = next((a._tracer for a in arguments if isinstance(a, Column)), None)
    if tracer is None:
        raise problem(f"{name} needs at least one column", hint="take columns from inputs[...]")
    op = OPS[name]
    columns = tuple(a if isinstance(a, Column) else _constant(tracer, a) for a in arguments)
    columns = _unified(op.unify(columns, promote), op.same, name)
    for position, column in enumerate(columns):
        accepted = op.accepts(position)
        if column.type == "empty" and "empty" not in accepted:
            column = promote(column, accepted[0])
            columns = (*columns[:position], column, *columns[position + 1 :])
        if column.type not in accepted:
            raise problem(
                f"{name} takes {' or '.join(accepted)}, and {column!r} is {column.type}",
                hint=f'convert it: cast(column, "{accepted[0]}")',
            )
    return tracer.add(name, columns, params, op.result(params, [c.type for c in columns]))


def promote(column: Column, to: str) -> Column:
    """`column` as type `to` where that loses nothing: int as float, or a column without any value."""
    if (column.type, to) not in (("int", "float"), ("empty", to)):
        return column
    node = next(n for n in column._tracer.nodes.values() if n.id == column.id)
    if node.op == "constant":
        return _constant(column._tracer, float(node.params["value"]))
    return to_type(column, to)


def to_type(column: Column, to: str) -> Column:
    """`column` cast to type `to`; itself when it already is."""
    if column.type == to:
        return column
    if to not in TYPES[:4]:
        raise problem(f"cast cannot make {to!r}", hint=did_you_mean(to, TYPES[:4]))
    if why := cast_problem(column.type, to):
        raise problem(f"{column!r} cannot become {to}: {why}")
    return column._tracer.add("cast", (column,), {"to": to}, to)


def problem(message: str, hint: str = "") -> DataError:
    """A DataError that points at the line of user code being traced."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_TIDEMILL):
        frame = frame.f_back
    return DataError(message, where=f"{frame.f_code.co_filename}:{frame.f_lineno}", hint=hint)


def _unified(columns: tuple[Column, ...], same: tuple[int, ...], name: str) -> tuple[Column, ...]:
    types = list(dict.fromkeys(columns[i].type for i in same))
    if len(types) > 1:
        raise problem(f"{name} takes columns of one type, not {' and '.join(types)}", hint="cast one of them")
    return columns


def _constant(tracer: Tracer, value: Any) -> Column:
    kinds = {bool: "bool", int: "int", float: "float", str: "string"}
    kind = kinds.get(type(value))
    if kind is None:
        raise problem(f"{value!r} is a {type(value).__name__}; constants are bool, int, float or str")
    if kind == "int" and value not in INT_RANGE:
        raise problem(f"{value} does not fit in 64 bits")
    if kind == "float" and value - value != 0:
        raise problem(f"{value} cannot be a constant of a transform graph", hint="use a finite number")
    return tracer.add("constant", (), {"value": value}, kind)
