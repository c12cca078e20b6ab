"""`tidemill metadata status`, `upgrade` and `downgrade`: the versions of a database's tables."""

from __future__ import annotations

from dataclasses import asdict

import click

from tidemill.cli.output import json_option, moment, print_json, print_table
from tidemill.cli.workspace import Workspace, workspace_options
from tidemill.errors import StoreError
from tidemill.metadata.sql import migrations, upkeep
from tidemill.metadata.sql.schema import MLMD_VERSION

_dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
_no_backup = click.option("--no-backup", is_flag=True, help="Do not copy a SQLite file first.")
_yes = click.option("--yes", is_flag=True, help="Do it without a backup of ours, or although rows are lost.")


@click.command()
@workspace_options
@json_option
def status(workspace: Workspace, as_json: bool) -> None:
    """Say which versions the record's database has, what it holds, and what an upgrade would change."""
    found = upkeep.status(workspace.metadata)
    if as_json:
        print_json({**asdict(found), "newest": {"mlmd": MLMD_VERSION, "own": migrations.newest()}})
        return
    facts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.facts.items())
    click.echo(f"database     {found.where}")
    click.echo(f"kind         {found.kind}, {facts}")
    click.echo(f"ML Metadata  schema version {found.mlmd}{_newest(found.mlmd, MLMD_VERSION)}")
    own = f"schema version {found.own}{_newest(found.own, migrations.newest())}" if found.own else "no tables"
    click.echo(f"tidemill     {own}")
    if found.own:
        click.echo(f"clients      must know version {found.oldest_client} of tidemill's schema")
    for subject, version, when in found.history:
        click.echo(f"{moment(when)}  {subject} brought to version {version}")
    print_table(["TABLE", "ROWS"], list(found.rows.items()))
    click.echo("pending      " + ("nothing" if not found.pending else f"{len(found.pending)} changes"))
    for what in found.pending:
        click.echo(f"  {what}")


def _newest(version: int, newest: int) -> str:
    return "" if version == newest else f"; this release writes {newest}"


@click.command()
@workspace_options
@_dry_run
@_no_backup
@_yes
@json_option
def upgrade(workspace: Workspace, dry_run: bool, no_backup: bool, yes: bool, as_json: bool) -> None:
    """Bring a database of ML Metadata, of any version, to the newest one.

    Releases of ml-metadata that write an older version do not open it afterwards. A SQLite file is copied
    first, to FILE.vN-backup; of a database on a server the administrator makes a backup, and --yes says
    that there is one. Databases of version 6 and later need no upgrade: they are brought up when they are
    opened, where that loses nothing.
    """
    seen = upkeep.outlook(workspace.metadata)
    place = ""
    if not dry_run and seen.changes:
        _ask(seen, no_backup=no_backup, yes=yes)
        place = upkeep.upgrade(workspace.metadata, backup=not no_backup)
    _tell(seen, place, dry_run=dry_run, as_json=as_json)


@click.command()
@workspace_options
@click.option(
    "--to", type=click.IntRange(0, MLMD_VERSION), required=True, metavar="N",
    help="Version of ML Metadata's schema.",
)  # fmt: skip
@click.option("--drop-tidemill", is_flag=True, help="Drop tidemill's own tables, too.")
@_dry_run
@_no_backup
@_yes
@json_option
def downgrade(
    workspace: Workspace, to: int, drop_tidemill: bool, dry_run: bool, no_backup: bool, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Bring a database back to an older version of ML Metadata's schema, so that older releases open it.

    What that version cannot hold is lost: --dry-run says how much. tidemill's own tables stay beside, and
    opening the database with tidemill brings it up again; --drop-tidemill leaves ML Metadata's tables
    alone. Backups as in `upgrade`.
    """
    seen = upkeep.outlook(workspace.metadata, to, drop_own=drop_tidemill)
    place = ""
    if not dry_run:
        _ask(seen, no_backup=no_backup, yes=yes)
        place = upkeep.downgrade(workspace.metadata, to, drop_own=drop_tidemill, backup=not no_backup)
    _tell(seen, place, dry_run=dry_run, as_json=as_json)


def _ask(seen: upkeep.Outlook, *, no_backup: bool, yes: bool) -> None:
    """StoreError when --yes is missing."""
    if yes:
        return
    if not seen.can_copy and not no_backup:
        raise StoreError(
            "tidemill cannot make a backup of a database on a server", where=seen.where,
            hint="have its administrator make one, then add --yes",
        )  # fmt: skip
    if seen.lost and (no_backup or seen.to < seen.version):
        raise StoreError(
            f"{seen.lost} rows or values would be lost", where=seen.where,
            hint="see which with --dry-run; add --yes to lose them",
        )  # fmt: skip


def _tell(seen: upkeep.Outlook, backup: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(seen), "lost": seen.lost, "backup": backup, "done": not dry_run})
        return
    for change in seen.changes:
        if change.lost or dry_run:
            click.echo(f"  {change.what}" + (f" ({change.lost} lost)" if change.lost else ""))
    if backup:
        click.echo(f"backup: {backup}")
    versions = f"ML Metadata schema version {seen.version} to {seen.to}"
    if not seen.changes and seen.version == seen.to:
        click.echo(f"nothing to do: {seen.where} has schema version {seen.to}")
    elif dry_run:
        click.echo(f"would bring {seen.where} from {versions}; nothing was changed")
    else:
        click.echo(f"brought {seen.where} from {versions}")
