"""`tidemill logs`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from tidemill.cli.workspace import Workspace, find_run, workspace_options
from tidemill.errors import RunnerError, did_you_mean
from tidemill.metadata.model import NodeRecord, NodeState, Run
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.launch import LOG, log_uri
from tidemill.storage.uri import local_path

_REFRESH = 0.2
"""Seconds between two looks at a growing log."""


@click.command()
@click.argument("run")
@click.argument("node")
@workspace_options
@click.option("--attempt", default=0, metavar="N", help="Which attempt.  [default: the last]")
@click.option("--follow", "-f", is_flag=True, help="Go on printing until the attempt ends.")
def logs(run: str, node: str, workspace: Workspace, attempt: int, follow: bool) -> None:
    """Print what NODE of RUN wrote to stdout and stderr.

    RUN is a run's id, a unique beginning of it, or `latest`. Logs of all attempts are kept.
    """
    store = workspace.open_existing()
    try:
        record = find_run(store, run)
        known = {n.node_id: n for n in store.get_nodes(record.id)}
        if node not in known:
            hint = did_you_mean(node, known)
            raise RunnerError(f"run {record.id} has no node {node!r} that was started", hint=hint)
        found = known[node]
        path = local_path(log_uri(record, node, found.iteration, attempt or found.attempt))
        if found.state is NodeState.CACHED and not path.exists():
            _explain_cached(store, record, found)
            return
        if not path.exists() and not follow:
            raise RunnerError(f"attempt {attempt or found.attempt} of {node} wrote no log", where=str(path))
        _print(path, store, record, found, follow)
    finally:
        store.close()


def _explain_cached(store: MetadataStore, run: Run, node: NodeRecord) -> None:
    """A cached node ran nothing: say where its log is."""
    click.echo(f"{node.node_id} was cached in run {run.id}: {node.message}", err=True)
    outputs = store.get_outputs([node.execution_id]).get(node.execution_id, {})
    ids = [a.id for found in outputs.values() for a in found]
    makers = {e.execution_id for e in store.get_events(artifact_ids=ids)} if ids else set()
    for execution in store.get_executions_by_id(sorted(makers)):
        original = execution.custom_properties.get(LOG)
        if original and Path(str(original)).exists():
            click.echo(f"its outputs were made by {execution.name}; that log follows", err=True)
            sys.stdout.write(Path(str(original)).read_text(encoding="utf-8", errors="replace"))
            return


def _print(path: Path, store: MetadataStore, run: Run, node: NodeRecord, follow: bool) -> None:
    position = 0
    while True:
        current = {n.node_id: n for n in store.get_nodes(run.id)}[node.node_id]
        over = current.state is not NodeState.RUNNING or current.attempt != node.attempt
        if path.exists():
            with path.open("rb") as file:
                file.seek(position)
                data = file.read()
                position = file.tell()
            sys.stdout.write(data.decode("utf-8", "replace"))
            sys.stdout.flush()
        if over or not follow:
            return
        time.sleep(_REFRESH)
