"""Progress of a local run: a live table in a terminal, one line per event elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from tidemill.cli.output import colored, duration, first_line, harmless
from tidemill.metadata.model import NodeState, RunState
from tidemill.runners.local.events import Event, NodeEnded, NodeStarted, RunEnded, RunStarted
from tidemill.runtime.launch import Outcome
from tidemill.runtime.logreader import LogReader
from tidemill.runtime.root import folder
from tidemill.storage.shelf import LocalShelf

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_REFRESH = 0.1
"""Seconds between two looks at growing logs."""


class Progress:
    """A listener of a local run. Use it as a context manager around the run."""

    def __init__(self, *, verbose: bool, quiet: bool) -> None:
        self.verbose = verbose
        self.quiet = quiet
        self.width = 10
        self.order: list[str] = []
        self.started: dict[str, float] = {}
        self.ended: dict[str, Outcome] = {}
        self._live: Live | None = None
        self._tail: LogTail | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if self.quiet:
            return
        with self._lock:
            match event:
                case RunStarted():
                    self._run_started(event)
                case NodeStarted():
                    self.started[event.place] = time.monotonic()
                case NodeEnded():
                    self._node_ended(event)
                case RunEnded():
                    self._stop()
                    self._run_ended(event)

    def _run_started(self, event: RunStarted) -> None:
        run = event.run
        date = f", date {run.date}" if run.date else ""
        verb = "resuming run" if event.resumed else "run"
        click.echo(f"{verb} {click.style(run.id, bold=True)}  version {run.version[:12]}{date}")
        self.order = [step.node_id for step in event.plan.steps]
        self.width = max(map(len, self.order))
        if self.verbose:
            self._tail = LogTail(folder(run.root) / "logs" / run.id)
        elif sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(get_renderable=self._table, refresh_per_second=8, transient=True)
            self._live.start()

    def _node_ended(self, event: NodeEnded) -> None:
        outcome = event.outcome
        self.ended[event.place] = outcome
        self.started.pop(event.place, None)
        line = self._line(event.place, outcome)
        if event.retry_in is not None:
            line += f"; attempt {outcome.attempt} failed, next in {duration(event.retry_in)}"
        if self._live is not None:
            from rich.text import Text

            self._live.console.print(Text.from_ansi(line))
        else:
            click.echo(line)

    def _line(self, place: str, outcome: Outcome) -> str:
        state = colored(outcome.state.ljust(8))
        took = duration(outcome.seconds).rjust(9)
        note = first_line(outcome.message) if outcome.state is not NodeState.COMPLETE else ""
        return f"  {place.ljust(self.width)}  {state}  {took}  {note}".rstrip()

    def _run_ended(self, event: RunEnded) -> None:
        for place in event.blocked:
            click.echo(f"  {place.ljust(self.width)}  {'-'.ljust(8)}  {'':9}  not started")
        states = [o.state for o in self.ended.values()]
        counts = [f"{states.count(s)} {s.lower()}" for s in NodeState if s in states]
        if event.blocked:
            counts.append(f"{len(event.blocked)} not started")
        summary = ", ".join(counts) or "nothing to do"
        if states and all(s is NodeState.CACHED for s in states):
            summary = f"all {len(states)} nodes cached"
        click.echo(f"run {colored(event.state)} in {duration(event.seconds)}: {summary}")
        for place, outcome in self.ended.items():
            if outcome.state is NodeState.FAILED:
                self._explain_failure(event, place, outcome)
        if event.state is RunState.CANCELED:
            click.echo("the same command starts a new run, which reuses what is complete")

    def _explain_failure(self, event: RunEnded, place: str, outcome: Outcome) -> None:
        click.echo("")
        title = f"{place} failed"
        if outcome.failure:
            title += f" ({outcome.failure.kind})"
        click.secho(title, fg="red", bold=True)
        text = outcome.failure.message if outcome.failure else outcome.message
        if outcome.failure and outcome.failure.exception:
            text = f"{outcome.failure.exception}: {text}"
        text = harmless(text, colors=False)
        click.echo("\n".join(f"  {line}" for line in text.splitlines()))
        click.echo(f"  log  tidemill logs {event.run.id} {outcome.node_id}")

    def _table(self) -> Table:
        """What runs now, for the live display."""
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        known = {name: i for i, name in enumerate(self.order)}
        for place in sorted(self.started, key=lambda p: known.get(p.partition("[")[0], 0)):
            took = duration(time.monotonic() - self.started[place])
            table.add_row("", place.ljust(self.width), "[blue]RUNNING[/]", took.rjust(9))
        return table

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._tail is not None:
            self._tail.stop()
            self._tail = None


class LogTail:
    """Prints what is appended to any log in a folder, each line with its node's name before it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.readers: dict[Path, LogReader] = {}
        self.held: dict[Path, bytes] = {}
        """Lines that have no end yet."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Print the rest and end."""
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._over.wait(_REFRESH):
            self._print_new()
        self._print_new(last=True)

    def _print_new(self, *, last: bool = False) -> None:
        for path in sorted(self.folder.glob("*.log")) if self.folder.is_dir() else []:
            reader = self.readers.setdefault(path, LogReader(LocalShelf(path)))
            node_id = path.name.rsplit(".", 3)[0]
            while True:
                data = reader.read()
                whole, ended, rest = (self.held.pop(path, b"") + data).rpartition(b"\n")
                if last and not data:
                    whole, rest = rest, b""
                self.held[path] = rest
                for line in (whole + ended).decode("utf-8", "replace").splitlines():
                    click.echo(f"{click.style(node_id, fg='blue')} | {harmless(line, colors=True)}")
                if not data:
                    break
