"""What people ask of a database as a whole: say what it is, bring it up, bring it down.

Opening does the harmless part of this by itself (opening.py). What is here may lose something or lock
others out, so each act can be told before it is done, and the database can be copied first. This file
knows no database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from tidemill.errors import StoreError
from tidemill.metadata.sql import migrations, opening, versions
from tidemill.metadata.sql.altering import Change, run
from tidemill.metadata.sql.catalog import Catalog, read_catalog
from tidemill.metadata.sql.database import Database, Transaction
from tidemill.metadata.sql.history import OLDEST_IN_PLACE
from tidemill.metadata.sql.lens import lens
from tidemill.metadata.sql.opening import State
from tidemill.metadata.sql.reading import row_counts
from tidemill.metadata.sql.schema import MLMD_VERSION, OWN_INDEXES, OWN_TABLES
from tidemill.metadata.sql.store import open_database


@dataclass(frozen=True, slots=True)
class Status:
    """What a database is."""

    where: str
    kind: str
    facts: dict[str, str]
    """Of the server or the file: its version, and how a file commits."""
    mlmd: int
    own: int
    """Version of tidemill's tables; 0 when there are none."""
    oldest_client: int
    """The version of tidemill's tables that clients must know; 0 when there are none."""
    pending: tuple[str, ...]
    """What is missing for the newest form."""
    rows: dict[str, int] = field(default_factory=dict)
    history: tuple[tuple[str, int, int], ...] = ()
    """(`mlmd` or `tidemill`, version, milliseconds since 1970) of all that was written down."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One change, and how many rows or values are lost with it."""

    what: str
    lost: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What bringing a database to a version would do."""

    where: str
    version: int
    to: int
    changes: tuple[Planned, ...]
    can_copy: bool
    """Whether a backup is made here; else it is the administrator's task."""

    @property
    def lost(self) -> int:
        """Rows and values that would be lost."""
        return sum(change.lost for change in self.changes)


def status(url: str) -> Status:
    """What the database at `url` is. StoreError when it is no record of ours or of MLMD's."""
    database = open_database(url, read_only=True)
    try:
        state = _existing(database)
        pending = database.read(_pending, state)
        log = migrations.LOG in state.tables and state.own
        written = tuple(database.read(migrations.history)) if log else ()
        database.lens = database.read(lens)
        return Status(
            where=database.dialect.where, kind=database.dialect.kind,
            facts=database.dialect.facts(database.connection()),
            mlmd=state.mlmd or 0, own=state.own, oldest_client=state.oldest,
            pending=tuple(change.what for change in pending),
            rows=database.read(row_counts), history=written,
        )  # fmt: skip
    finally:
        database.close()


def outlook(url: str, to: int = MLMD_VERSION, *, drop_own: bool = False) -> Outlook:
    """What `upgrade` or `downgrade` would do. Nothing is changed."""
    database = open_database(url, read_only=True)
    try:
        state = _existing(database)
        if to < MLMD_VERSION or drop_own:
            changes = database.read(_down, state, to, drop_own=drop_own)
        else:
            changes = database.read(_pending, state)
        told = tuple(Planned(c.what, database.read(_count, c.counts)) for c in changes)
        can_copy = database.dialect.copies
        return Outlook(database.dialect.where, state.mlmd or 0, to, told, can_copy)
    finally:
        database.close()


def upgrade(url: str, *, backup: bool = True) -> str:
    """Bring the database to the newest form, whatever its version; where its backup lies.

    No backup is made where the database is on a server, or when `backup` is false: the answer is empty.
    """
    outlook(url)
    database = open_database(url)
    try:
        state = _existing(database)
        place = _backup(database, state) if backup else ""
        database.create(partial(opening.complete, upgrade_from=0))
        return place
    finally:
        database.close()


def downgrade(url: str, to: int, *, drop_own: bool = False, backup: bool = True) -> str:
    """Bring MLMD's tables back to version `to`, so that releases of that version open them; see upgrade().

    tidemill's own tables stay beside them, unless `drop_own`. Below the versions that are opened in place
    they cannot stay: what they refer to is not kept there.
    """
    outlook(url, to, drop_own=drop_own)
    database = open_database(url)
    try:
        state = _existing(database)
        place = _backup(database, state) if backup else ""
        database.create(partial(_bring_down, to=to, drop_own=drop_own))
        return place
    finally:
        database.close()


