"""How a database gets from one version of ML Metadata's schema to another: the plan, with the data's moves.

Tables and columns follow from the two forms (history.py, altering.py); what happens to rows stands here.
MLMD does the same, statement by statement; where we do better, a comment says so. This file knows nothing
of tidemill's own tables.
"""

from __future__ import annotations

from dataclasses import replace

from tidemill.metadata.sql.altering import Change, transformation
from tidemill.metadata.sql.catalog import Catalog, Shape
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.dialect import Dialect
from tidemill.metadata.sql.history import EVERYTHING, FORMER_COLUMNS, form
from tidemill.metadata.sql.schema import SYSTEM_TYPES

_VALUES = ("int_value", "double_value", "string_value", "byte_value", "proto_value", "bool_value")
_PARENTS_SINCE, _SYSTEM_TYPES_SINCE = 6, 7
_SAME_EVENT = "artifact_id, execution_id, type"


def plan(dialect: Dialect, found: Catalog, to: int) -> list[Change]:
    """What brings MLMD's tables to a version, up or down, from any other or from nothing.

    The row in MLMDEnv is the caller's to change: last when going up, first when going down, so that
    whoever finds the work half done sees the older version, to which more columns do no harm.
    """
    wanted = form(to)
    tables = {t.name.lower(): t for t in wanted.tables}
    moves: list[Change] = []
    if to <= 1 and "type" in found and "type_kind" in found["type"].columns:
        doomed = "FROM Type WHERE type_kind = 2"
        moves.append(Change("drop types of contexts", (f"DELETE {doomed}",), f"SELECT COUNT(*) {doomed}"))
    if to < _SYSTEM_TYPES_SINCE and "type" in found:
        moves.append(_without_system_types("parenttype" in found and to >= _PARENTS_SINCE))
    renames, shapes = _renames(dialect, found, to)
    event, rule = shapes.get("event"), tables["event"].unique
    if event and rule and not event.is_unique(rule.split(", ")):
        moves += _single_events()
    for name, table in tables.items():
        if name in shapes and "is_custom_property" in shapes[name].columns:
            moves += _valueless(shapes[name], table.name, set(table.kinds()))
    changes = transformation(dialect, shapes, wanted, EVERYTHING)
    return [*moves, *renames, *(c for c in changes if c.what != "drop table MLMDEnv")]


def _renames(dialect: Dialect, found: Catalog, to: int) -> tuple[list[Change], dict[str, Shape]]:
    """Columns to rename, and the tables as they are after that."""
    shapes, changes = dict(found), []
    for table, (former, now, since) in FORMER_COLUMNS.items():
        old, new = (now, former) if to < since else (former, now)
        shape = shapes.get(table.lower())
        if shape is None or old not in shape.columns:
            continue
        statement = dialect.rename_column(table, old, new, "kind!")
        changes.append(Change(f"call column {old} of {table} {new}", (statement,)))
        columns = {new if name == old else name: column for name, column in shape.columns.items()}
        shapes[table.lower()] = replace(shape, columns=columns)
    return changes, shapes


def _without_system_types(keep_parents: bool) -> Change:
    """Older releases take MLMD's own types for the user's. MLMD leaves them when it goes down."""
    names = ", ".join(f"'mlmd.{name}'" for name, _ in SYSTEM_TYPES)
    used = " AND id NOT IN (SELECT parent_type_id FROM ParentType)" if keep_parents else ""
    return Change("drop system types", (f"DELETE FROM Type WHERE name IN ({names}){used}",))


def _single_events() -> list[Change]:
    """Of events that say the same, the newest stays, as in MLMD: later versions allow one."""
    newest = f"(SELECT newest FROM (SELECT MAX(id) AS newest FROM Event GROUP BY {_SAME_EVENT}) kept)"
    again = Change(
        "drop events that were recorded again later",
        (f"DELETE FROM Event WHERE id NOT IN {newest}",),
        f"SELECT COUNT(*) FROM Event WHERE id NOT IN {newest}",
    )
    paths = "DELETE FROM EventPath WHERE event_id NOT IN (SELECT id FROM Event)"
    return [again, Change("drop paths of events that are gone", (paths,))]


def _valueless(shape: Shape, table: str, kept: set[str]) -> list[Change]:
    """Properties that have no value in the new form.

    MLMD leaves rows without any value behind when it goes down, and then cannot read the nodes they
    belong to, neither there nor when it has come up again.
    """
    columns = [name for name in _VALUES if name in shape.columns]
    if {"bool_value", "proto_value"} <= set(columns) <= kept:
        return []  # nothing is taken away, and nothing was
    empty = " AND ".join(f"{name} IS NULL" for name in columns if name in kept)
    return [Change(f"drop rows of {table} without a value", (f"DELETE FROM {table} WHERE {empty}",))]


def add_system_types(tx: Transaction) -> None:
    """Register the types that are missing: databases of early releases have none."""
    names = [f"mlmd.{name}" for name, _ in SYSTEM_TYPES]
    known = {(n, k) for n, k in tx.rows_in("SELECT name, type_kind FROM Type WHERE name IN ({ids})", names)}
    for name, kind in SYSTEM_TYPES:
        if (f"mlmd.{name}", kind.value) not in known:
            tx.insert("Type", "name, type_kind", (f"mlmd.{name}", kind.value))


def set_version(tx: Transaction, version: int) -> None:
    """Write the version down; version 0 has no place for it."""
    if version == 0:
        tx.execute("DROP TABLE IF EXISTS MLMDEnv")
    elif tx.row("SELECT COUNT(*) FROM MLMDEnv") == (0,):
        tx.insert_rows("MLMDEnv", "schema_version", [(version,)])
    else:
        tx.execute("UPDATE MLMDEnv SET schema_version = ?", (version,))


def looks_oldest(found: Catalog) -> bool:
    """Whether these are MLMD's tables of version 0, which is not written down."""
    return all(
        table.name.lower() in found and table.kinds().keys() <= found[table.name.lower()].columns.keys()
        for table in form(0).tables
    )
