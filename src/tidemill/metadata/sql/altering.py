"""From the tables that are there to the form they should have: what to change, told before it is done.

What stands already is left alone, so a change that was interrupted is completed by asking again. Tables,
columns and indexes that are in neither form are somebody else's and stay. This file knows nothing of
versions, and of the data only what a changed form would lose.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from tidemill.errors import StoreError
from tidemill.metadata.sql.catalog import Catalog, Shape
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.dialect import Dialect
from tidemill.metadata.sql.history import Form
from tidemill.metadata.sql.schema import Index, Table


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a change of form."""

    what: str
    """For people, in the infinitive."""
    statements: tuple[str, ...]
    counts: str = ""
    """Query for how many rows or values are lost with it; empty when nothing can be."""
    blocked: str = ""
    """Query for how many values make it impossible; empty when nothing can."""


def run(tx: Transaction, changes: Collection[Change]) -> None:
    """Make the changes."""
    for change in changes:
        for statement in change.statements:
            tx.execute(statement)


def additions(dialect: Dialect, found: Catalog, form: Form) -> list[Change]:
    """What the form has and the database lacks."""
    changes = _tables(dialect, found, form, Form((), ()))
    names = {table.name for table in form.tables}
    for index in form.indexes:  # on tables of another form
        shape = found.get(index.table.lower())
        if index.table not in names and (shape is None or index.name not in shape.rules):
            changes.append(_add_index(dialect, index))
    return changes


def transformation(dialect: Dialect, found: Catalog, form: Form, everything: Form) -> list[Change]:
    """What makes the database have the form, and nothing of `everything` beside it."""
    changes = _tables(dialect, found, form, everything)
    wanted = {table.name for table in form.tables}
    for name in (t.name for t in everything.tables):
        if name not in wanted and name.lower() in found:
            counts = f"SELECT COUNT(*) FROM {name}"
            changes.append(Change(f"drop table {name}", (f"DROP TABLE {name}",), counts))
    return changes


def _tables(dialect: Dialect, found: Catalog, form: Form, everything: Form) -> list[Change]:
    changes: list[Change] = []
    for table in form.tables:
        indexes = tuple(i for i in form.indexes if i.table == table.name)
        shape = found.get(table.name.lower())
        if shape is None:
            changes.append(Change(f"make table {table.name}", tuple(table.ddl(dialect, indexes))))
            continue
        known = next((t for t in everything.tables if t.name == table.name), None)
        gone = {i.name for i in everything.indexes if i.table == table.name} - {i.name for i in indexes}
        changes += [
            Change(f"drop index {name}", (dialect.drop_index(table.name, name),))
            for name in sorted(gone & shape.rules.keys())
        ]
        left = replace(shape, rules={n: r for n, r in shape.rules.items() if n not in gone})
        changes += _reshape(dialect, left, table, indexes, known)
    return changes


def _reshape(
    dialect: Dialect, shape: Shape, table: Table, indexes: tuple[Index, ...], known: Table | None
) -> list[Change]:
    """Changes of one table; what is in `known` and not wanted goes."""
    kinds = table.kinds()
    missing = [name for name in kinds if name not in shape.columns]
    droppable, former_rule = (known.kinds(), known.unique) if known else ({}, "")
    extra = [name for name in shape.columns if name in droppable and name not in kinds]
    rule = tuple(table.unique.split(", ")) if table.unique else ()
    lacks_rule = bool(rule) and not shape.is_unique(rule)
    old_rule = shape.is_unique(former_rule.split(", ")) if former_rule and not rule else ""
    changes = _retypes(dialect, shape, table)
    if not (missing or extra or lacks_rule or old_rule):
        added = [i for i in indexes if i.name not in shape.rules]
    elif dialect.alters:
        changes += _altered(dialect, table, missing, extra, lacks_rule=lacks_rule, old_rule=old_rule)
        added = [i for i in indexes if i.name not in shape.rules]
    elif not (extra or lacks_rule or old_rule) and _can_append(shape, kinds, missing):
        for name in missing:
            statement = f"ALTER TABLE {table.name} ADD COLUMN {name} {dialect.column_types[kinds[name]]}"
            changes.append(Change(f"add column {name} to {table.name}", (statement,)))
        added = [i for i in indexes if i.name not in shape.rules]
    else:
        changes.append(_rebuilt(dialect, shape, table, extra, indexes))
        added = list(indexes)
    return changes + [_add_index(dialect, index) for index in added]


