"""Driving a run in the foreground: signals cancel it, its result is printed, its end is the exit code."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, cast

import click

from tidemill.cli.output import print_json
from tidemill.cli.progress import Progress
from tidemill.cli.workspace import Workspace
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import Run, RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.ending import follow
from tidemill.runners.base.starting import SameWork
from tidemill.runners.base.watch import waking
from tidemill.runners.local.runner import LocalRunner, RunResult
from tidemill.runtime.call import Isolation
from tidemill.runtime.execute import CancelToken

EXIT = {RunState.COMPLETE: 0, RunState.FAILED: 1, RunState.CANCELED: 130}

jobs_option = click.option(
    "--jobs", "-j", default=0, metavar="N", help="Nodes at the same time.  [default: one per core]"
)
cache_option = click.option(
    "--no-cache", is_flag=True, help="Run every node, even if its result could be reused."
)
new_option = click.option(
    "--new", is_flag=True, help="Start a new run even if an unfinished one does the same work."
)
wait_option = click.option(
    "--wait", is_flag=True, help="When another process does the same work, wait for it and end as it does."
)
verbose_option = click.option(
    "--verbose", "-v", is_flag=True, help="Print the logs of the nodes as they grow."
)


def drive(
    workspace: Workspace, store: MetadataStore, begin: Callable[[LocalRunner], RunResult], *, jobs: int,
    isolation: str = "process", no_cache: bool, wait: bool, verbose: bool, as_json: bool,
) -> NoReturn:  # fmt: skip
    """Let `begin` run with a local runner; end the program as the run ends."""
    cancel = CancelToken()
    progress = Progress(verbose=verbose, quiet=as_json)
    runner = LocalRunner(
        store=store,
        metadata=workspace.metadata,
        root=workspace.root,
        jobs=jobs,
        isolation=cast("Isolation", isolation),
        reuse="never" if no_cache else "allowed",
        listener=progress,
        cancel=cancel,
    )
    while True:
        try:
            with progress, canceled_by_signals(cancel.cancel), waking():
                result = begin(runner)
            if as_json:
                print_json(as_plain(result))
            raise click.exceptions.Exit(EXIT[result.state])
        except SameWork as same:
            if not wait:
                raise
            ended = wait_for(store, same.run, quiet=as_json)
        if ended.state.ended:
            end_as(ended, as_json=as_json)


def wait_for(store: MetadataStore, run: Run, *, quiet: bool) -> Run:
    """Follow a run of another process until it ended, or its runner died."""
    if not quiet:
        click.echo(f"waiting for run {click.style(run.id, bold=True)}, which does this work")
    return follow(store, run.id)


def end_as(run: Run, *, as_json: bool) -> NoReturn:
    """End the program as a run ended that somebody else drove."""
    if as_json:
        print_json({"run": run.id, "pipeline": run.pipeline, "state": run.state, "date": run.date})
    else:
        click.echo(f"run {run.id} ended as {run.state}")
    raise click.exceptions.Exit(EXIT[run.state])


@contextmanager
def canceled_by_signals(cancel: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM cancel what runs; a second one ends the program at once."""
    told: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if told:
            os._exit(EXIT[RunState.CANCELED])  # children die with us; the run can be resumed
        told.append(number)
        click.echo("canceling: waiting for running nodes to end (again to stop at once)", err=True)
        cancel()

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
        "base": result.run.base_run or None,
        "state": result.state,
        "resumed": result.resumed,
        "seconds": round(result.seconds, 3),
        "nodes": {
            name: {
                "state": outcome.state,
                "execution": outcome.execution_id,
                "attempt": outcome.attempt,
                "seconds": round(outcome.seconds, 3),
                "message": outcome.message,
                "failure": outcome.failure.kind if outcome.failure else None,
                "log": outcome.log,
            }
            for name, outcome in result.outcomes.items()
        },
        "blocked": list(result.blocked),
    }


def tell_of_arrivals(ir: PipelineIR, file: str) -> None:
    """Whoever wrote `Schedule(on=...)` may expect that a run waits for the data: it does not, here."""
    if ir.schedule is not None and ir.schedule.on is not None:
        click.echo(
            f"note: {ir.name} is to start when data arrives, but nothing keeps schedules on this machine: "
            f"this run starts now, with what is there. `tidemill sources {file}` says what is new.",
            err=True,
        )
