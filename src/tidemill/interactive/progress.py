"""Progress of a run that was started from Python: as on the command line, or a table in a notebook.

IPython is used where it is running and never asked for elsewhere.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tidemill.cli.output import duration, first_line
from tidemill.cli.progress import LogTail, Progress
from tidemill.interactive.display import state, table
from tidemill.runners.local.events import Event, Listener, NodeEnded, NodeStarted, RunEnded, RunStarted
from tidemill.runtime.launch import Outcome
from tidemill.runtime.root import folder


def is_notebook() -> bool:
    """Whether a kernel runs this process, so that HTML can be shown."""
    return getattr(_shell(), "kernel", None) is not None


@contextmanager
def progress_of(*, verbose: bool) -> Iterator[Listener]:
    """A listener for one run."""
    if not is_notebook():
        with Progress(verbose=verbose, quiet=False) as progress:
            yield progress
        return
    shown = _Table()
    tails: list[LogTail] = []

    def tell(event: Event) -> None:
        shown(event)
        if verbose and isinstance(event, RunStarted):
            tails.append(LogTail(folder(event.run.root) / "logs" / event.run.id))

    try:
        yield tell
    finally:
        for tail in tails:
            tail.stop()


class _Table:
    """A table of nodes that is shown once and then updated in place."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._title = ""
        self._running: set[str] = set()
        self._ended: dict[str, Outcome] = {}
        self._order: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Take note, and show it. Called by the thread that drives the run and by those that launch."""
        with self._lock:
            match event:
                case RunStarted():
                    self._title = f"run {event.run.id} " + ("goes on" if event.resumed else "runs")
                    self._order = [step.node_id for step in event.plan.steps]
                case NodeStarted():
                    self._running.add(event.place)
                    self._know(event.place, event.node_id)
                case NodeEnded():
                    self._running.discard(event.place)
                    self._ended[event.place] = event.outcome
                    self._know(event.place, event.outcome.node_id)
                case RunEnded():
                    self._title = f"run {event.run.id} {event.state} in {duration(event.seconds)}"
            self._show()

    def _know(self, place: str, node_id: str) -> None:
        """Iterations of a node stand where the node stood, in the order in which they come."""
        if place not in self._order:
            at = self._order.index(node_id) if node_id in self._order else len(self._order)
            self._order.insert(at, place)

    def _show(self) -> None:
        display: Any = importlib.import_module("IPython.display")
        rows: list[tuple[Any, ...]] = []
        for node_id in self._order:
            ended = self._ended.get(node_id)
            if node_id in self._running:
                rows.append((node_id, state("RUNNING"), "", ""))
            elif ended is not None:
                note = first_line(ended.message)
                rows.append((node_id, state(ended.state.value), duration(ended.seconds), note))
            else:
                rows.append((node_id, "", "", ""))
        shown = display.HTML(table((self._title, "", "", ""), rows))
        if self._handle is None:
            self._handle = display.display(shown, display_id=True)
        else:
            self._handle.update(shown)


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None
