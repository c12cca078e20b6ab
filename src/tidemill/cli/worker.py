"""`tidemill worker`."""

from __future__ import annotations

import os
import signal
from types import FrameType

import click

from tidemill.cli.driving import jobs_option
from tidemill.cli.output import colored, duration
from tidemill.cli.workspace import Workspace, workspace_options
from tidemill.metadata.model import RunState
from tidemill.runners.base.watch import waking
from tidemill.runners.local.runner import LocalRunner
from tidemill.runners.local.worker import Report, Took, Worker


@click.command()
@workspace_options
@jobs_option
@click.option(
    "--runs",
    "most",
    default=0,
    metavar="N",
    help="Runs under way at once.  [default: two per job, 4 at least]",
)
@click.option("--once", is_flag=True, help="End when the queue is empty, with 1 when a run was not complete.")
def worker(workspace: Workspace, jobs: int, most: int, once: bool) -> None:
    """Drive the runs that `tidemill submit` queued, by priority, then by age.

    Runs share the jobs of this machine. Several workers may share a store; runs of a worker that died are
    taken over by the next. The first SIGTERM or Ctrl-C lets the runs under way end and takes no more; a
    second one ends the worker at once, and its runs wait for another.
    """
    store = workspace.open()
    runner = LocalRunner(store=store, metadata=workspace.metadata, root=workspace.root, jobs=jobs)
    driving = Worker(runner, most_runs=most, tell=_tell)

    def handle(_number: int, _frame: FrameType | None) -> None:
        if driving.stopping:
            os._exit(130)
        click.echo(
            "taking no more runs; those under way go on to their end (again to stop at once)", err=True
        )
        driving.stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with waking():
            driving.work(once=once)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        store.close()
    raise click.exceptions.Exit(1 if once and driving.failed else 0)


def _tell(report: Report) -> None:
    """One line per event: workers run for months, and nobody watches."""
    if isinstance(report, Took):
        verb = "resuming" if report.resumed else "starting"
        click.echo(f"{verb} run {report.run.id}")
    elif isinstance(report.value, BaseException):
        click.echo(f"run {report.run.id} {colored(RunState.FAILED)}: {report.value}", err=True)
    else:
        took = duration(report.value.seconds)
        click.echo(f"run {report.run.id} {colored(report.value.state)} in {took}")
