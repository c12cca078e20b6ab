"""`tidemill mirror`."""

from __future__ import annotations

import click

from tidemill.cli.output import json_option, print_json
from tidemill.runtime.judge import amount
from tidemill.storage import eviction
from tidemill.types.size import bytes_of


@click.group()
def mirror() -> None:
    """Look at what this machine has of remote roots, and make room.

    Where the root is a URI such as s3://bucket/mill, artifacts are made and read in a folder of this machine,
    the mirror. TIDEMILL_MIRROR says where it is, TIDEMILL_MIRROR_LIMIT how large it may be: 200Gi, 30% of its
    disk, or none; 50% when it says nothing. What was not used for longest goes first, what a run uses never.
    """


@mirror.command("show")
@json_option
def show_mirror(as_json: bool) -> None:
    """Say where the mirror is, how much is in it, and how much of that is in use now."""
    found = eviction.usage()
    if as_json:
        print_json({
            "folder": str(found.folder), "bytes": found.size, "held_bytes": found.held, "units": found.units,
            "limit": found.limit,
        })  # fmt: skip
        return
    click.echo(f"folder  {found.folder}")
    click.echo(f"size    {amount(found.size)} in {found.units} artifacts and logs")
    click.echo(f"in use  {amount(found.held)}")
    click.echo(f"limit   {'none' if found.limit is None else amount(found.limit)}")


@mirror.command("clear")
@click.option(
    "--to", "size", default="0", metavar="SIZE", help="Leave so much, such as 20Gi.  [default: nothing]"
)
@json_option
def clear_mirror(size: str, as_json: bool) -> None:
    """Remove what nothing uses now, unused for longest first.

    Nothing is lost: what is needed again is fetched again. It may be called at any time, whatever runs.
    """
    try:
        most = bytes_of(size)
    except ValueError:
        raise click.BadParameter(f"{size!r} is no size; write for example 20Gi", param_hint="--to") from None
    freed = eviction.clear(most)
    left = eviction.usage()
    if as_json:
        print_json({"freed": freed, "bytes": left.size, "held_bytes": left.held})
        return
    click.echo(f"removed {amount(freed)}; {amount(left.size)} left, of which {amount(left.held)} in use")
