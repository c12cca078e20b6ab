"""`tidemill failures`: what failed for good, grouped by cause."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from tidemill.cli.output import first_line, json_option, moment, print_json, print_table
from tidemill.cli.retry import present_pipeline
from tidemill.cli.workspace import Workspace, workspace_options
from tidemill.errors import RunnerError, did_you_mean
from tidemill.metadata.model import FailureRecord, RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.again import plan_again
from tidemill.runners.local.again import submit_retry

_MOST = 10_000
"""Failures, and runs of a pipeline, that are looked at."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@click.group()
def failures() -> None:
    """List final failures by their cause, and queue their runs again."""


@dataclass(frozen=True, slots=True)
class _Cause:
    """All failures with one fingerprint, newest first."""

    fingerprint: str
    found: Sequence[FailureRecord]
    new_in: str
    """The pipeline version that had it first, if runs of another version came before; else empty."""

    @property
    def last(self) -> FailureRecord:
        return self.found[0]

    @property
    def first(self) -> FailureRecord:
        return self.found[-1]

    @property
    def versions(self) -> list[str]:
        return list(dict.fromkeys(f.version for f in reversed(self.found)))


@failures.command("list")
@workspace_options
@click.option("--pipeline", default="", metavar="NAME", help="Only failures of this pipeline.")
@click.option("--since", default="", metavar="AGE", help="Only newer ones: 90m, 12h, 7d or a date.")
@json_option
def list_failures(workspace: Workspace, pipeline: str, since: str, as_json: bool) -> None:
    """List what failed for good, one line per cause, the most recent first.

    A cause is the class of the failure, the type of the exception and the place in your code; numbers
    and paths do not count.
    """
    store = workspace.open_existing()
    try:
        found = store.get_failures(pipeline=pipeline, since=_moment_of(since), limit=_MOST)
        causes = _grouped(store, found)
    finally:
        store.close()
    if as_json:
        print_json([_plain(cause) for cause in causes])
        return
    rows = [
        (c.fingerprint, c.last.kind, len(c.found), moment(c.first.time), moment(c.last.time),
         f"{c.last.pipeline}/{c.last.node_id}", c.last.run_id, _note(c))
        for c in causes
    ]  # fmt: skip
    print_table(["CAUSE", "CLASS", "COUNT", "FIRST", "LAST", "NODE", "LAST RUN", "WHY"], rows)


@failures.command("show")
@click.argument("fingerprint")
@workspace_options
@json_option
def show_failure(fingerprint: str, workspace: Workspace, as_json: bool) -> None:
    """Show one cause: its message, the versions that have it, and every run it ended.

    FINGERPRINT is what `tidemill failures list` calls CAUSE, or the beginning of it.
    """
    store = workspace.open_existing()
    try:
        cause = _find(store, fingerprint)
    finally:
        store.close()
    if as_json:
        print_json({**_plain(cause), "failures": [_plain_failure(f) for f in cause.found]})
        return
    click.echo(f"cause     {click.style(cause.fingerprint, bold=True)} ({cause.last.kind})")
    click.echo(f"seen      {len(cause.found)} times, {moment(cause.first.time)} to {moment(cause.last.time)}")
    click.echo(f"versions  {', '.join(v[:12] for v in cause.versions)}")
    if cause.new_in:
        click.echo(f"new in    {cause.new_in[:12]}")
    click.echo("")
    click.echo("\n".join(f"  {line}" for line in cause.last.message.splitlines()))
    click.echo("")
    rows = [(moment(f.time), f.run_id, f.node_id, f.attempt, f.version[:12]) for f in cause.found]
    print_table(["WHEN", "RUN", "NODE", "ATTEMPT", "VERSION"], rows)
    click.echo(f"\nlog  tidemill logs {cause.last.run_id} {cause.last.node_id}")


@failures.command("replay")
@click.argument("fingerprint")
@workspace_options
@click.option("--priority", default=0, metavar="N", help="Runs of a higher priority are started first.")
@json_option
def replay_failures(fingerprint: str, workspace: Workspace, priority: int, as_json: bool) -> None:
    """Queue a retry of every run that failed of one cause, once what caused it is mended.

    FINGERPRINT may be the beginning of one. Each retry is what `tidemill retry` would do, with the code of
    today, and waits for `tidemill worker`. Runs that have a retry already, which did not fail, are left.
    """
    store = workspace.open_existing(read_only=False)
    try:
        run_ids = list(dict.fromkeys(f.run_id for f in reversed(_find(store, fingerprint).found)))
        queued = {run_id: _replay(store, run_id, priority) for run_id in run_ids}
    finally:
        store.close()
    if as_json:
        print_json([{"run": old, "retry": new, "note": note} for old, (new, note) in queued.items()])
    else:
        print_table(
            ["RUN", "RETRY", "NOTE"], [(old, new or "-", note) for old, (new, note) in queued.items()]
        )