def _existing(database: Database) -> State:
    """The state of a database that holds a record, of any version up to the newest."""
    state = database.read(opening.look)
    opening.check(state, database.dialect.where, upgrade_from=0)
    if state.mlmd is None and not state.begun:
        raise StoreError(f"{database.dialect.where} holds no record yet", hint="it is made when it is used")
    return state


def _pending(tx: Transaction, state: State) -> list[Change]:
    found = read_catalog(tx)
    changes = versions.plan(tx.dialect, found, MLMD_VERSION)
    own = migrations.pending(tx.dialect, found)
    if state.own and state.own < migrations.newest():
        own.append(Change(f"set tidemill's version to {migrations.newest()}", ()))
    if state.mlmd != MLMD_VERSION:
        changes.append(Change(f"set ML Metadata's version to {MLMD_VERSION}", ()))
    return [*changes, *own]


def _count(tx: Transaction, query: str) -> int:
    row = tx.row(query) if query else None
    return int(row[0]) if row else 0


def _backup(database: Database, state: State) -> str:
    dialect = database.dialect
    try:
        return dialect.backup(database.connection(), f"v{state.mlmd}-backup")
    except dialect.errors as error:
        raise dialect.explain(error) from error
    except OSError as error:
        raise StoreError(
            f"the backup cannot be written: {error.strerror or error}", where=dialect.where,
            hint="free some space beside the file, or make a copy yourself and pass --no-backup",
        ) from error  # fmt: skip


def _bring_down(tx: Transaction, *, to: int, drop_own: bool) -> None:
    if tx.dialect.creation_lock:
        tx.row(tx.dialect.creation_lock)
    state = opening.look(tx)
    changes = _down(tx, state, to, drop_own=drop_own)
    if state.mlmd:
        versions.set_version(tx, max(to, 1))
    run(tx, changes)
    if to == 0:  # what tells this version is there now
        versions.set_version(tx, 0)
    if migrations.LOG in opening.look(tx).tables:
        migrations.log(tx, migrations.MLMD, to)


def _down(tx: Transaction, state: State, to: int, *, drop_own: bool) -> list[Change]:
    """Changes that lead to an older version; StoreError when there is no such way."""
    where = tx.dialect.where
    if state.mlmd is None or not 0 <= to <= MLMD_VERSION:
        raise StoreError(f"there is no ML Metadata schema version {to}", where=where,
                         hint=f"versions are 0 to {MLMD_VERSION}")  # fmt: skip
    if to > state.mlmd:
        raise StoreError(
            f"the database has ML Metadata schema version {state.mlmd}, which is older than {to}",
            where=where, hint="upgrade it: tidemill metadata upgrade",
        )  # fmt: skip
    found = read_catalog(tx)
    if state.own and to < OLDEST_IN_PLACE and not drop_own:
        runs = _count(tx, "SELECT COUNT(*) FROM tidemill_run")
        if runs:
            raise StoreError(
                f"tidemill's record of {runs} runs refers to what ML Metadata's schema version {to} "
                "cannot hold",
                where=where, hint=f"give it up with --drop-tidemill, or go no lower than {OLDEST_IN_PLACE}",
            )  # fmt: skip
        drop_own = True
    own = _without_own(tx, found) if drop_own else []
    changes = [*own, *versions.plan(tx.dialect, found, to)]
    for change in changes:
        if count := _count(tx, change.blocked):
            raise StoreError(
                f"{count} values are too long to {change.what}, as version {to} wants it", where=where,
                hint="shorten or delete them, or go no lower than version 7",
            )  # fmt: skip
    return changes


def _without_own(tx: Transaction, found: Catalog) -> list[Change]:
    """Changes that leave nothing of ours; the table that says whether we are there goes last."""
    changes = []
    for index in OWN_INDEXES:
        shape = found.get(index.table.lower())
        if not index.table.startswith("tidemill_") and shape and index.name in shape.rules:
            drop = tx.dialect.drop_index(index.table, index.name)
            changes.append(Change(f"drop index {index.name}", (drop,)))
    for column in tx.dialect.stand_in("EventPath"):
        if column in found["eventpath"].columns:
            drop = f"ALTER TABLE EventPath DROP COLUMN {column}"
            changes.append(Change(f"drop column {column} of EventPath", (drop,)))
    names: Sequence[str] = [table.name for table in OWN_TABLES if table.name != migrations.ENV]
    for name in (*names, migrations.ENV):
        if name in found:
            counted = "" if name in (migrations.ENV, migrations.LOG) else f"SELECT COUNT(*) FROM {name}"
            changes.append(Change(f"drop table {name}", (f"DROP TABLE {name}",), counted))
    return changes
