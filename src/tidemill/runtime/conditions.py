"""Conditions: whether one holds, and which part of it does not.

Numbers are compared with numbers and texts with texts; anything else is equal or not, and no more.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from tidemill.errors import ResolutionError
from tidemill.ir import model as ir

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip
_OPPOSITES = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}

Resolve = Callable[[ir.Value], Any]


def holds(condition: ir.Value, resolve: Resolve) -> bool:
    """Whether it is true. ResolutionError when two values cannot be compared, or it is not a bool."""
    match condition:
        case ir.Compare():
            return _compare(condition, resolve(condition.left), resolve(condition.right))
        case ir.AllOf(parts=parts):
            return all(holds(part, resolve) for part in parts)
        case ir.AnyOf(parts=parts):
            return any(holds(part, resolve) for part in parts)
        case ir.Not(part=part):
            return not holds(part, resolve)
    found = resolve(condition)
    if not isinstance(found, bool):
        raise ResolutionError(f"a condition is {found!r}, which is neither true nor false")
    return found


def why_not(condition: ir.Value, resolve: Resolve) -> str:
    """What a condition that does not hold says that is not so, with the values it met."""
    match condition:
        case ir.AllOf(parts=parts):
            return next(why_not(part, resolve) for part in parts if not holds(part, resolve))
        case ir.AnyOf(parts=parts):
            return " and ".join(why_not(part, resolve) for part in parts)
        case ir.Not(part=ir.Compare() as part):
            return why_not(ir.Compare(_OPPOSITES[part.op], part.left, part.right), resolve)
        case ir.Not(part=ir.AnyOf(parts=parts)):
            return next(why_not(ir.Not(part), resolve) for part in parts if holds(part, resolve))
        case ir.Not(part=ir.AllOf(parts=parts)):
            return " and ".join(why_not(ir.Not(part), resolve) for part in parts)
        case ir.Not(part=ir.Not(part=part)):
            return why_not(part, resolve)
        case ir.Compare(op=op, left=left, right=right):
            a, b = (_shown(side, resolve(side)) for side in (left, right))
            return f"{a} {op} {b} does not hold"
    return f"{_shown(condition, resolve(condition))} does not hold"


def _compare(condition: ir.Compare, left: Any, right: Any) -> bool:
    numbers = all(isinstance(side, (int, float)) for side in (left, right))
    texts = all(isinstance(side, str) for side in (left, right))
    if condition.op not in ("==", "!=") and not numbers and not texts:
        kinds = f"a {type(left).__name__} and a {type(right).__name__}"
        raise ResolutionError(
            f"{left!r} {condition.op} {right!r}: {kinds} have no order",
            hint="compare numbers with numbers and texts with texts",
        )
    return bool(_OPERATORS[condition.op](left, right))


def _shown(value: ir.Value, found: Any) -> str:
    match value:
        case ir.Literal():
            return repr(found)
        case ir.OutputValue(node=node, output=output):
            name = f"{node}.outputs.{output}"
        case ir.OutputProperty(node=node, output=output, property=property):
            name = f"{node}.outputs.{output}.{property}"
        case ir.ParameterRef(name=parameter):
            name = parameter
        case ir.RunField(name=fact):
            name = f"run.{fact}"
        case ir.LoopItem(loop=loop, path=path):
            name = f"item of {loop}" + "".join(f"[{step!r}]" for step in path)
        case _:
            return repr(found)
    return f"{name} = {found!r}"
