"""Names and types: a parsed tree becomes one whose leaves are fields and values that fit together.

Every mistake that is not one of grammar is found here, so that the compiler has none to report. Types
follow GoogleSQL: integers and doubles compare with one another, nothing else is converted.
"""

from __future__ import annotations

import re
from enum import IntEnum

from tidemill.errors import did_you_mean
from tidemill.metadata.filter.error import FilterError
from tidemill.metadata.filter.fields import (
    ATTRIBUTES,
    PROPERTIES,
    PROPERTY_VALUES,
    RELATIONS,
    TABLES,
    Columns,
)
from tidemill.metadata.filter.syntax import (
    Arithmetic,
    Between,
    Comparison,
    Expression,
    Field,
    In,
    Is,
    Like,
    Literal,
    Logic,
    Name,
    Negative,
    Not,
    Source,
    Span,
    ValueType,
    type_of,
)
from tidemill.metadata.model import TypeKind

MOST_STACK = 84
"""Symbols that a database's parser may have to keep. SQLite before 3.46 keeps 100, and gave up at 88 in a
subquery: what stands around the condition counts, too."""

MOST_DEPTH = 100
"""Operands within one another. Each costs some four frames of Python's stack."""
MOST_CONDITIONS = 900
"""Operands of all ANDs and ORs: SQLite refuses expressions deeper than 1000, and a chain counts."""
MOST_PATTERN = 10_000
"""Characters of a pattern. SQLite refuses more than 50,000 bytes."""

_NUMBERS = (ValueType.INT, ValueType.DOUBLE)
_ALIAS = re.compile(r"([a-z]+(?:_contexts)?)_([A-Za-z0-9_]+)")


def resolve(expression: Expression, kind: TypeKind, query: str) -> Expression:
    """The tree with fields for names; FilterError when a name is unknown or a type does not fit."""
    resolver = _Resolver(kind, query)
    resolved = resolver.expression(expression)
    if type_of(resolved) is not ValueType.BOOL:
        message = f"the filter is {type_of(resolved).value}, not a condition"
        raise resolver.error(message, expression.at, hint="compare it: x = 1, x LIKE 'a%', x IS NOT NULL")
    if stack_of(resolved) > MOST_STACK:
        raise resolver.error("the filter is nested too deeply", expression.at, hint="use fewer brackets")
    return resolved


def stack_of(node: Expression) -> int:
    """Symbols that a parser holds at most while it reads the SQL of a node: what is to the left of the
    innermost operand, one bracket per operand included."""
    match node:
        case Literal() | Name() | Field():
            return 1
        case Is(operand=operand):
            return 1 + stack_of(operand)
        case Not(operand=operand) | Negative(operand=operand):
            return 2 + stack_of(operand)
        case Arithmetic(left=left, right=right) | Comparison(left=left, right=right):
            return max(2 + stack_of(left), 4 + stack_of(right))
        case Like(text=text, pattern=pattern):
            return max(1 + stack_of(text), 4 + stack_of(pattern))
        case In(operand=operand, choices=choices):
            return max(1 + stack_of(operand), 6 + max(map(stack_of, choices)))
        case Between(operand=operand, low=low, high=high):
            return max(1 + stack_of(operand), 4 + stack_of(low), 6 + stack_of(high))
        case Logic(operands=operands):
            return max(1 + stack_of(operands[0]), 3 + max(map(stack_of, operands[1:])))