def _replay(store: MetadataStore, run_id: str, priority: int) -> tuple[str, str]:
    """The retry of a run, and what is to be said of it."""
    run = store.get_run(run_id)
    if run is None or not run.state.ended:
        return "", "the run has not ended"
    later = [r for r in store.get_runs(pipeline=run.pipeline, limit=_MOST) if r.base_run == run_id]
    if good := [r for r in later if r.state in (RunState.COMPLETE, RunState.RUNNING, RunState.QUEUED)]:
        return good[0].id, f"is {good[0].state} already"
    again = plan_again(store, run, present=present_pipeline(run))
    retry = submit_retry(store, again, priority=priority)
    return retry.id, "queued" + (f"; code changed: {', '.join(again.changed)}" if again.changed else "")


def _find(store: MetadataStore, fingerprint: str) -> _Cause:
    found = store.get_failures(fingerprint=fingerprint, limit=_MOST)
    if not found:
        every = store.get_failures(limit=_MOST)
        known = sorted({f.fingerprint for f in every})
        matching = [print_ for print_ in known if print_.startswith(fingerprint)]
        if len(matching) != 1:
            why = "is the beginning of several" if matching else "is unknown"
            raise RunnerError(
                f"cause {fingerprint!r} {why}",
                hint=did_you_mean(fingerprint, known) or "nothing has failed for good",
            )
        found = [f for f in every if f.fingerprint == matching[0]]
    return _grouped(store, found)[0]


def _grouped(store: MetadataStore, found: Sequence[FailureRecord]) -> list[_Cause]:
    """The failures by fingerprint, the most recently seen cause first."""
    groups: dict[str, list[FailureRecord]] = defaultdict(list)
    for failure in found:
        groups[failure.fingerprint].append(failure)
    history: dict[str, list[tuple[int, str]]] = {}
    causes = []
    for fingerprint, members in groups.items():
        first = members[-1]
        if first.pipeline not in history:
            runs = store.get_runs(pipeline=first.pipeline, limit=_MOST)
            history[first.pipeline] = [(run.create_time, run.version) for run in runs]
        began = min((at for at, v in history[first.pipeline] if v == first.version), default=first.time)
        older = any(at < began and v != first.version for at, v in history[first.pipeline])
        causes.append(_Cause(fingerprint, members, first.version if older else ""))
    return causes


def _note(cause: _Cause) -> str:
    new = f"new in {cause.new_in[:12]}: " if cause.new_in else ""
    return new + first_line(cause.last.message)


def _moment_of(since: str) -> int:
    """Milliseconds since 1970 of `7d` ago, or of a local date `2026-01-31`."""
    if not since:
        return 0
    if match := re.fullmatch(r"(\d{1,6})([smhdw])", since):
        return max(0, int((time.time() - int(match[1]) * _UNITS[match[2]]) * 1000))
    try:
        return int(time.mktime(time.strptime(since, "%Y-%m-%d")) * 1000)
    except (ValueError, OverflowError):
        message = f"{since!r} is neither an age such as 90m, 12h, 7d nor a date such as 2026-01-31"
        raise click.BadParameter(message, param_hint="--since") from None


def _plain(cause: _Cause) -> dict[str, Any]:
    return {
        "fingerprint": cause.fingerprint, "class": cause.last.kind, "count": len(cause.found),
        "first_seen": cause.first.time, "last_seen": cause.last.time, "versions": cause.versions,
        "new_in": cause.new_in, "message": cause.last.message, "example": _plain_failure(cause.last),
        "runs": list(dict.fromkeys(f.run_id for f in cause.found)),
    }  # fmt: skip


def _plain_failure(failure: FailureRecord) -> dict[str, Any]:
    return {
        "run": failure.run_id, "pipeline": failure.pipeline, "version": failure.version,
        "node": failure.node_id, "iteration": failure.iteration, "attempt": failure.attempt,
        "execution": failure.execution_id, "time": failure.time,
    }  # fmt: skip
