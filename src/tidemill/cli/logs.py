"""`tidemill logs`."""

from __future__ import annotations

import codecs
import re
import sys
import time

import click

from tidemill.cli.output import harmless
from tidemill.cli.workspace import Workspace, find_run, workspace_options
from tidemill.errors import RunnerError, did_you_mean
from tidemill.ir import codec
from tidemill.metadata.model import NodeRecord, NodeState, Run
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.launch import LOG, log_uri
from tidemill.runtime.logreader import LogReader
from tidemill.runtime.loops import by_place
from tidemill.storage import mirror
from tidemill.storage.shelf import LocalShelf, shelf
from tidemill.storage.uri import is_local

_REFRESH = 0.2
"""Seconds between two looks at a growing log."""
_REFRESH_REMOTE = 2.0
"""The same where each look is a request to an object store."""


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
    the loop, as `train[2]`. Logs of all attempts are kept; of one that grows beyond the node's `log_limit`,
    the beginning and the end. With --follow all of it is seen, or how much was missed where a node prints
    faster than this prints. Where the root is remote, what a node prints on another machine is seen some
    seconds later. What could steer the terminal is shown as `\\x1b` and the like; colours stay.
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
        uri = log_uri(record, found.node_id, found.iteration, attempt or found.attempt)
        printer = _Printer(raw)
        source = _Source(uri, ir.node(found.node_id).options.log_limit)
        if follow:
            _follow(source, store, record, found, printer)
        elif not source.print_new(printer):
            if found.state is NodeState.CACHED:
                _explain_cached(store, record, found, printer)
            elif not source.exists():
                raise RunnerError(f"attempt {attempt or found.attempt} of {node} wrote no log", where=uri)
    finally:
        store.close()


class _Source:
    """A log, wherever it is: on this machine, or in the storage of a remote root."""

    def __init__(self, uri: str, most: int) -> None:
        self.uri = uri
        self.most = most
        self.reader = self._look()

    def _look(self) -> LogReader:
        mirrored = None if is_local(self.uri) else mirror.place(self.uri)
        return LogReader(shelf(self.uri, mirrored), self.most)

    def print_new(self, printer: _Printer) -> bool:
        """Print what is there and was not printed yet; whether that was anything."""
        if not self.reader.position:
            self.reader = self._look()  # the node may have begun here meanwhile
        printed = False
        while data := self.reader.read():
            printer.print(data)
            printed = True
        return printed

    def exists(self) -> bool:
        """Whether there is a log, if an empty one."""
        return isinstance(self.reader.shelf, LocalShelf) and self.reader.shelf.path.exists()

    @property
    def refresh(self) -> float:
        """Seconds between two looks."""
        return _REFRESH if isinstance(self.reader.shelf, LocalShelf) else _REFRESH_REMOTE


class _Printer:
    """Prints logs piece by piece, so that a long one needs no more memory than a short one."""

    def __init__(self, raw: bool) -> None:
        self.raw = raw
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.colors = sys.stdout.isatty()
        self.held = ""
        """The beginning of a sequence whose rest is in the next piece."""

    def print(self, data: bytes) -> None:
        """Print what follows."""
        if self.raw:
            sys.stdout.buffer.write(data)
        else:
            sys.stdout.write(self.safe(self.decoder.decode(data)))
        sys.stdout.flush()

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
        if not original:
            continue
        click.echo(f"its outputs were made by {execution.name}; that log follows", err=True)
        if not _Source(str(original), 0).print_new(printer):
            click.echo("(it is empty, or was removed)", err=True)
        return


def _follow(source: _Source, store: MetadataStore, run: Run, node: NodeRecord, printer: _Printer) -> None:
    while True:
        (current,) = store.get_nodes(run.id, [(node.node_id, node.iteration)])
        source.print_new(printer)
        if current.state is not NodeState.RUNNING or current.attempt != node.attempt:
            return
        time.sleep(source.refresh)
