"""The tree of a filter query, before and after its names are resolved.

The parser makes it with `Name` leaves; the resolver makes the same tree with `Field` leaves instead and
every operand's type checked. Truth is that of SQL: true, false and NULL.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum


class ValueType(Enum):
    """Type of an expression. NULL is the type of the literal, which fits everywhere."""

    INT = "an integer"
    DOUBLE = "a number"
    STRING = "a text"
    BOOL = "true or false"
    NULL = "NULL"


@dataclass(frozen=True, slots=True)
class Span:
    """The place of an expression in the query, as offsets."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Source:
    """A row that fields are read from. `relation` is "" for the node itself, `properties`,
    `custom_properties`, or a relation of fields.py; `name` is a property or the alias of a neighbour."""

    relation: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value; None is NULL."""

    value: int | float | str | bool | None
    at: Span


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it was written: `contexts_run.name` has two parts."""

    parts: tuple[str, ...]
    at: Span


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a source. `names` are the words its integers stand for, such as LIVE."""

    source: Source
    column: str
    value_type: ValueType
    names: type[IntEnum] | None
    at: Span


@dataclass(frozen=True, slots=True)
class Negative:
    """`-x`."""

    operand: Expression
    at: Span


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`x + y`, and - * /. Division gives a double, and NULL when y is 0."""

    sign: str
    left: Expression
    right: Expression
    at: Span


@dataclass(frozen=True, slots=True)
class Comparison:
    """`x = y`, and <> < > <= >=."""

    sign: str
    left: Expression
    right: Expression
    at: Span


@dataclass(frozen=True, slots=True)
class Like:
    """`text [NOT] LIKE pattern`."""

    text: Expression
    pattern: Expression
    negated: bool
    at: Span


@dataclass(frozen=True, slots=True)
class In:
    """`x [NOT] IN (choices)`."""

    operand: Expression
    choices: tuple[Expression, ...]
    negated: bool
    at: Span


@dataclass(frozen=True, slots=True)
class Between:
    """`x [NOT] BETWEEN low AND high`."""

    operand: Expression
    low: Expression
    high: Expression
    negated: bool
    at: Span


@dataclass(frozen=True, slots=True)
class Is:
    """`x IS [NOT] NULL`, `TRUE` or `FALSE`: never NULL itself."""

    operand: Expression
    what: bool | None
    negated: bool
    at: Span


@dataclass(frozen=True, slots=True)
class Not:
    """`NOT x`."""

    operand: Expression
    at: Span


@dataclass(frozen=True, slots=True)
class Logic:
    """`x AND y AND ...`, or the same with OR; at least two operands, none of them of the same kind."""

    word: str
    operands: tuple[Expression, ...]
    at: Span


Expression = (
    Literal | Name | Field | Negative | Arithmetic | Comparison | Like | In | Between | Is | Not | Logic
)


def type_of(expression: Expression) -> ValueType:
    """Type of a resolved expression."""
    match expression:
        case Literal(value=value):
            return _LITERALS[type(value)]
        case Field(value_type=found):
            return found
        case Negative(operand=operand):
            return type_of(operand)
        case Arithmetic(sign=sign, left=left, right=right):
            doubles = sign == "/" or ValueType.DOUBLE in (type_of(left), type_of(right))
            return ValueType.DOUBLE if doubles else ValueType.INT
    return ValueType.BOOL


_LITERALS = {
    int: ValueType.INT,
    float: ValueType.DOUBLE,
    str: ValueType.STRING,
    bool: ValueType.BOOL,
    type(None): ValueType.NULL,
}
