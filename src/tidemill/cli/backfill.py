"""`tidemill backfill`."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import click

from tidemill.cli.driving import canceled_by_signals, jobs_option
from tidemill.cli.output import colored, duration, json_option, print_json, print_table
from tidemill.cli.workspace import Workspace, load_ir, read_params, workspace_options
from tidemill.errors import RunnerError
from tidemill.runners.base.starting import settings_of
from tidemill.runners.base.watch import waking
from tidemill.runners.local.backfill import Backfill, Day, Verdict, plan_backfill
from tidemill.runners.local.runner import LocalRunner
from tidemill.runtime.plan import run_date
from tidemill.runtime.schedule import dates_of


@click.command()
@click.argument("file")
@click.option("--from", "first", required=True, metavar="YYYY-MM-DD", help="First date.")
@click.option("--to", "last", required=True, metavar="YYYY-MM-DD", help="Last date, which is included.")
@click.option("--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="As for tidemill run.")
@workspace_options
@click.option("--parallel", default=1, show_default=True, metavar="N", help="Runs at the same time.")
@jobs_option
@click.option(
    "--rerun",
    type=click.Choice(["none", "failed", "all"]),
    default="none",
    show_default=True,
    help="Which dates to run again that have ended runs of this version and these parameters.",
)
@click.option("--keep-going", is_flag=True, help="Go on with later dates after one failed.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
def backfill(
    file: str, first: str, last: str, params: tuple[str, ...], workspace: Workspace, parallel: int, jobs: int,
    rerun: str, keep_going: bool, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run the pipeline that FILE defines once for each date of its schedule, oldest first.

    Asking again does what is left: dates with a complete run of this version and these parameters are
    skipped. Without a schedule every day has a run. It stops at the first failure, or with --keep-going
    when it is through. The exit code is 1 unless every date has a complete run.
    """
    ir, code_root = load_ir(file)
    begin, end = (date.fromisoformat(run_date(ir, text)) for text in (first, last))
    if begin > end:
        raise RunnerError(f"--from {first} is later than --to {last}")
    given = read_params(params)
    store = workspace.open()
    try:
        plan = plan_backfill(store, ir, dates_of(ir.schedule, begin, end), given, rerun)
        if dry_run:
            _print(plan, as_json=as_json)
            return
        runner = LocalRunner(store=store, metadata=workspace.metadata, root=workspace.root, jobs=jobs)
        settings = settings_of(ir, code_root=code_root, workdir=str(Path.cwd()), file=file)
        driven = Backfill(
            runner, ir, given, settings=settings, parallel=parallel, keep_going=keep_going,
            tell=lambda day: None if as_json else _tell(day),
        )  # fmt: skip
        with canceled_by_signals(driven.cancel), waking():
            days = driven.run(plan)
    finally:
        store.close()
    _print(days, as_json=as_json)
    raise click.exceptions.Exit(130 if driven.canceled else int(any(day.bad for day in days)))


def _tell(day: Day) -> None:
    took = duration(day.seconds) if day.seconds else "-"
    click.echo(f"  {day.date}  {colored(day.verdict.ljust(8))}  {took.rjust(9)}  {day.run_id}")


def _print(days: list[Day], *, as_json: bool) -> None:
    counts = Counter(day.verdict for day in days)
    if as_json:
        rows = [{"date": d.date, "verdict": d.verdict, "run": d.run_id or None, "why": d.why} for d in days]
        print_json({"dates": rows, "counts": {verdict.value: n for verdict, n in counts.items()}})
        return
    if days:
        print_table(
            ["DATE", "VERDICT", "TOOK", "RUN", "WHY"],
            [
                (d.date, d.verdict, duration(d.seconds) if d.seconds else "-", d.run_id or "-", d.why)
                for d in days
            ],
        )
    said = ", ".join(f"{counts[verdict]} {verdict.lower()}" for verdict in Verdict if counts[verdict])
    click.echo(f"{len(days)} dates: {said or 'nothing to do'}")
