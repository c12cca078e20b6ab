"""What a database says of its own tables: columns, keys, unique rules and indexes.

Whoever changes tables looks here first, so that what is done already is never done again. This file knows
no database (each dialect brings its queries) and no table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tidemill.metadata.sql.database import Transaction


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the database describes it."""

    type: str
    required: bool
    default: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """An index, the key, or what a unique rule is made of."""

    unique: bool
    columns: tuple[str, ...]
    """For an index over an expression, the database's own words for it."""
    made: str = field(default="", compare=False)
    """The statement that makes it, where the database keeps that."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A table. Names are in lower case: databases differ in what they keep."""

    name: str
    """As it is spelled here."""
    columns: dict[str, Column] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    """By name, the key included."""

    def is_unique(self, columns: Iterable[str]) -> str:
        """The name of the unique rule over exactly these columns; empty when there is none."""
        wanted = tuple(columns)
        return next((n for n, r in self.rules.items() if r.unique and r.columns == wanted), "")


Catalog = Mapping[str, Shape]
"""Lower-case name -> table."""


def read_catalog(tx: Transaction) -> dict[str, Shape]:
    """The tables of the database."""
    found = {name.lower(): Shape(name) for (name,) in tx.rows(tx.dialect.tables)}
    for table, name, kind, required, default in tx.rows(tx.dialect.columns):
        if table.lower() in found:
            described = Column(str(kind).lower(), bool(required), _plain(default))
            found[table.lower()].columns[name.lower()] = described
    for table, name, unique, column, made in tx.rows(tx.dialect.indexes):
        if table.lower() in found:
            rules = found[table.lower()].rules
            before = rules[name.lower()].columns if name.lower() in rules else ()
            rules[name.lower()] = Rule(bool(unique), (*before, str(column).lower()), made or "")
    return found


def _plain(default: object) -> str:
    """A default without quotes; NULL is none."""
    text = "" if default is None else str(default).strip("'")
    return "" if text.upper() == "NULL" else text
