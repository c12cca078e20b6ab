"""`tidemill models`: the versions in a folder that Pusher pushes to."""

from __future__ import annotations

import getpass
import os
from dataclasses import asdict
from pathlib import Path

import click

from tidemill.cli.output import first_line, json_option, print_json, print_table
from tidemill.errors import StorageError
from tidemill.storage import manifest
from tidemill.storage import versions as pushed
from tidemill.storage.uri import local_path


@click.group()
def models() -> None:
    """Pushed models: what there is, and the way back."""


@models.command("list")
@click.argument("destination")
@json_option
def list_models(destination: str, as_json: bool) -> None:
    """List the versions in DESTINATION, a folder that Pusher pushes to, oldest first.

    The current one is marked; --json adds every change of it: when, who and why.
    """
    folder = _checked(destination)
    pointer = pushed.read_pointer(folder)
    rows = []
    for name in pushed.versions(folder):
        sealed = manifest.read(folder / pushed.VERSIONS / name)
        wrong = manifest.damage(folder / pushed.VERSIONS / name)
        digest = sealed.digest if sealed else ""
        state = "current" if pointer and pointer.version == name else ""
        if not state and pointer and digest in pointer.withdrawn:
            state = "withdrawn"
        rows.append({"version": name, "state": state, "digest": digest, "damage": wrong,
                     "size": sealed.size if sealed else 0})  # fmt: skip
    if as_json:
        changes = [asdict(change) for change in pushed.history(folder)]
        print_json({"destination": str(folder), "versions": rows, "changes": changes})
        return
    table = [(r["version"], r["damage"] or r["state"], r["size"], str(r["digest"])[:12]) for r in rows]
    print_table(["VERSION", "STATE", "BYTES", "DIGEST"], table)


@models.command()
@click.argument("destination")
@click.option("--to", default="", metavar="VERSION", help="Which one.  [default: what was current before]")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is kept.")
@click.option("--by", default="", metavar="NAME", help="Who does it.  [default: the user]")
@json_option
def rollback(destination: str, to: str, reason: str, by: str, as_json: bool) -> None:
    """Make an earlier version in DESTINATION current again. Servers that follow the folder swap to it.

    What is rolled back from stays on disk. Pushing the same bytes again does not bring them back, unless
    Pusher is told to `force`; a newer model is pushed as ever.
    """
    change = pushed.rollback(_checked(destination), to=to, by=by or _user(), reason=reason)
    if as_json:
        print_json(asdict(change))
    elif change.before == change.version:
        click.echo(f"version {change.version} is current already")
    else:
        why = f": {first_line(reason)}" if reason else ""
        click.echo(f"version {change.version} is current, {change.before} was{why}")


def _checked(destination: str) -> Path:
    folder = local_path(destination)
    if not (folder / pushed.VERSIONS).is_dir():
        raise StorageError(
            f"{folder} is not a folder that Pusher pushed to", hint="name Pusher's destination"
        )
    return folder


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return f"uid {os.getuid()}"
