"""`tidemill pools`."""

from __future__ import annotations

import click

from tidemill.cli.output import json_option, print_json, print_table
from tidemill.cli.workspace import Workspace, workspace_options
from tidemill.errors import RunnerError, did_you_mean


@click.group()
def pools() -> None:
    """Slots that nodes of all runs share, such as GPUs or database connections."""


@pools.command("list")
@workspace_options
@json_option
def list_pools(workspace: Workspace, as_json: bool) -> None:
    """List pools, and how many of their slots are held now."""
    store = workspace.open_existing()
    try:
        found = store.get_pools()
    finally:
        store.close()
    if as_json:
        print_json([{"pool": p.name, "slots": p.slots, "held": p.held} for p in found])
    else:
        print_table(["POOL", "SLOTS", "HELD"], [(p.name, p.slots, p.held) for p in found])


@pools.command("set")
@click.argument("name")
@click.argument("slots", type=click.IntRange(min=0))
@workspace_options
def set_pool(name: str, slots: int, workspace: Workspace) -> None:
    """Make the pool NAME, or change how many SLOTS it has.

    A node says NodeOptions(pool=NAME, slots=N) and holds N of them while it runs. With fewer slots than are
    held, what runs goes on; with 0, nothing starts until there are some again.
    """
    store = workspace.open()
    try:
        store.put_pool(name, slots)
    finally:
        store.close()
    click.echo(f"pool {name} has {slots} slots")


@pools.command("remove")
@click.argument("name")
@workspace_options
def remove_pool(name: str, workspace: Workspace) -> None:
    """Remove the pool NAME, of which no slot may be held."""
    store = workspace.open_existing(read_only=False)
    try:
        known = [pool.name for pool in store.get_pools()]
        if not store.remove_pool(name):
            raise RunnerError(f"there is no pool {name!r}", hint=did_you_mean(name, known))
    finally:
        store.close()
    click.echo(f"removed pool {name}")
