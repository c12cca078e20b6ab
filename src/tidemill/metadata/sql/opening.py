"""What happens to a database before it is used: look what it is, bring it to the newest form, or refuse.

Several processes may open one at once: one of them changes it, the others wait and find it done. Where a
transaction covers the creation of tables, a process that dies leaves nothing of it; elsewhere the next one
completes it, since every change is planned from what is there. This file knows no database.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial

from tidemill.errors import StoreError
from tidemill.metadata.sql import migrations, versions
from tidemill.metadata.sql.altering import Change, run
from tidemill.metadata.sql.catalog import read_catalog
from tidemill.metadata.sql.database import Database, Transaction
from tidemill.metadata.sql.history import OLDEST_IN_PLACE, form
from tidemill.metadata.sql.lens import lens
from tidemill.metadata.sql.schema import MLMD_VERSION

_log = logging.getLogger("tidemill.metadata")

ASK = "upgrade it, with a backup: tidemill metadata upgrade --metadata URL (add --dry-run first)"
"""How to have done what is not done unasked."""


@dataclass(frozen=True, slots=True)
class State:
    """What a database is."""

    tables: dict[str, str]
    """Lower-case name -> name."""
    mlmd: int | None
    """Version of MLMD's schema; None when it has none, or is still being made."""
    own: int
    """Version of our tables; 0 when there are none, or they are still being made."""
    oldest: int
    """Version of ours that its clients must know; 0 when the database does not say so yet."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to do."""
        return self.mlmd == MLMD_VERSION and self.own >= migrations.newest()

    @property
    def begun(self) -> bool:
        """Whether our part is being made, and perhaps MLMD's."""
        return migrations.ENV in self.tables and not self.oldest


def prepare(database: Database, *, upgrade_from: int = OLDEST_IN_PLACE) -> State:
    """Make sure that the database holds the record in its newest form; what it was before.

    A database of MLMD's from version `upgrade_from` on is brought to the newest version where that loses
    nothing. One that is opened read-only stays as it is and is read as if it had been. StoreError when it
    holds something else, a newer record, or an older one.
    """
    state = database.read(look)
    least = min(upgrade_from, OLDEST_IN_PLACE) if database.dialect.read_only else upgrade_from
    check(state, database.dialect.where, upgrade_from=least)
    if state.is_whole:
        database.settle()
        return state
    if database.dialect.read_only:
        if state.mlmd is None or state.begun:
            raise StoreError(
                f"{database.dialect.where} holds no tidemill record yet",
                hint="open it once without read_only=True",
            )
        database.lens = database.read(lens)
        return state
    database.create(partial(complete, upgrade_from=upgrade_from))
    if upgrade_from and state.mlmd is not None and state.mlmd < MLMD_VERSION:
        back = f"`tidemill metadata downgrade --to {state.mlmd}` brings it back"
        _log.warning(
            "%s: upgraded from ML Metadata schema version %d to %d, which older releases of ml-metadata "
            "do not open; %s", database.dialect.where, state.mlmd, MLMD_VERSION, back,
        )  # fmt: skip
    return state


def look(tx: Transaction) -> State:
    """What the database is."""
    tables = {name.lower(): name for (name,) in tx.rows(tx.dialect.tables)}
    mlmd = _number(tx, "MLMDEnv", tables)
    if mlmd is None and "mlmdenv" not in tables and "type" in tables:
        mlmd = 0 if versions.looks_oldest(read_catalog(tx)) else None
    oldest = _number(tx, migrations.ENV, tables) or 0
    own = 1 if oldest else 0
    if oldest and migrations.LOG in tables:
        own = migrations.logged(tx, migrations.TIDEMILL) or own
    return State(tables, mlmd, own, oldest)


def _number(tx: Transaction, table: str, tables: dict[str, str]) -> int | None:
    row = tx.row(f"SELECT MAX(schema_version) FROM {table}") if table.lower() in tables else None
    return row[0] if row else None


def check(state: State, where: str, *, upgrade_from: int) -> None:
    """StoreError when the database is none that we may use or bring up."""
    tables = state.tables
    if not tables or state.begun:
        return
    if state.mlmd is None:
        if "mlmdenv" in tables:
            raise StoreError(
                "the database has ML Metadata's tables and no version of them", where=where,
                hint="if ml-metadata is creating them now, ask again; else restore it from a backup",
            )  # fmt: skip
        raise StoreError(
            "the database belongs to something else: it has tables, but not those of ML Metadata",
            where=where,
            hint=f"name another one; found {', '.join(sorted(tables.values())[:5])}",
        )
    newer = "it was written by a newer version: update tidemill, or name another database"
    if state.mlmd > MLMD_VERSION:
        raise _other(f"ML Metadata schema version {state.mlmd}, not {MLMD_VERSION}", where, newer)
    if state.oldest > migrations.newest():
        what = f"tidemill schema version {state.oldest}, and this release knows {migrations.newest()}"
        raise _other(what, where, newer)
    if missing := sorted(t.name for t in form(state.mlmd).tables if t.name.lower() not in tables):
        raise StoreError(f"the database lacks tables: {', '.join(missing)}", where=where,
                         hint="restore it from a backup")  # fmt: skip
    if state.mlmd < upgrade_from:
        raise _other(f"ML Metadata schema version {state.mlmd}, not {MLMD_VERSION}", where, ASK)


def _other(what: str, where: str, hint: str) -> StoreError:
    return StoreError(f"the database has {what}", where=where, hint=hint)


def complete(tx: Transaction, *, upgrade_from: int) -> None:
    """Create and change what is missing. Where CREATE TABLE ends a transaction, versions alone are undone.

    With `upgrade_from` 0 somebody asked for it: whatever the version says, everything is looked at, and
    rows that the newest form cannot hold are dropped.
    """
    if tx.dialect.creation_lock:
        tx.row(tx.dialect.creation_lock)
    state = look(tx)  # again: another process may have been faster
    check(state, tx.dialect.where, upgrade_from=upgrade_from)
    if state.is_whole and upgrade_from:
        return
    if migrations.ENV not in state.tables:  # without a version it says that the rest is being made
        for statement in migrations.own_form(1).tables[0].ddl(tx.dialect, ()):
            tx.execute(statement)
    if state.mlmd != MLMD_VERSION or not upgrade_from:
        changes = versions.plan(tx.dialect, read_catalog(tx), MLMD_VERSION)
        if upgrade_from:
            _keep_everything(tx, changes)
        run(tx, changes)
    versions.add_system_types(tx)
    if state.mlmd != MLMD_VERSION:
        versions.set_version(tx, MLMD_VERSION)
    for statement in tx.dialect.keep_order("EventPath"):
        tx.execute(statement)
    migrations.migrate(tx, state.own, oldest=state.oldest)
    migrations.log(tx, migrations.MLMD, MLMD_VERSION)


def _keep_everything(tx: Transaction, changes: list[Change]) -> None:
    """StoreError when a change would lose something and nobody asked for it."""
    for change in changes:
        row = tx.row(change.counts) if change.counts else None
        if row and row[0]:
            raise StoreError(
                f"opening the database would {change.what}, {row[0]} of them", where=tx.dialect.where,
                hint=ASK,
            )  # fmt: skip
