"""`tidemill prune`."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import click

from tidemill.cli import prune_mlmd
from tidemill.cli.output import json_option, moment, print_json, print_table
from tidemill.cli.workspace import Workspace, find_run, workspace_options
from tidemill.errors import StorageError
from tidemill.metadata.model import Artifact, Run, RunState
from tidemill.metadata.retention import Retention, RetentionPolicy, RowRetention
from tidemill.metadata.sql import SqlStore
from tidemill.storage import mirror
from tidemill.storage.removal import remove, size_of
from tidemill.storage.uri import is_local, join, local_path

_AGE = re.compile(r"(\d+)([dhm])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60}
_ENDED = [s.value for s in RunState if s.ended]


@click.command()
@workspace_options
@click.option(
    "--keep-last",
    type=int,
    metavar="N",
    help="Complete runs of each pipeline that are always kept.  [default: 10; 1 with --run]",
)
@click.option(
    "--older-than", default="", metavar="AGE", help="Only runs that ended so long ago: 30d, 12h, 45m."
)
@click.option("--pipeline", default="", metavar="NAME", help="Only runs of this pipeline.")
@click.option("--run", "run_id", default="", metavar="RUN", help="Only this run.")
@click.option("--state", type=click.Choice(_ENDED), help="Only runs that ended so.")
@click.option(
    "--rows", is_flag=True, help="Also remove the record of those runs that nothing kept refers to."
)
@click.option(
    "--mlmd",
    is_flag=True,
    help="Runs that TFX or Kubeflow Pipelines recorded with ML Metadata, instead of tidemill's own.",
)
@click.option("--yes", is_flag=True, help="Delete. Without it, only say what would be deleted.")
@json_option
def prune(
    workspace: Workspace, keep_last: int | None, older_than: str, pipeline: str, run_id: str,
    state: str | None, rows: bool, mlmd: bool, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Delete the files of old runs that nothing kept refers to any more.

    What a kept run made, used or reused stays, whoever made it: the champion, the days of a window, what
    the cache handed on. So does what somebody put into a context of their own, as an alias. The record stays
    too: a deleted artifact is still in the lineage, as DELETED. Files outside of the root, such as pushed
    models, are never touched. Without --yes nothing is changed.

    With --rows the record of a run goes too, executions, artifacts, events and all, when nothing that stays
    refers to anything it made; its lineage is lost then. End other programs that have the record open first.

    With --mlmd all of this is done for runs of TFX or Kubeflow Pipelines in the database that --metadata
    names. --root is the folder or bucket below which their files may be deleted, the pipeline root of then.
    """
    policy = RetentionPolicy(
        root=workspace.root,
        keep_last=(1 if run_id else 10) if keep_last is None else keep_last,
        pipeline=pipeline,
        run=run_id,
        state=RunState(state) if state else None,
        ended_before=int((time.time() - _age(older_than)) * 1000) if older_than else 0,
    )
    if mlmd:
        prune_mlmd.prune(workspace, policy, rows=rows, yes=yes, as_json=as_json)
        return
    database = workspace.open_database("removing rows") if rows else None
    store = database or workspace.open()
    try:
        if run_id:
            policy = replace(policy, run=find_run(store, run_id).id)
        chosen = store.mark_for_deletion(policy) if yes else store.plan_retention(policy)
        doomed = store.get_marked() if yes else list(chosen.artifacts)
        freed = sum(_size(a.uri) for a in doomed)
        if yes:
            # Files first, then the record: after a crash in between, the next prune finds them marked.
            for artifact in doomed:
                _remove(artifact.uri, workspace.root)
            store.mark_deleted([a.id for a in doomed])
            freed += sum(_sweep(run, chosen, workspace.root) for run in chosen.runs)
        removed = _rows(database, policy, yes=yes) if database is not None else None
    finally:
        store.close()
    _tell(policy, chosen, doomed, freed, removed, yes=yes, as_json=as_json)


