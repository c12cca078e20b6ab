"""What a local run tells those who watch it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tidemill.metadata.model import Run, RunState
from tidemill.runtime.launch import Outcome
from tidemill.runtime.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run begins, or goes on after its runner died."""

    run: Run
    plan: Plan
    resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStarted:
    """A node's launch was called; it may turn out to be cached."""

    place: str
    """The node as people read it: `train`, or `train[2]` in a loop."""
    node_id: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEnded:
    """A node's attempt ended. `retry_in` is set (seconds) when another one follows."""

    place: str
    outcome: Outcome
    retry_in: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """The run is over. `blocked` never started because something before them failed."""

    run: Run
    state: RunState
    blocked: tuple[str, ...]
    seconds: float


Event = RunStarted | NodeStarted | NodeEnded | RunEnded
Listener = Callable[[Event], None]
