"""Symbolic columns: what a preprocessing_fn is given, and how its calls become a graph.

Nothing is computed here. Each operation checks the types of its inputs at once, so that a mistake is
reported with the line of the user's code on which it was made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tidemill.data.transform.cast import cast_problem
from tidemill.data.transform.graph import LISTS, SCALARS, TYPES, Analysis, Graph, Node
from tidemill.data.transform.op import Op
from tidemill.data.transform.ops import OPS
from tidemill.data.transform.values import element
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

    def __mod__(self, other: Column | Scalar) -> Column:
        return apply("mod", self, other)

    def __rmod__(self, other: Scalar) -> Column:
        return apply("mod", other, self)

    def __pow__(self, other: Column | Scalar) -> Column:
        return apply("pow", as_float(self), as_float(other))

    def __rpow__(self, other: Scalar) -> Column:
        return apply("pow", as_float(other), as_float(self))

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


class Learned:
    """What an analysis finds out about all rows: not a column, but something that columns are made with.

    A preprocessing_fn may also return it by a name, to be read with `FittedGraph.learned(name)`.
    """

    __slots__ = ("_tracer", "analyzer", "id")

    def __init__(self, tracer: Tracer, id: str, analyzer: str) -> None:
        self._tracer = tracer
        self.id = id
        self.analyzer = analyzer

    def __repr__(self) -> str:
        return f"<learned {self.analyzer}>"


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
                hint="a transform reads int, float, string, bool and timestamp, and lists of the first three",
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
        self.analyses: dict[bytes, Analysis] = {}
        self.labels: list[str] = []
        self._by_id: dict[str, Node] = {}

    def add(
        self,
        op: str,
        inputs: tuple[Column, ...],
        params: Mapping[str, Any],
        type: str,
        learned: Learned | None = None,
    ) -> Column:
        """The column for this operation, new or already known."""
        ids, analysis = tuple(column.id for column in inputs), learned.id if learned else ""
        key = canonical([op, ids, params, type, analysis])
        if key not in self.nodes:
            made = self.nodes[key] = Node(f"n{len(self.nodes)}", op, ids, params, type, analysis)
            self._by_id[made.id] = made
        return Column(self, self.nodes[key].id, type)

    def analyze(self, analyzer: str, inputs: tuple[Column, ...], params: Mapping[str, Any]) -> Learned:
        """The result of this analysis, new or already known."""
        ids = tuple(column.id for column in inputs)
        key = canonical([analyzer, ids, params])
        if key not in self.analyses:
            self.analyses[key] = Analysis(f"a{len(self.analyses)}", analyzer, ids, params)
        return Learned(self, self.analyses[key].id, analyzer)

    def node(self, id: str) -> Node:
        """The node called `id`."""
        return self._by_id[id]

    def upstream(self, ids: list[str]) -> tuple[set[str], set[str]]:
        """Ids of the nodes and of the analyses that `ids` (of either) are made with, themselves included."""
        by_id: dict[str, Node | Analysis] = dict(self._by_id)
        by_id.update({a.id: a for a in self.analyses.values()})
        seen: set[str] = set()
        waiting = list(ids)
        while waiting:
            id = waiting.pop()
            if id not in seen:
                seen.add(id)
                item = by_id[id]
                waiting += item.inputs
                waiting += [item.learned] if isinstance(item, Node) and item.learned else []
        analyses = {id for id in seen if isinstance(by_id[id], Analysis)}
        return seen - analyses, analyses

    def raw_of(self, id: str) -> list[str]:
        """Names of the raw columns that node `id` is computed from."""
        node = self.node(id)
        if node.op == "input":
            return [node.params["name"]]
        return list(dict.fromkeys(name for i in node.inputs for name in self.raw_of(i)))

    def describe(self, id: str) -> str:
        """A short formula of node `id`, for messages."""
        node = self.node(id)
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
        if not isinstance(name, str) or not isinstance(column, Column | Learned):
            raise DataError(
                f"{reference} returned {name!r}: {type(column).__name__}, not a column by name",
                hint="values are made from inputs[...] and the functions of tidemill.data.transform",
            )
    outputs = {n: c.id for n, c in result.items() if isinstance(c, Column)}
    learned = {n: c.id for n, c in result.items() if isinstance(c, Learned)}
    if not outputs:
        raise DataError(f"{reference} returned no columns", hint="return at least one column")
    kept, analyses = tracer.upstream([*outputs.values(), *learned.values()])
    nodes = tuple(node for node in tracer.nodes.values() if node.id in kept)
    used = {node.params["name"] for node in nodes if node.op == "input"}
    return Graph(
        inputs={n: types[n] for n in types if n in used},
        nodes=nodes,
        outputs=outputs,
        analyses=tuple(a for a in tracer.analyses.values() if a.id in analyses),
        labels=tuple(n for n in dict.fromkeys(tracer.labels) if n in used),
        learned=learned,
        source=reference,
    )


def apply(name: str, *arguments: Column | Scalar, learned: Learned | None = None, **params: Any) -> Column:
    """The column `name(*arguments)`: constants and mixed int/float inputs are brought to one type."""
    tracer = next((a._tracer for a in arguments if isinstance(a, Column)), None)
    if tracer is None:
        raise problem(f"{name} needs at least one column", hint="take columns from inputs[...]")
    for argument in arguments:
        if isinstance(argument, Learned):
            raise problem(f"{name} takes columns, and {argument!r} is none")
    op = OPS[name]
    columns = tuple(a if isinstance(a, Column) else _constant(tracer, a) for a in arguments)
    columns = _unified(op.unify(columns, promote), op.same, name)
    columns = tuple(_accepted(name, op, i, column) for i, column in enumerate(columns))
    result = op.result(params, [c.type for c in columns])
    if result not in TYPES:
        raise problem(f"{name} of a list column would give {result}", hint="take list_get or list_join first")
    return tracer.add(name, columns, params, result, learned)


def analyze(analyzer: str, *columns: Column, **params: Any) -> Learned:
    """The result of an analysis of `columns`."""
    for column in columns:
        if not isinstance(column, Column):
            raise problem(f"{analyzer} analyzes columns, and {column!r} is none", hint="take inputs[...]")
    return columns[0]._tracer.analyze(analyzer, columns, params)


def learned_value(learned: Learned, field: str, type: str) -> Column:
    """A column that has one learned number in every row; it needs no column where it is used."""
    return learned._tracer.add("value", (), {"field": field}, type, learned)


def _accepted(name: str, op: Op, position: int, column: Column) -> Column:
    accepted = op.accepts(position)
    if column.type == "empty" and "empty" not in accepted:
        return promote(column, accepted[0])
    if column.type not in accepted and not (op.lifted([column.type]) and position == 0):
        lists = element(column.type) in accepted
        raise problem(
            f"{name} takes {' or '.join(accepted)}, and {column!r} is {column.type}",
            hint="take list_get, list_join or list_length of it"
            if lists
            else f'convert it: cast(column, "{accepted[0]}")',
        )
    return column


def promote(column: Column, to: str) -> Column:
    """`column` as type `to` where that loses nothing: int as float, or a column without any value."""
    if (column.type, to) == ("empty", to):
        return column._tracer.add("cast", (column,), {"to": to}, to)
    if (column.type, to) not in (("int", "float"), ("list[int]", "float"), ("list[int]", "list[float]")):
        return column
    node = column._tracer.node(column.id)
    if node.op == "constant":
        return _constant(column._tracer, float(node.params["value"]))
    return to_type(column, "float")


def as_float(column: Column | Scalar) -> Column | Scalar:
    """int as float; anything else as it is."""
    if isinstance(column, Column):
        return promote(column, "float")
    return float(column) if type(column) is int and column in INT_RANGE else column


def to_type(column: Column, to: str) -> Column:
    """`column` (or each value of its lists) cast to type `to`; itself when it already is."""
    if to not in SCALARS[:4]:
        raise problem(f"cast cannot make {to!r}", hint=did_you_mean(to, SCALARS[:4]))
    if to in (column.type, element(column.type)):
        return column
    if why := cast_problem(column.type, to):
        raise problem(f"{column!r} cannot become {to}: {why}")
    result = f"list[{to}]" if column.type in LISTS else to
    return column._tracer.add("cast", (column,), {"to": to}, result)


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