def _rows(store: SqlStore, policy: RetentionPolicy, *, yes: bool) -> RowRetention:
    """Remove rows of runs, batch by batch: each leaves a sound record, wherever this process ends."""
    plan = store.plan_row_retention(policy)
    for batch in plan.batches if yes else ():
        store.remove_runs([run.id for run in batch])
    return plan


def _age(text: str) -> int:
    match = _AGE.fullmatch(text)
    if not match:
        raise click.BadParameter(f"{text!r} is not an age; write 30d, 12h or 45m", param_hint="--older-than")
    return int(match[1]) * _SECONDS[match[2]]


def _sweep(run: Run, chosen: Retention, root: str) -> int:
    """Remove what attempts of a run left behind unpublished, and its logs; bytes freed."""
    if run.root != root:
        return 0
    if not is_local(root):
        return _sweep_remote(run, {a.uri for a in chosen.kept})
    kept = {local_path(a.uri).resolve() for a in chosen.kept}
    freed, top = 0, local_path(root)
    for attempt in [*(top / run.pipeline / run.id).glob("*/*"), top / "logs" / run.id]:
        if attempt.is_dir() and not any(k.is_relative_to(attempt.resolve()) for k in kept):
            freed += size_of(attempt)
            remove(attempt, top)
    return freed


def _sweep_remote(run: Run, kept: set[str]) -> int:
    made = join(run.root, run.pipeline, run.id)
    attempts = [
        join(made, node, attempt)
        for node in mirror.folders(made)
        for attempt in mirror.folders(join(made, node))
    ]
    freed = 0
    for place in [*attempts, join(run.root, "logs", run.id)]:
        if not any(uri.startswith(f"{place}/") for uri in kept):
            freed += mirror.size_of(place)
            mirror.remove(place)
    return freed


def _size(uri: str) -> int:
    return size_of(local_path(uri)) if is_local(uri) else mirror.size_of(uri)


def _remove(uri: str, root: str) -> None:
    """Remove an artifact's files; never any outside of the root."""
    if is_local(uri):
        remove(local_path(uri), mirror.place(root))
    elif uri.startswith(f"{root}/"):
        mirror.remove(uri)
    else:
        raise StorageError(f"{uri} does not lie below {root}; it is not removed")


def _tell(
    policy: RetentionPolicy, chosen: Retention, doomed: list[Artifact], freed: int,
    removed: RowRetention | None, *, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    if as_json:
        answer: dict[str, Any] = {
            "deleted": yes, "runs": [r.id for r in chosen.runs], "artifacts": [a.id for a in doomed],
            "kept": [a.id for a in chosen.kept], "bytes": freed,
        }  # fmt: skip
        if removed is not None:
            answer["removed_runs"] = [run.id for batch in removed.batches for run in batch]
            answer["kept_runs"] = {run.id: why for run, why in removed.kept}
        print_json(answer)
        return
    if chosen.runs:
        rows = [(r.id, r.date or "-", r.state, moment(r.end_time)) for r in chosen.runs]
        print_table(["RUN", "DATE", "STATE", "ENDED"], rows)
    verb = "deleted" if yes else "would delete"
    click.echo(f"{verb} {len(doomed)} artifacts of {len(chosen.runs)} runs, {freed / 1e6:.1f} MB")
    if policy.run and not chosen.runs:
        click.echo(f"run {policy.run} {prune_mlmd.STAYS}")
    if chosen.kept:
        click.echo(f"kept {len(chosen.kept)} artifacts of these runs that a kept run or an alias refers to")
    if removed is not None:
        count = sum(map(len, removed.batches))
        click.echo(f"{'removed' if yes else 'would remove'} the record of {count} runs")
        for run, why in removed.kept:
            click.echo(f"kept the record of {run.id}: {why}")
    if not yes and (doomed or removed):
        click.echo("nothing was changed; add --yes to delete")