class _Resolver:
    def __init__(self, kind: TypeKind, query: str) -> None:
        self._kind = kind
        self._query = query
        self._conditions = 0
        self._depth = 0

    def error(self, message: str, at: Span, hint: str = "") -> FilterError:
        return FilterError(message, query=self._query, position=at.start, end=at.end, hint=hint)

    def expression(self, node: Expression) -> Expression:
        """`node` with fields for names, and its operands' types checked."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise self.error("the filter is nested too deeply", node.at, hint="use fewer brackets")
        resolved = self._resolved(node)
        self._depth -= 1
        return resolved

    def _resolved(self, node: Expression) -> Expression:
        match node:
            case Literal():
                return self._literal(node)
            case Name():
                return self._field(node)
            case Negative(operand, at):
                return Negative(self._number(operand), at)
            case Arithmetic(sign, left, right, at):
                return Arithmetic(sign, self._number(left), self._number(right), at)
            case Comparison():
                return self._comparison(node)
            case Like():
                return self._like(node)
            case In():
                return self._in(node)
            case Between(operand, low, high, negated, at):
                operand, low, high = (self.expression(x) for x in (operand, low, high))
                operand, low, high = self._comparable((operand, low, high), at)
                return Between(operand, low, high, negated, at)
            case Is(operand, what, negated, at):
                operand = self.expression(operand)
                if what is not None:
                    self._must_be_bool(operand)
                return Is(operand, what, negated, at)
            case Not(operand, at):
                return Not(self._must_be_bool(self.expression(operand)), at)
            case Logic(word, operands, at):
                return self._logic(word, operands, at)
        raise AssertionError(node)

    # --- names -----------------------------------------------------------------------------------

    def _field(self, name: Name) -> Field:
        first, rest = name.parts[0], name.parts[1:]
        attributes = ATTRIBUTES[self._kind]
        if first in PROPERTIES:
            return self._property(name)
        if first.lower() in attributes:
            if rest:
                raise self.error(f"{first} is a value and has no field {rest[0]}", name.at)
            return _of(attributes, first.lower(), Source(), name.at)
        alias = _ALIAS.fullmatch(first)
        if alias is None or alias[1] not in RELATIONS[self._kind]:
            raise self.error(
                f"filters of {TABLES[self._kind].lower()}s know no name {first!r}",
                name.at,
                hint=self._known(first),
            )
        columns = RELATIONS[self._kind][alias[1]].columns
        if not rest:
            hint = f"name one of its fields, such as {first}.{next(iter(columns))}"
            raise self.error(f"{first} is a row, not a value", name.at, hint=hint)
        return self._column(columns, Source(alias[1], alias[2]), name, rest)

    def _property(self, name: Name) -> Field:
        example = f"{name.parts[0]}.NAME.int_value"
        if len(name.parts) < 3:
            hint = f"write {example}, or double_value, string_value, bool_value"
            raise self.error("a property is named with its kind of value", name.at, hint=hint)
        return self._column(PROPERTY_VALUES, Source(name.parts[0], name.parts[1]), name, name.parts[2:])

    def _column(self, columns: Columns, source: Source, name: Name, rest: tuple[str, ...]) -> Field:
        column = rest[0].lower()
        if column not in columns:
            where = ".".join(name.parts[: -len(rest)])
            raise self.error(f"{where} has no field {rest[0]!r}", name.at, hint=did_you_mean(column, columns))
        if len(rest) > 1:
            raise self.error(f"{rest[0]} is a value and has no field {rest[1]}", name.at)
        return _of(columns, column, source, name.at)

    def _known(self, name: str) -> str:
        """What may have been meant by a name that nobody knows."""
        for column in ATTRIBUTES[self._kind].values():
            if column.names and name.upper() in column.names.__members__:
                return "state names stand on the other side of a comparison: state = LIVE, state IN (LIVE)"
        prefix = name.lower().rsplit("_", 1)[0]
        if prefix in RELATIONS[self._kind]:
            return f"neighbours are named {prefix}_X.id, with any X"
        neighbours = [f"{relation}_X" for relation in RELATIONS[self._kind]]
        hint = did_you_mean(name, [*ATTRIBUTES[self._kind], *neighbours, *PROPERTIES])
        return hint if hint.startswith("did") else f"texts stand in quotes; {hint}"

    # --- types -----------------------------------------------------------------------------------

    def _literal(self, node: Literal) -> Literal:
        if type(node.value) is int and not -(2**63) <= node.value < 2**64:
            raise self.error("the integer is too large: integers have 64 bits", node.at)
        if type(node.value) is int and node.value >= 2**63:
            return Literal(float(node.value), node.at)  # larger than every stored one, and stays so
        return node

    def _number(self, node: Expression) -> Expression:
        resolved = self.expression(node)
        if type_of(resolved) not in _NUMBERS:
            message = f"only numbers can be added and multiplied, and this is {type_of(resolved).value}"
            raise self.error(message, node.at)
        return resolved

    def _must_be_bool(self, node: Expression) -> Expression:
        if type_of(node) not in (ValueType.BOOL, ValueType.NULL):
            message = f"a condition is expected here, and this is {type_of(node).value}"
            raise self.error(message, node.at, hint="compare it: x = 1, x LIKE 'a%', x IS NOT NULL")
        return node

    def _comparable(self, nodes: tuple[Expression, ...], at: Span) -> tuple[Expression, ...]:
        """The nodes, if their types fit; integers that are compared with doubles become doubles."""
        types = [type_of(x) for x in nodes if type_of(x) is not ValueType.NULL]
        for found in types[1:]:
            if found is not types[0] and not (found in _NUMBERS and types[0] in _NUMBERS):
                hint = "write texts in quotes, numbers without" if ValueType.STRING in types else ""
                raise self.error(f"{types[0].value} cannot be compared with {found.value}", at, hint=hint)
        return tuple(map(_as_double, nodes)) if ValueType.DOUBLE in types else nodes

    def _must_not_be_null(self, node: Expression) -> None:
        if type_of(node) is ValueType.NULL:
            hint = "ask with IS NULL or IS NOT NULL"
            raise self.error("nothing is equal to NULL, nor different from it", node.at, hint=hint)

    def _logic(self, word: str, operands: tuple[Expression, ...], at: Span) -> Logic:
        """The deepest operand comes first: then a parser has nothing to remember before it."""
        self._count(len(operands), at)
        resolved = [self._must_be_bool(self.expression(x)) for x in operands]
        deepest = max(range(len(resolved)), key=lambda i: stack_of(resolved[i]))
        return Logic(word, (resolved.pop(deepest), *resolved), at)

    def _count(self, operands: int, at: Span) -> None:
        self._conditions += operands
        if self._conditions > MOST_CONDITIONS:
            raise self.error(
                f"the filter has more than {MOST_CONDITIONS} conditions", at,
                hint="x IN (1, 2, ...) counts as one",
            )  # fmt: skip

    # --- comparisons -----------------------------------------------------------------------------

    def _comparison(self, node: Comparison) -> Expression:
        names = self._names_of(node.left) or self._names_of(node.right)
        if names is not None and node.sign in ("=", "<>"):
            return self._named_comparison(node, names)
        left, right = self.expression(node.left), self.expression(node.right)
        self._must_not_be_null(left)
        self._must_not_be_null(right)
        left, right = self._comparable((left, right), node.at)
        return Comparison(node.sign, left, right, node.at)

    def _named_comparison(self, node: Comparison, names: type[IntEnum]) -> Expression:
        """`state = LIVE`. As in MLMD, a node without state is different from every state."""
        right = self._named(node.right, names)
        left = self._named(node.left, names, numbers=True)
        left, right = self._comparable((left, right), node.at)
        compared = Comparison(node.sign, left, right, node.at)
        field = right if isinstance(left, Literal) else left
        has_name = isinstance(left, Literal) or isinstance(right, Literal)
        return self._or_null(compared, field) if has_name and node.sign == "<>" else compared

    def _or_null(self, compared: Expression, field: Expression) -> Expression:
        self._count(2, compared.at)
        return Logic("OR", (compared, Is(field, None, False, compared.at)), compared.at)

    def _in(self, node: In) -> Expression:
        names = self._names_of(node.operand)
        operand = self.expression(node.operand)
        if names is None:
            choices = [self.expression(x) for x in node.choices]
        else:
            choices = [self._named(x, names) for x in node.choices]
        self._must_not_be_null(operand)
        operand, *choices = self._comparable((operand, *choices), node.at)
        found = In(operand, tuple(choices), node.negated, node.at)
        return self._or_null(found, operand) if names is not None and node.negated else found

    def _names_of(self, node: Expression) -> type[IntEnum] | None:
        """The words that may be compared with a name; None when it is no field with such words."""
        if not isinstance(node, Name):
            return None
        try:
            return self._field(node).names
        except FilterError:
            return None

    def _named(self, node: Expression, names: type[IntEnum], *, numbers: bool = False) -> Expression:
        """One side of a comparison with a state: the field, or a word for one of its values.

        MLMD refuses `state = 2`, and takes `2 = state`: then the number may stand for itself.
        """
        if (
            isinstance(node, Name)
            and len(node.parts) == 1
            and node.parts[0].lower() not in ATTRIBUTES[self._kind]
        ):
            word = node.parts[0]
            if word not in names.__members__:
                raise self.error(
                    f"there is no {word!r} here", node.at, hint=did_you_mean(word.upper(), names.__members__)
                )
            return Literal(int(names[word]), node.at)
        resolved = self.expression(node)
        if isinstance(resolved, Literal) and not numbers:
            shown = self._query[node.at.start : node.at.end]
            hint = f"write one of {', '.join(names.__members__)}, without quotes"
            raise self.error(
                f"a state or type is compared with its name, not with {shown[:40]}", node.at, hint=hint
            )
        return resolved

    def _like(self, node: Like) -> Expression:
        text, pattern = self.expression(node.text), self.expression(node.pattern)
        for side in (text, pattern):
            self._must_not_be_null(side)
            if type_of(side) is not ValueType.STRING:
                raise self.error(f"LIKE compares texts, and this is {type_of(side).value}", side.at)
        if isinstance(pattern, Literal):
            value = str(pattern.value)
            if len(value) > MOST_PATTERN:
                raise self.error(f"the pattern has more than {MOST_PATTERN} characters", pattern.at)
            if (len(value) - len(value.rstrip("\\"))) % 2:
                hint = (
                    r"in a pattern, % and _ after a backslash stand for themselves; '\\\\' is one backslash"
                )
                raise self.error("the pattern ends with a lone backslash", pattern.at, hint=hint)
        return Like(text, pattern, node.negated, node.at)


def _of(columns: Columns, column: str, source: Source, at: Span) -> Field:
    return Field(source, column, columns[column].value_type, columns[column].names, at)


def _as_double(node: Expression) -> Expression:
    if isinstance(node, Literal) and type(node.value) is int:
        return Literal(float(node.value), node.at)
    return node
