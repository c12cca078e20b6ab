"""Rules of a schema's own: what must hold, said over the statistics in one line.

    mean < 100 and missing / rows < 0.1
    quantile(0.99) <= 3 * baseline.quantile(0.99)
    column("fare").mean > column("tips").mean

The syntax is Python's for expressions, cut down to what is listed here and walked by this module:
numbers, texts, `and or not`, comparisons, `in (...)`, `+ - * / // %`, the fields of the statistics and a
few functions. Nothing is ever compiled or run, there is no power and no call of anything else, so a rule
costs microseconds and can do nothing. TFDV has SQL in this place (`custom_validation_config.proto`).

What is not known, such as the mean of a column without values, is never silently true or false: the rule
does not hold, and says what it missed. `count == 0 or mean < 3` allows for it.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from tidemill.data.rule_fields import COLUMN_FIELDS, field_of, quantile, share
from tidemill.data.schema import Rule
from tidemill.data.statistics import ColumnStatistics, SplitStatistics
from tidemill.errors import DataError, did_you_mean

LONGEST = 1000
DEEPEST = 40

_ROW_FIELDS = ["columns", "rows"]
_SIDES = ("baseline", "serving")
_METHODS = ("quantile", "share")
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {"abs": abs, "min": min, "max": max, "round": round}
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
_ORDER: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a rule holds, and the values it was decided by, or what was not known."""

    holds: bool
    why: str


class _Unknown(Exception):
    """A value that the rule needs and the statistics do not have."""


def check_rule(rule: Rule) -> None:
    """DataError when the rule's text is not one that can be worked out."""
    _Checker(rule).whole(_parsed(rule.expect))


def sides_of(rule: Rule) -> set[str]:
    """Which other statistics the rule looks at: `baseline`, `serving`."""
    names = {node.id for node in ast.walk(_parsed(rule.expect)) if isinstance(node, ast.Name)}
    return names & {*_SIDES}


def holds(
    rule: Rule,
    now: SplitStatistics,
    *,
    baseline: SplitStatistics | None = None,
    serving: SplitStatistics | None = None,
) -> Outcome:
    """Whether a checked rule holds for one split."""
    walker = _Walker(rule, {"": now, "baseline": baseline, "serving": serving})
    try:
        answer = bool(walker.value(_parsed(rule.expect)))
    except _Unknown as unknown:
        return Outcome(False, str(unknown))
    shown = ", ".join(f"{name} = {_shown(value)}" for name, value in walker.seen.items())
    return Outcome(answer, shown)


