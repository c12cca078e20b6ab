"""`tidemill cancel`."""

from __future__ import annotations

import click

from tidemill.cli.output import json_option, print_json
from tidemill.cli.workspace import Workspace, find_run, workspace_options
from tidemill.errors import RunnerError
from tidemill.metadata.model import RunState
from tidemill.runners.base.ending import cancel, follow
from tidemill.runtime import owner


@click.command("cancel")
@click.argument("run")
@workspace_options
@click.option("--wait", is_flag=True, help="Return when the run has ended.")
@click.option(
    "--force", is_flag=True, help="End the run even if its runner is on another machine and cannot be seen."
)
@json_option
def cancel_command(run: str, workspace: Workspace, wait: bool, force: bool, as_json: bool) -> None:
    """End a run that is queued or under way, and every process of it; exit nodes run as always.

    RUN is a run's id, a unique beginning of it, or `latest`. What is complete stays and is reused. A run
    whose runner died is ended, too. The exit code is 4 when the run had ended otherwise.
    """
    store = workspace.open_existing(read_only=False)
    try:
        found = find_run(store, run)
        if found.state.ended and found.state is not RunState.CANCELED:
            raise RunnerError(f"run {found.id} is {found.state} already")
        ended = cancel(store, found.id, force=force)
        while wait and not ended.state.ended:
            ended = follow(store, found.id)
            if not ended.state.ended:  # its runner died meanwhile
                ended = cancel(store, found.id, force=force)
    finally:
        store.close()
    if as_json:
        print_json({"run": ended.id, "state": ended.state, "request": ended.request})
    elif not ended.state.ended:
        seen = owner.is_alive(ended.owner) is not None
        where = "" if seen else "; its runner is on another machine: --force ends the run without it"
        click.echo(f"run {ended.id} was asked to end{where}")
    else:
        click.echo(f"run {ended.id} is {ended.state}")
    if ended.state.ended and ended.state is not RunState.CANCELED:
        raise click.exceptions.Exit(RunnerError.exit_code)
