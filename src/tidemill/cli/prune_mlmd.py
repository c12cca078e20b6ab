"""`tidemill prune --mlmd`: runs of TFX and Kubeflow Pipelines, by the policy and in the steps of prune."""

from __future__ import annotations

from collections import Counter

import click

from tidemill.cli.output import first_line, moment, print_json, print_table
from tidemill.cli.workspace import Workspace
from tidemill.errors import RunnerError, StorageError, did_you_mean
from tidemill.metadata.model import Artifact, ArtifactState
from tidemill.metadata.retention import MlmdRetention, MlmdRowRetention, Place, RetentionPolicy
from tidemill.metadata.sql.mlmd_pruning import MlmdRecord
from tidemill.storage import mirror, removal
from tidemill.storage.uri import is_local, local_path

STAYS = "stays: it is under way, among the newest that are kept, or does not fit the other conditions"
_SHOWN = 20
"""Artifacts that stay, and runs, of which the reason is printed one by one."""


def prune(workspace: Workspace, policy: RetentionPolicy, *, rows: bool, yes: bool, as_json: bool) -> None:
    """Delete what the policy lets go, or say what that would be."""
    root = workspace.root
    if is_local(root) and not local_path(root).is_dir():
        raise StorageError(
            f"there is no folder {root}: whether files below it are gone or only not mounted, nobody knows",
            hint="name the pipeline root of these runs with --root",
        )
    store = workspace.open_existing_database("pruning what others recorded", read_only=not yes)
    try:
        record = MlmdRecord(store.database, _place)
        if policy.run:
            _check_run(record, policy.run)
        chosen = record.mark_for_deletion(policy) if yes else record.plan_retention(policy)
        doomed = list(chosen.artifacts)
        if yes:  # MLMD's writers know none of our locks: what they took up meanwhile stays
            again = {a.id for a in record.plan_retention(policy).artifacts
                     if a.state is ArtifactState.MARKED_FOR_DELETION}  # fmt: skip
            doomed = [a for a in doomed if a.id in again]
        freed = sum(_size(a) for a in doomed)
        for artifact in doomed if yes else ():
            _remove(artifact, root)
        if yes:
            store.mark_deleted([a.id for a in doomed])
        removed = _rows(record, policy, yes=yes) if rows else None
    finally:
        store.close()
    if as_json:
        _print(chosen, doomed, freed, removed, yes=yes)
    else:
        _tell(policy, chosen, doomed, freed, removed, yes=yes)


def _rows(record: MlmdRecord, policy: RetentionPolicy, *, yes: bool) -> MlmdRowRetention:
    plan = record.plan_row_retention(policy)
    for batch in plan.batches if yes else ():
        record.remove_runs([run.context for run in batch])
    return plan


def _check_run(record: MlmdRecord, name: str) -> None:
    known = [run.id for run in record.runs()]
    if name not in known:
        raise RunnerError(
            f"there is no run {name!r} of TFX or Kubeflow in this record", hint=did_you_mean(name, known)
        )


def _place(uri: str) -> Place:
    path, sure = removal.place(uri)
    return Place(path=path, sure=sure)


def _size(artifact: Artifact) -> int:
    if is_local(artifact.uri):
        return removal.size_of(local_path(artifact.uri))
    return mirror.size_of(artifact.uri)


def _remove(artifact: Artifact, root: str) -> None:
    """Remove an artifact's files, having looked once more that they lie below the root."""
    path, sure = removal.place(artifact.uri)
    top, _ = removal.place(root)
    if not sure or not path.startswith(f"{top}/"):
        raise StorageError(f"{artifact.uri} does not lie below {root}; it is not removed")
    if is_local(artifact.uri):
        removal.remove(local_path(artifact.uri), local_path(root))
    else:
        mirror.remove(artifact.uri)


def _print(
    chosen: MlmdRetention, doomed: list[Artifact], freed: int, removed: MlmdRowRetention | None, *, yes: bool
) -> None:
    print_json(
        {
            "deleted": yes,
            "runs": [{"run": r.id, "context": r.context, "writer": r.writer, "pipeline": r.pipeline,
                      "state": r.state} for r in chosen.runs],
            "artifacts": [a.id for a in doomed],
            "kept": {a.id: why for a, why in chosen.kept},
            "bytes": freed,
            "running": [run.id for run in chosen.running],
        }
        | ({} if removed is None else {
            "removed_runs": [run.context for batch in removed.batches for run in batch],
            "kept_runs": {run.context: why for run, why in removed.kept},
        })
    )  # fmt: skip


def _tell(
    policy: RetentionPolicy, chosen: MlmdRetention, doomed: list[Artifact], freed: int,
    removed: MlmdRowRetention | None, *, yes: bool,
) -> None:  # fmt: skip
    if chosen.runs:
        print_table(
            ["RUN", "OF", "PIPELINE", "STATE", "ENDED"],
            [(first_line(r.id), r.writer, first_line(r.pipeline) or "-", r.state or "-", moment(r.end_time))
             for r in chosen.runs],
        )  # fmt: skip
    verb = "deleted" if yes else "would delete"
    click.echo(f"{verb} {len(doomed)} artifacts of {len(chosen.runs)} runs, {freed / 1e6:.1f} MB")
    if policy.run and not chosen.runs:
        click.echo(f"run {policy.run} {STAYS}")
    elsewhere = Counter(why for _, why in chosen.kept)
    for why, count in elsewhere.most_common(_SHOWN):
        click.echo(f"kept {count} artifacts: {why}")
    if removed is not None:
        count = sum(map(len, removed.batches))
        click.echo(f"{'removed' if yes else 'would remove'} the record of {count} runs")
        for run, why in removed.kept[:_SHOWN]:
            click.echo(f"kept the record of {first_line(run.id)}: {first_line(why)}")
        if len(removed.kept) > _SHOWN:
            click.echo(f"... and of {len(removed.kept) - _SHOWN} more; --json has them all")
    if doomed and any(run.writer == "Kubeflow" for run in chosen.runs):
        click.echo("Kubeflow's own cache does not look at the record: it may hand on what is deleted here")
    if not yes:
        if chosen.running:
            busy = chosen.running[0]
            click.echo(
                f"{busy.writer}'s run {first_line(busy.id)} is under way: --yes refuses until it ended"
            )
        if doomed or (removed is not None and removed.batches):
            click.echo("nothing was changed; add --yes to delete")