def _parsed(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise DataError(f"has {len(text)} characters, at most {LONGEST} allowed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise DataError(f"is not an expression: {error.msg}", hint="write it as in `mean < 100`") from None
    except (ValueError, RecursionError, MemoryError):
        raise DataError("is not an expression that can be read") from None
    level: list[ast.AST] = [parsed]
    for _ in range(DEEPEST):
        if not (level := [child for node in level for child in ast.iter_child_nodes(node)]):
            return parsed
    raise DataError("is nested too deeply")


class _Checker:
    """Refuses everything that the walker does not know, before any data is seen."""

    def __init__(self, rule: Rule) -> None:
        self.fields = COLUMN_FIELDS if rule.column is not None else _ROW_FIELDS

    def whole(self, node: ast.expr) -> None:
        """A text that says yes or no."""
        compares = isinstance(node, (ast.Compare, ast.BoolOp))
        if not compares and not (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
            _refuse(f"is {ast.unparse(node)!r}, which is no yes or no", "compare it, as in `missing == 0`")
        self.check(node)

    def check(self, node: ast.AST) -> None:
        """One part of it."""
        match node:
            case ast.BoolOp():
                for part in node.values:
                    self.whole(part)
            case ast.UnaryOp(op=ast.Not()):
                self.whole(node.operand)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                self.check(node.operand)
            case ast.Compare():
                self.compare(node)
            case ast.BinOp():
                if type(node.op) not in _ARITHMETIC:
                    _refuse(f"uses {type(node.op).__name__}", "there are + - * / // and %")
                self.check(node.left)
                self.check(node.right)
            case ast.Constant():
                if type(node.value) not in (int, float, str, bool):
                    _refuse(f"has {ast.unparse(node)}, which is no number or text")
            case ast.Name():
                self.field(node.id, self.fields)
            case ast.Attribute():
                self.owner(node.value)
                self.field(node.attr, _ROW_FIELDS if self.is_rows(node.value) else COLUMN_FIELDS)
            case ast.Call():
                self.call(node)
            case _:
                _refuse(f"has {type(node).__name__}, which rules do not know")

    def compare(self, node: ast.Compare) -> None:
        self.check(node.left)
        for op, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, (ast.In, ast.NotIn)):
                if not isinstance(right, (ast.Tuple, ast.List)):
                    _refuse(
                        "looks for a value in something that is no list", 'write `type in ("int", "float")`'
                    )
                for item in right.elts:
                    self.check(item)
            elif type(op) in _ORDER:
                self.check(right)
            else:
                _refuse("compares with `is`", "use ==")

    def is_rows(self, node: ast.expr) -> bool:
        """Whether an owner is a split, not a column."""
        return isinstance(node, ast.Name) and self.fields is _ROW_FIELDS

    def owner(self, node: ast.expr) -> None:
        """What may stand before a dot: `baseline`, `serving`, `column("x")`, `baseline.column("x")`."""
        if isinstance(node, ast.Name):
            self.field(node.id, _SIDES)
            return
        if not isinstance(node, ast.Call) or _called(node) != "column":
            _refuse(
                f"has a dot after {ast.unparse(node)}", 'before a dot stands baseline, serving or column("x")'
            )
        self.call(node)

    def call(self, node: ast.Call) -> None:
        name = _called(node)
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            _refuse(f"calls {name} with names or stars")
        if isinstance(node.func, ast.Name) and name in _FUNCTIONS:
            for argument in node.args:
                self.check(argument)
            if not (len(node.args) == 1 if name in ("abs", "round") else 1 <= len(node.args) <= 9):
                _refuse(f"calls {name} with {len(node.args)} values")
            return
        if name == "column":
            expected: type = str
            if isinstance(node.func, ast.Attribute):
                self.side(node.func.value)
        elif name in _METHODS:
            expected = str if name == "share" else float
            if isinstance(node.func, ast.Attribute):
                self.owner(node.func.value)
            elif self.fields is _ROW_FIELDS:
                _refuse(f"calls {name} without a column", f'write column("x").{name}(...)')
        else:
            _refuse(f"calls {name}", did_you_mean(name, [*_FUNCTIONS, *_METHODS, "column"]))
        only = node.args[0] if len(node.args) == 1 else None
        given = only.value if isinstance(only, ast.Constant) else None
        right = isinstance(given, str) if expected is str else type(given) in (int, float)
        if not right or (name == "quantile" and not 0 <= float(str(given)) <= 1):
            what = "a text" if expected is str else "a number from 0 to 1"
            _refuse(f"calls {name} with something else than {what}")

    def side(self, node: ast.expr) -> None:
        if not isinstance(node, ast.Name):
            _refuse(f"has a dot after {ast.unparse(node)}")
        self.field(node.id, _SIDES)

    def field(self, name: str, known: Any) -> None:
        if name not in known:
            _refuse(f"names {name!r}, which is not known here", did_you_mean(name, known))


def _refuse(what: str, hint: str = "") -> NoReturn:
    raise DataError(what, hint=hint)


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)


class _Walker:
    """Works out a checked expression."""

    def __init__(self, rule: Rule, sides: Mapping[str, SplitStatistics | None]) -> None:
        self.rule = rule
        self.sides = sides
        self.seen: dict[str, Any] = {}

    def value(self, node: ast.AST) -> Any:
        match node:
            case ast.BoolOp(op=ast.And()):
                return all(self.value(part) for part in node.values)
            case ast.BoolOp():
                return any(self.value(part) for part in node.values)
            case ast.UnaryOp(op=ast.Not()):
                return not self.value(node.operand)
            case ast.UnaryOp():
                number = self.number(node.operand)
                return -number if isinstance(node.op, ast.USub) else number
            case ast.BinOp():
                return self.arithmetic(node)
            case ast.Compare():
                return self.compare(node)
            case ast.Constant():
                return node.value
            case ast.Call() if isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
                return self.function(node.func.id, [self.number(a) for a in node.args])
        return self.looked_up(node)

    def arithmetic(self, node: ast.BinOp) -> Any:
        try:
            return _ARITHMETIC[type(node.op)](self.number(node.left), self.number(node.right))
        except (ZeroDivisionError, OverflowError) as error:
            raise _Unknown(f"{ast.unparse(node)}: {error}") from None

    def function(self, name: str, numbers: list[Any]) -> Any:
        try:
            return _FUNCTIONS[name](numbers) if name in ("min", "max") else _FUNCTIONS[name](numbers[0])
        except (ValueError, OverflowError) as error:
            raise _Unknown(f"{name}: {error}") from None

    def number(self, node: ast.AST) -> Any:
        found = self.value(node)
        if isinstance(found, str):
            raise _Unknown(f"{ast.unparse(node)} is a text, not a number")
        return found

    def compare(self, node: ast.Compare) -> bool:
        left = self.value(node.left)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, (ast.In, ast.NotIn)):
                assert isinstance(right_node, (ast.Tuple, ast.List))
                found = left in [self.value(item) for item in right_node.elts]
                if found is isinstance(op, ast.NotIn):
                    return False
                continue
            right = self.value(right_node)
            if isinstance(left, str) != isinstance(right, str):
                raise _Unknown(f"{ast.unparse(node)} compares a text with a number")
            if not _ORDER[type(op)](left, right):
                return False
            left = right
        return True

    def looked_up(self, node: ast.AST) -> Any:
        """A field of the statistics; remembered, so that the outcome can be explained."""
        found = self.found(node)
        if found is None:
            raise _Unknown(
                f"{ast.unparse(node)} is not known: there is no such figure, or there are no values"
            )
        self.seen[ast.unparse(node)] = found
        return found

    def found(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Name):
            return self.own(self.sides[""], node.id)
        if isinstance(node, ast.Attribute):
            owner = self.owner(node.value)
            if isinstance(owner, SplitStatistics):
                return self.own(owner, node.attr)
            return None if owner is None else field_of(owner, node.attr)
        assert isinstance(node, ast.Call)
        column: Any
        if isinstance(node.func, ast.Attribute):
            owner = self.owner(node.func.value)
            column = self.column_of(owner, self.rule.column) if isinstance(owner, SplitStatistics) else owner
        else:
            column = self.column_of(self.sides[""], self.rule.column)
        argument = node.args[0]
        assert isinstance(argument, ast.Constant)
        if column is None:
            return None
        if _called(node) == "quantile":
            return quantile(column, float(str(argument.value)))
        return share(column, str(argument.value))

    def own(self, split: SplitStatistics | None, field: str) -> Any:
        if split is None:
            return None
        if self.rule.column is None:
            return split.num_rows if field == "rows" else len(split.columns)
        column = self.column_of(split, self.rule.column)
        return None if column is None else field_of(column, field)

    def owner(self, node: ast.expr) -> SplitStatistics | ColumnStatistics | None:
        if isinstance(node, ast.Name):
            return self.sides[node.id]
        assert isinstance(node, ast.Call)
        side = (
            node.func.value.id
            if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
            else ""
        )
        argument = node.args[0]
        assert isinstance(argument, ast.Constant)
        return self.column_of(self.sides[side], str(argument.value))

    def column_of(self, split: SplitStatistics | None, name: str | None) -> ColumnStatistics | None:
        return None if split is None or name is None else split.column(name)


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
