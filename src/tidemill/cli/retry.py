"""`tidemill retry`."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.cli.driving import cache_option, drive, jobs_option, new_option, verbose_option, wait_option
from tidemill.cli.output import json_option
from tidemill.cli.workspace import Workspace, find_run, load_ir, workspace_options
from tidemill.errors import DefinitionError
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import Run
from tidemill.runners.base.again import plan_again
from tidemill.runners.local.again import retry


@click.command("retry")
@click.argument("run", default="latest")
@click.option(
    "--from", "nodes", multiple=True, metavar="NODE", help="Run this node and what follows it, too."
)
@workspace_options
@jobs_option
@cache_option
@new_option
@wait_option
@verbose_option
@json_option
def retry_command(
    run: str, nodes: tuple[str, ...], workspace: Workspace, jobs: int, no_cache: bool, new: bool,
    wait: bool, verbose: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run again what failed, was blocked or was canceled in RUN, and what comes after it.

    That is a new run of the same pipeline, parameters and date; what succeeded is taken from RUN. The code
    is what the files hold now: where it is not what ran then, that is said, and the new run has a version
    of its own. RUN is a run's id, a unique beginning of it, or `latest`.
    """
    store = workspace.open_existing(read_only=False)
    try:
        old = find_run(store, run)
        present = present_pipeline(old)
        again = plan_again(store, old, nodes=nodes, present=present)
        if not as_json:
            click.echo(f"retrying run {old.id}: {', '.join(again.selection.run)}")
            if again.changed:
                click.echo(f"code changed since then: {', '.join(again.changed)}")
        drive(
            workspace, store, lambda runner: retry(runner, again, new=new), jobs=jobs, no_cache=no_cache,
            isolation=old.settings.get("isolation", "process"), wait=wait, verbose=verbose, as_json=as_json,
        )  # fmt: skip
    finally:
        store.close()


def present_pipeline(run: Run) -> PipelineIR | None:
    """The pipeline that a run's file defines now; None, with a warning, when that cannot be known."""
    file = str(run.settings.get("file", ""))
    path = Path(str(run.settings.get("workdir", "")), file)
    if not file:
        return None
    try:
        return load_ir(str(path))[0]
    except DefinitionError as error:
        click.secho(f"whether code changed since is not known: {error.message}", fg="yellow", err=True)
        return None
