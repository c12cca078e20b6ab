"""`tidemill run`."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from tidemill.cli.driving import (
    cache_option,
    drive,
    jobs_option,
    new_option,
    tell_of_arrivals,
    verbose_option,
    wait_option,
)
from tidemill.cli.output import json_option
from tidemill.cli.part import Part, part_options
from tidemill.cli.workspace import Workspace, load_ir, read_params, run_options, workspace_options
from tidemill.runners.local.runner import LocalRunner, RunResult
from tidemill.runtime.call import Isolation
from tidemill.runtime.plan import run_date


@click.command()
@click.argument("file")
@run_options
@part_options
@workspace_options
@jobs_option
@click.option(
    "--isolation",
    type=click.Choice(get_args(Isolation)),
    default="process",
    show_default=True,
    help="`process`: each node in a process of its own, forked from a warm one. `fresh`: in a brand-new "
    "interpreter. `none`: one after another in this process. A node's own option comes before it.",
)
@cache_option
@new_option
@wait_option
@verbose_option
@json_option
def run(
    file: str, params: tuple[str, ...], date: str, part: Part, workspace: Workspace, jobs: int,
    isolation: str, no_cache: bool, new: bool, wait: bool, verbose: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run the pipeline that FILE defines; what did not change since an earlier run is reused.

    FILE is a Python file (`pipeline.py`, or `pipeline.py:NAME` when it defines several) or an IR
    (`pipeline.json`). When the runner of an equal run died, that run is resumed.

    With --from, --to or --only a part of the pipeline is run; what that part needs of the other nodes is
    taken from a base run. `tidemill explain` with the same options says what would happen.

    \b
    Examples:
      tidemill run pipeline.py
      tidemill run pipeline.py --date 2024-01-05 --param rate=0.05
      tidemill run pipeline.py --from train --base latest
    """
    ir, code_root = load_ir(file)
    tell_of_arrivals(ir, file)
    selection = part.selection(ir)
    store = workspace.open()

    def begin(runner: LocalRunner) -> RunResult:
        return runner.run(
            ir, read_params(params), date=run_date(ir, date), code_root=code_root,
            workdir=str(Path.cwd()), file=str(file), new=new, selection=selection,
            base=part.base or "latest",
        )  # fmt: skip

    try:
        drive(
            workspace, store, begin, jobs=jobs, isolation=isolation, no_cache=no_cache, wait=wait,
            verbose=verbose, as_json=as_json,
        )  # fmt: skip
    finally:
        store.close()
