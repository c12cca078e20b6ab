"""`tidemill submit`."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.cli.driving import cache_option, end_as, new_option, tell_of_arrivals, wait_for
from tidemill.cli.output import json_option, print_json
from tidemill.cli.part import Part, part_options
from tidemill.cli.workspace import Workspace, load_ir, read_params, run_options, workspace_options
from tidemill.runners.base.starting import SameWork, settings_of, submit, wish
from tidemill.runtime.plan import run_date


@click.command("submit")
@click.argument("file")
@run_options
@part_options
@workspace_options
@click.option("--priority", default=0, metavar="N", help="Runs of a higher priority are started first.")
@cache_option
@new_option
@click.option("--wait", is_flag=True, help="Wait until the run has ended, and end as it does.")
@json_option
def submit_command(
    file: str, params: tuple[str, ...], date: str, part: Part, workspace: Workspace, priority: int,
    no_cache: bool, new: bool, wait: bool, as_json: bool,
) -> None:  # fmt: skip
    """Queue a run of the pipeline that FILE defines; `tidemill worker` starts it when its turn comes.

    Everything is checked now: the definition, the parameters, the pools, the base run. The code that runs
    is what the files hold then. A worker's own environment counts: variables are not stored.
    """
    ir, code_root = load_ir(file)
    tell_of_arrivals(ir, file)
    store = workspace.open()
    try:
        settings = settings_of(
            ir, code_root=code_root, workdir=str(Path.cwd()), file=file,
            reuse="never" if no_cache else "allowed",
        )  # fmt: skip
        wanted = wish(
            store, ir, read_params(params), root=workspace.root, date=run_date(ir, date),
            settings=settings, selection=part.selection(ir), base=part.base or "latest", priority=priority,
        )  # fmt: skip
        try:
            run = submit(store, ir, wanted, new=new)
        except SameWork as same:
            if not wait:
                raise
            run = same.run
        if not wait:
            if as_json:
                print_json({"run": run.id, "pipeline": run.pipeline, "state": run.state, "date": run.date})
            else:
                click.echo(f"queued run {click.style(run.id, bold=True)}")
            return
        ended = wait_for(store, run, quiet=as_json)
        while not ended.state.ended:  # its worker died: another one goes on with it
            ended = wait_for(store, run, quiet=True)
        end_as(ended, as_json=as_json)
    finally:
        store.close()
