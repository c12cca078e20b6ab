"""A resolved tree to SQL: joins, a condition and parameters.

The SQL is standard, with `?` for parameters and MLMD's tables as they are. A neighbour or property that
is mentioned several times is one joined row, and a node without such a row is not found, whatever the
condition says: that is how MLMD joins. Where a neighbour's conditions stand alone, the same question is
asked as `n.id IN (SELECT ...)`, which finds each node once and lets the database begin at either end.

Texts compare as the database compares them. LIKE ignores the case of A to Z on SQLite, follows the
collation on MySQL and heeds case on PostgreSQL, each as ml-metadata does there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tidemill.metadata.filter.error import FilterError
from tidemill.metadata.filter.fields import PROPERTIES, RELATIONS, TABLES, TYPE_COLUMN
from tidemill.metadata.filter.parser import parse
from tidemill.metadata.filter.resolver import resolve
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
    Negative,
    Not,
    Source,
    ValueType,
)
from tidemill.metadata.model import TypeKind

MOST_TABLES = 60
"""Tables of one query. MySQL joins 61, SQLite 64."""
MOST_ENTANGLED = 10
"""Neighbours that share a condition, as in `contexts_a.id = 1 OR contexts_b.id = 2`: every combination of
their rows is tried for every node. Those that share none are asked for one by one."""
MOST_VALUES = 30_000
"""Values of one query, as in a long IN list. SQLite since 3.32 takes 32766 parameters."""

_NODE = Source()
_ESCAPE = "!"


@dataclass(frozen=True, slots=True)
class CompiledFilter:
    """Parts of `SELECT DISTINCT n.id FROM Artifact n {joins} WHERE {where}`, and the parameters of both.

    The table is that of the kind it was compiled for. `repeats` says whether a node may be found more than
    once, so that DISTINCT is needed.
    """

    joins: str
    where: str
    values: tuple[object, ...]
    repeats: bool


@lru_cache(maxsize=64)
def compile_filter(query: str, kind: TypeKind) -> CompiledFilter:
    """The SQL of a filter query on nodes of a kind. FilterError when it is none."""
    compiled, entangled = _compiled(resolve(parse(query), kind, query), kind)
    text = f"{compiled.joins} {compiled.where}"
    tables = text.count("JOIN ") + text.count("FROM ")
    what = hint = ""
    if tables >= MOST_TABLES:
        what = "the filter mentions too many neighbours and properties"
        hint = f"they need {tables} tables, and a database joins {MOST_TABLES}"
    elif entangled > MOST_ENTANGLED:
        what = f"{entangled} neighbours depend on one another, and {MOST_ENTANGLED} may"
        hint = "use the same alias where the same neighbour may be meant, or ask several times"
    elif len(compiled.values) > MOST_VALUES:
        what = f"the filter has too many values: {len(compiled.values)}"
        hint = f"ask several times, with at most {MOST_VALUES} each"
    if what:
        raise FilterError(what, query=query, position=0, end=len(query), hint=hint)
    return compiled


def _compiled(tree: Expression, kind: TypeKind) -> tuple[CompiledFilter, int]:
    """The SQL of a resolved tree, and how many neighbours are joined together."""
    conjuncts = tree.operands if isinstance(tree, Logic) and tree.word == "AND" else (tree,)
    alone = _standing_alone(conjuncts, kind)
    rows = _Rows(kind, [f for c in conjuncts if c not in alone for f in _fields(c)])
    writer = _Writer(rows.aliases)
    where = [writer.operand(c) for c in conjuncts if c not in alone]
    values = [*rows.values, *writer.values]
    # SQLite begins with the first subquery, and people name the pipeline before the run.
    for number, source in enumerate(reversed(dict.fromkeys(alone.values())), 1):
        members = [c for c, its in alone.items() if its == source]
        text, parameters = _subquery(kind, source, members, f"s{number}")
        where.append(text)
        values += parameters
    compiled = CompiledFilter(rows.joins, " AND ".join(where), tuple(values), rows.neighbours > 0)
    return compiled, rows.neighbours


def _standing_alone(conjuncts: Sequence[Expression], kind: TypeKind) -> dict[Expression, Source]:
    """Conjuncts on one neighbour, when nothing else is said of it together with other rows."""
    mentioned = {c: {f.source for f in _fields(c)} for c in conjuncts}
    entangled = {s for sources in mentioned.values() if len(sources) > 1 for s in sources}
    return {
        conjunct: source
        for conjunct, sources in mentioned.items()
        for source in sources
        if source.relation in RELATIONS[kind] and source not in entangled
    }


def _subquery(
    kind: TypeKind, source: Source, conjuncts: Sequence[Expression], alias: str
) -> tuple[str, list[object]]:
    """`n.id IN (...)`: nodes with a neighbour of which all `conjuncts` hold, and its parameters."""
    relation = RELATIONS[kind][source.relation]
    link = f"{alias}l" if relation.there else alias
    tables = f"{relation.link} {link}"
    if relation.there:
        tables += f" JOIN {relation.table} {alias} ON {alias}.id = {link}.{relation.there}"
    if any(_names_a_type(f) for c in conjuncts for f in _fields(c)):
        tables += f" JOIN Type {alias}t ON {alias}t.id = {alias}.type_id"
    writer = _Writer({source: alias})
    where = " AND ".join([writer.operand(c) for c in conjuncts])
    return f"n.id IN (SELECT {link}.{relation.here} FROM {tables} WHERE {where})", writer.values


def _fields(expression: Expression) -> Iterator[Field]:
    """Every field below, in the order in which they are written."""
    match expression:
        case Field():
            yield expression
        case Logic(operands=operands):
            for operand in operands:
                yield from _fields(operand)
        case In(operand=operand, choices=choices):
            for child in (operand, *choices):
                yield from _fields(child)
        case Arithmetic(left=left, right=right) | Comparison(left=left, right=right):
            yield from _fields(left)
            yield from _fields(right)
        case Like(text=text, pattern=pattern):
            yield from _fields(text)
            yield from _fields(pattern)
        case Between(operand=operand, low=low, high=high):
            for child in (operand, low, high):
                yield from _fields(child)
        case Negative(operand=operand) | Is(operand=operand) | Not(operand=operand):
            yield from _fields(operand)


def _names_a_type(field: Field) -> bool:
    return field.column == TYPE_COLUMN and field.value_type is ValueType.STRING


class _Rows:
    """The rows that are joined to the node: `aliases`, the text `joins` and its parameters `values`."""

    def __init__(self, kind: TypeKind, fields: Sequence[Field]) -> None:
        self._kind = kind
        self.aliases = {_NODE: "n"}
        self.values: list[object] = []
        self.neighbours = 0
        typed = {f.source for f in fields if _names_a_type(f)}
        joins = []
        for source in dict.fromkeys(f.source for f in fields):
            alias = self.aliases.setdefault(source, f"j{len(self.aliases)}")
            if source != _NODE:
                joins.append(self._join(source, alias))
            if source in typed:
                joins.append(f"JOIN Type {alias}t ON {alias}t.id = {alias}.type_id")
        self.joins = " ".join(joins)

    def _join(self, source: Source, alias: str) -> str:
        table = TABLES[self._kind]
        if source.relation in PROPERTIES:
            self.values += [source.name, PROPERTIES[source.relation]]
            return (
                f"JOIN {table}Property {alias} ON {alias}.{table.lower()}_id = n.id "
                f"AND {alias}.name = ? AND {alias}.is_custom_property = ?"
            )
        self.neighbours += 1
        relation = RELATIONS[self._kind][source.relation]
        if not relation.there:
            return f"JOIN {relation.link} {alias} ON {alias}.{relation.here} = n.id"
        return (
            f"JOIN {relation.link} {alias}l ON {alias}l.{relation.here} = n.id "
            f"JOIN {relation.table} {alias} ON {alias}.id = {alias}l.{relation.there}"
        )


class _Writer:
    """Writes expressions on the rows of `aliases`; their values are kept in the order of the text."""

    def __init__(self, aliases: Mapping[Source, str]) -> None:
        self._aliases = aliases
        self.values: list[object] = []

    def operand(self, node: Expression) -> str:
        """SQL that may stand on either side of any operator."""
        text = self._text(node)
        return text if isinstance(node, Literal | Field) else f"({text})"

    def _text(self, node: Expression) -> str:
        operand = self.operand
        match node:
            case Literal(value=value):
                return self._value(value)
            case Field(source=source, column=column):
                alias = self._aliases[source]
                return f"{alias}t.name" if _names_a_type(node) else f"{alias}.{column}"
            case Negative(operand=inner):
                return f"-{operand(inner)}"
            case Arithmetic(sign="/", left=left, right=right):
                return f"({operand(left)} + 0e0) / NULLIF({operand(right)}, 0)"
            case (
                Arithmetic(sign=sign, left=left, right=right) | Comparison(sign=sign, left=left, right=right)
            ):
                return f"{operand(left)} {sign} {operand(right)}"
            case Like(text=text, pattern=pattern, negated=negated):
                return f"{operand(text)}{_not(negated)} LIKE {self._pattern(pattern)}"
            case In(operand=inner, choices=choices, negated=negated):
                return f"{operand(inner)}{_not(negated)} IN ({', '.join([operand(c) for c in choices])})"
            case Between(operand=inner, low=low, high=high, negated=negated):
                return f"{operand(inner)}{_not(negated)} BETWEEN {operand(low)} AND {operand(high)}"
            case Is(operand=Literal(value=value), what=None, negated=negated):
                # PostgreSQL cannot tell the type of a text parameter that meets nothing.
                return _TRUTHS[(value is None) is not negated]
            case Is(operand=inner, what=what, negated=negated):
                return f"{operand(inner)} IS{_not(negated)} {_TRUTHS[what]}"
            case Not(operand=inner):
                return f"NOT {operand(inner)}"
            case Logic(word=word, operands=operands):
                return f" {word} ".join([operand(x) for x in operands])
        raise AssertionError(node)

    def _value(self, value: object) -> str:
        if value is None:
            return "NULL"
        self.values.append(value)
        return "?"

    def _pattern(self, pattern: Expression) -> str:
        """A pattern, with its backslashes replaced: databases differ in what one means."""
        if not isinstance(pattern, Literal):
            return self.operand(pattern)
        parts = []
        characters = iter(str(pattern.value))
        for character in characters:
            if character == "\\":
                character = next(characters)
                parts.append(_ESCAPE + character if character in f"%_{_ESCAPE}" else character)
            else:
                parts.append(_ESCAPE * 2 if character == _ESCAPE else character)
        return f"{self._value(''.join(parts))} ESCAPE '{_ESCAPE}'"


_TRUTHS = {None: "NULL", True: "TRUE", False: "FALSE"}


def _not(negated: bool) -> str:
    return " NOT" if negated else ""
