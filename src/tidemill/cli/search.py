"""`tidemill search`."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

import click

from tidemill.cli.output import first_line, json_option, moment, print_json, print_table
from tidemill.cli.workspace import Workspace, workspace_options
from tidemill.metadata.search import KINDS, SearchKind


@click.command()
@click.argument("text", nargs=-1, required=True)
@workspace_options
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="Only this; may be repeated.")
@click.option("--type", "type_name", default="", metavar="TYPE", help="Only this type, such as Model.")
@click.option("--pipeline", default="", metavar="NAME", help="Only what belongs to this pipeline.")
@click.option("--limit", default=20, show_default=True, metavar="N", help="At most so many, best first.")
@json_option
def search(
    text: tuple[str, ...], workspace: Workspace, kinds: tuple[str, ...], type_name: str, pipeline: str,
    limit: int, as_json: bool,
) -> None:  # fmt: skip
    """Find what all terms of TEXT hold of: artifacts, executions, runs and contexts.

    A word or a "phrase" is found in names, types, states, URIs, names and values of properties, parameters
    and messages, A to Z in either case. NAME=VALUE (or != < <= > >=) compares a property or a parameter, or
    one of type, name, state, uri, pipeline, date and id. Names count most, then types and states, then
    properties, then the rest; what is found whole counts twice; of equals, the newest comes first.

    \b
    Examples:
      tidemill search taxi
      tidemill search 'auc>0.9 state=LIVE' --type Model
      tidemill search '"out of memory"' --kind execution
    """
    store = workspace.open_existing()
    try:
        wanted = [cast("SearchKind", kind) for kind in kinds]
        hits = store.search(" ".join(text), kinds=wanted, type=type_name, pipeline=pipeline, limit=limit)
    finally:
        store.close()
    if as_json:
        print_json([asdict(hit) for hit in hits])
        return
    rows = []
    for hit in hits:
        where = ", ".join(f"{m.where}: {first_line(m.value, 60)}" for m in hit.matches)
        number = "-" if hit.kind == "run" else str(hit.id)
        rows.append(
            (hit.kind, number, hit.type, hit.state or "-", moment(hit.time), first_line(hit.name, 60), where)
        )
    if rows:
        print_table(["KIND", "ID", "TYPE", "STATE", "CREATED", "NAME", "FOUND IN"], rows)
    else:
        click.echo("nothing was found")
