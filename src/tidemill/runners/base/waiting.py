"""What a task waits for before it launches its node, as a plain value: so that somebody else can wait for it.

An engine that can, waits where it costs nothing and starts the task again; any other one holds the task.
Whether a wait is over is asked of the store alone, and asking changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from tidemill.metadata.model import CANCEL
from tidemill.metadata.store import MetadataStore

Kind = Literal["retry", "pool", "approval", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One node that waits."""

    kind: Kind
    run_id: str
    node_id: str
    iteration: int = 0
    until: int = 0
    """When it is over at the latest, in milliseconds since 1970; 0: never by itself."""
    ready: int = 0
    """Since when the node could have started, in milliseconds since 1970: what it waited counts."""
    pool: str = ""
    slots: int = 0
    to_the_end: bool = False
    """Whether a request to end the run does not end it: exit nodes run whatever becomes of the rest."""

    def to_json(self) -> dict[str, Any]:
        """As an engine keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`."""
        return cls(**data)

    def __str__(self) -> str:
        match self.kind:
            case "retry":
                left = max(0.0, self.until / 1000 - time.time())
                return f"{self.node_id} waits {left:.0f} s for its next attempt"
            case "pool":
                return f"{self.node_id} waits for {self.slots} slots of pool {self.pool}"
            case "run":
                mend = f"if it never ends: tidemill cancel {self.run_id} --force"
                return f"{self.node_id} waits for run {self.run_id}, which does the same work; {mend}"
        return f"{self.node_id} waits for approval: tidemill approve {self.run_id} {self.node_id}"


OnWait = Callable[[MetadataStore, Wait], None]
"""Waits, however it likes; what it raises instead leaves the task, which is started again later."""


def over(store: MetadataStore, wait: Wait, now: float) -> bool:
    """Whether to try again, `now` being seconds since 1970: it is time, there is room, somebody decided, or
    the run is to end."""
    if wait.until and now * 1000 >= wait.until:
        return True
    run = store.get_run(wait.run_id)
    if wait.kind == "run":  # of an equal one, which may be asked to end and not have ended
        return run is None or run.state.ended
    if run is None or run.state.ended or (run.request == CANCEL and not wait.to_the_end):
        return True
    if wait.kind == "approval":
        return store.get_decision(wait.run_id, wait.node_id, wait.iteration) is not None
    if wait.kind == "pool":
        pool = next((p for p in store.get_pools() if p.name == wait.pool), None)
        return pool is None or pool.held + wait.slots <= pool.slots
    return False
