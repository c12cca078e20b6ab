"""`tidemill run`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, cast

import click

from tidemill.cli.output import json_option, print_json
from tidemill.cli.progress import Progress
from tidemill.cli.workspace import Workspace, load_ir, read_params, run_options, workspace_options
from tidemill.metadata.model import RunState
from tidemill.runners.local.runner import LocalRunner, RunResult
from tidemill.runtime.call import Isolation
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.plan import run_date

_EXIT = {RunState.COMPLETE: 0, RunState.FAILED: 1, RunState.CANCELED: 130}


@click.command()
@click.argument("file")
@run_options
@workspace_options
@click.option("--jobs", "-j", default=0, metavar="N", help="Nodes at the same time.  [default: one per core]")
@click.option(
    "--isolation",
    type=click.Choice(["process", "none"]),
    default="process",
    show_default=True,
    help="`process`: each node in a process of its own. `none`: one after another in this one.",
)
@click.option("--no-cache", is_flag=True, help="Run every node, even if its result could be reused.")
@click.option("--new", is_flag=True, help="Start a new run even if an unfinished one could be resumed.")
@click.option("--verbose", "-v", is_flag=True, help="Print the logs of the nodes as they grow.")
@json_option
def run(
    file: str, params: tuple[str, ...], date: str, workspace: Workspace, jobs: int, isolation: str,
    no_cache: bool, new: bool, verbose: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run the pipeline that FILE defines; what did not change since an earlier run is reused.

    FILE is a Python file (`pipeline.py`, or `pipeline.py:NAME` when it defines several) or an IR
    (`pipeline.json`). When the runner of an equal run died, that run is resumed.

    \b
    Examples:
      tidemill run pipeline.py
      tidemill run pipeline.py --date 2024-01-05 --param rate=0.05
    """
    ir, code_root = load_ir(file)
    cancel = CancelToken()
    store = workspace.open()
    progress = Progress(verbose=verbose, quiet=as_json)
    try:
        runner = LocalRunner(
            store=store,
            metadata=workspace.metadata,
            root=str(workspace.root),
            jobs=jobs,
            isolation=cast("Isolation", isolation),
            reuse="never" if no_cache else "allowed",
            listener=progress,
            cancel=cancel,
        )
        with progress, canceled_by_signals(cancel):
            result = runner.run(
                ir, read_params(params), date=run_date(ir, date), code_root=code_root,
                workdir=str(Path.cwd()), new=new,
            )  # fmt: skip
    finally:
        store.close()
    if as_json:
        print_json(as_plain(result))
    raise click.exceptions.Exit(_EXIT[result.state])


@contextmanager
def canceled_by_signals(cancel: CancelToken) -> Iterator[None]:
    """SIGINT and SIGTERM cancel the run; a second one ends the program at once."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        if cancel.canceled:
            os._exit(_EXIT[RunState.CANCELED])  # children die with us; the run can be resumed
        click.echo("canceling: waiting for running nodes to end (again to stop at once)", err=True)
        cancel.cancel()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def as_plain(result: RunResult) -> dict[str, Any]:
    """The result of a run as JSON data."""
    return {
        "run": result.run.id,
        "pipeline": result.run.pipeline,
        "version": result.run.version,
        "date": result.run.date,
        "state": result.state,
        "resumed": result.resumed,
        "seconds": round(result.seconds, 3),
        "nodes": {
            node_id: {
                "state": outcome.state,
                "execution": outcome.execution_id,
                "attempt": outcome.attempt,
                "seconds": round(outcome.seconds, 3),
                "message": outcome.message,
                "failure": outcome.failure.kind if outcome.failure else None,
                "log": outcome.log,
            }
            for node_id, outcome in result.outcomes.items()
        },
        "blocked": list(result.blocked),
    }
