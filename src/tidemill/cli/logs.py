"""`tidemill logs`."""

from __future__ import annotations

import codecs
import re
import sys
import time
from pathlib import Path

import click

from tidemill.cli.output import harmless
from tidemill.cli.workspace import Workspace, find_run, workspace_options
from tidemill.errors import RunnerError, StorageError, did_you_mean
from tidemill.ir import codec
from tidemill.metadata.model import NodeRecord, NodeState, Run
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.launch import LOG, log_uri
from tidemill.runtime.loops import by_place
from tidemill.storage import mirror

_REFRESH = 0.2
"""Seconds between two looks at a growing log."""
_PIECE = 1 << 16


@click.command()
@click.argument("run")
@click.argument("node")
@workspace_options
@click.option("--attempt", default=0, metavar="N", help="Which attempt.  [default: the last]")
@click.option("--follow", "-f", is_flag=True, help="Go on printing until the attempt ends.")
@click.option("--raw", is_flag=True, help="Print the bytes as they are.")
def logs(run: str, node: str, workspace: Workspace, attempt: int, follow: bool, raw: bool) -> None:
    """Print what NODE of RUN wrote to stdout and stderr.

    RUN is a run's id, a unique beginning of it, or `latest`. NODE in a loop is written with its place in
    the loop, as `train[2]`. Logs of all attempts are kept; of a very long one the beginning and the end.
    What could steer the terminal is shown as `\\x1b` and the like; colours stay.
    """
    store = workspace.open_existing()
    try:
        record = find_run(store, run)
        ir = codec.loads(store.get_pipeline_version(record.version))
        known = by_place(ir, store.get_nodes(record.id))
        if node not in known:
            hint = did_you_mean(node, known)
            raise RunnerError(f"run {record.id} has no node {node!r} that was started", hint=hint)
        found = known[node]
        path = _fetched(log_uri(record, found.node_id, found.iteration, attempt or found.attempt))
        if found.state is NodeState.CACHED and not path.exists():
            _explain_cached(store, record, found, _Printer(raw))
            return
        if not path.exists() and not follow:
            raise RunnerError(f"attempt {attempt or found.attempt} of {node} wrote no log", where=str(path))
        _print(path, store, record, found, _Printer(raw), follow=follow)
    finally:
        store.close()


def _fetched(uri: str) -> Path:
    """Where the log is, as far as it is there; one of a remote root is there when its node ended."""
    try:
        return mirror.fetched_file(uri)
    except StorageError:
        return mirror.place(uri)


class _Printer:
    """Prints logs piece by piece, so that a long one needs no more memory than a short one."""

    def __init__(self, raw: bool) -> None:
        self.raw = raw
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.colors = sys.stdout.isatty()
        self.held = ""
        """The beginning of a sequence whose rest is in the next piece."""

    def copy(self, path: Path, position: int = 0) -> int:
        """Print a file from a position on; where it ended."""
        with path.open("rb") as file:
            file.seek(position)
            while data := file.read(_PIECE):
                position += len(data)
                if self.raw:
                    sys.stdout.buffer.write(data)
                else:
                    sys.stdout.write(self.safe(self.decoder.decode(data)))
        sys.stdout.flush()
        return position

    def safe(self, text: str) -> str:
        """The text without anything that steers a terminal."""
        text = self.held + text
        cut = text.rfind("\x1b")
        split = cut >= 0 and len(text) - cut < 20 and re.fullmatch(r"\x1b(\[[0-9;]*)?", text[cut:])
        self.held = text[cut:] if split else ""
        text = text[:cut] if split else text
        return harmless(text, colors=self.colors)


def _explain_cached(store: MetadataStore, run: Run, node: NodeRecord, printer: _Printer) -> None:
    """A cached node ran nothing: say where its log is."""
    click.echo(f"{node.node_id} was cached in run {run.id}: {node.message}", err=True)
    outputs = store.get_outputs([node.execution_id]).get(node.execution_id, {})
    ids = [a.id for found in outputs.values() for a in found]
    makers = {e.execution_id for e in store.get_events(artifact_ids=ids)} if ids else set()
    for execution in store.get_executions_by_id(sorted(makers)):
        original = execution.custom_properties.get(LOG)
        if original and Path(str(original)).exists():
            click.echo(f"its outputs were made by {execution.name}; that log follows", err=True)
            printer.copy(Path(str(original)))
            return


def _print(
    path: Path, store: MetadataStore, run: Run, node: NodeRecord, printer: _Printer, *, follow: bool
) -> None:
    position = 0
    while True:
        (current,) = store.get_nodes(run.id, [(node.node_id, node.iteration)])
        over = current.state is not NodeState.RUNNING or current.attempt != node.attempt
        if path.exists():
            position = printer.copy(path, position)
        if over or not follow:
            return
        time.sleep(_REFRESH)