def _altered(
    dialect: Dialect, table: Table, missing: list[str], extra: list[str], *, lacks_rule: bool, old_rule: str
) -> list[Change]:
    kinds, head = table.kinds(), f"ALTER TABLE {table.name}"
    changes = []
    if old_rule:
        what = f"drop the unique rule {old_rule} of {table.name}"
        changes.append(Change(what, (dialect.drop_rule(table.name, old_rule),)))
    for name in missing:
        statement = f"{head} ADD COLUMN {name} {dialect.column_types[kinds[name]]}"
        changes.append(Change(f"add column {name} to {table.name}", (statement,)))
    if lacks_rule:
        named = f"CONSTRAINT {table.rule} " if table.rule else ""
        what = f"make {table.unique} unique in {table.name}"
        changes.append(Change(what, (f"{head} ADD {named}UNIQUE ({table.unique})",)))
    for name in extra:
        counts = _count_values(table.name, name)
        changes.append(Change(f"drop column {name} of {table.name}", (f"{head} DROP COLUMN {name}",), counts))
    return changes


def _rebuilt(
    dialect: Dialect, shape: Shape, table: Table, extra: list[str], indexes: tuple[Index, ...]
) -> Change:
    """With the indexes that are not ours to drop; those of the form are added anew."""
    kinds = table.kinds()
    if strange := [name for name in shape.columns if name not in kinds and name not in extra]:
        raise StoreError(
            f"the table {table.name} has columns that neither ml-metadata nor tidemill made: "
            f"{', '.join(strange)}",
            where=dialect.where,
            hint="drop them, or move them to a table of their own, then ask again",
        )
    kept = [name for name in kinds if name in shape.columns]
    statements = dialect.rebuild(table.name, table.ddl(dialect, ())[0], kept)
    ours = {index.name for index in indexes}
    foreign = [rule.made for name, rule in shape.rules.items() if rule.made and name not in ours]
    lost = [_count_values(table.name, name) for name in extra]
    counts = "SELECT " + " + ".join(f"({query})" for query in lost) if lost else ""
    return Change(f"rebuild table {table.name}", (*statements, *foreign), counts)


def _can_append(shape: Shape, kinds: Mapping[str, str], missing: list[str]) -> bool:
    """Whether the missing columns are the last ones, and may be NULL."""
    in_order = [name for name in kinds if name in shape.columns] + missing == list(kinds)
    return in_order and all("NOT NULL" not in kinds[n] and kinds[n] not in _NOT_LATER for n in missing)


_NOT_LATER = ("unique", "id", "key", "ref", "kind!", "flag!", "name!", "own!", "text!")
"""Kinds of columns that a table with rows cannot be given where it stands, everywhere."""


def _retypes(dialect: Dialect, shape: Shape, table: Table) -> list[Change]:
    """Text that was made longer, or has to become short again."""
    short, long = dialect.column_types["text"], dialect.column_types["value"]
    changes: list[Change] = []
    if short == long:
        return changes
    for name, kind in table.kinds().items():
        stored = shape.columns[name].type if name in shape.columns else ""
        if kind == "value" and stored == short.lower():
            changes.append(
                Change(f"let {name} of {table.name} be longer", dialect.retype(table.name, name, kind))
            )
        elif kind == "text" and stored == long.lower():
            too_long = f"SELECT COUNT(*) FROM {table.name} WHERE OCTET_LENGTH({name}) > 65535"
            what = f"let {name} of {table.name} be shorter"
            changes.append(Change(what, dialect.retype(table.name, name, kind), blocked=too_long))
    return changes


def _add_index(dialect: Dialect, index: Index) -> Change:
    made = index.ddl(dialect)
    statement = f"ALTER TABLE {index.table} ADD {made}" if made.startswith("INDEX ") else made
    return Change(f"add index {index.name}", (statement,))


def _count_values(table: str, column: str) -> str:
    zero = " AND {0} <> 0" if column.endswith("_since_epoch") else ""
    return f"SELECT COUNT(*) FROM {table} WHERE {column} IS NOT NULL{zero.format(column)}"
